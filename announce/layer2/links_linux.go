package layer2

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// Run follows the interfaces until the context ends, and then returns nil. When the kernel drops notifications, because
// there were too many at once, everything is read anew; until then the last picture stands.
func (l *Links) Run(ctx context.Context) error {
	retry := backoff{first: 100 * time.Millisecond, limit: 5 * time.Second}
	for {
		err := l.track(ctx)
		if ctx.Err() != nil {
			return nil
		}
		klog.FromContext(ctx).Error(err, "Lost track of the network interfaces, reading them anew")
		retry.wait(ctx)
	}
}

// track subscribes, reads everything, and then applies what the kernel reports, until something fails.
func (l *Links) track(ctx context.Context) error {
	// One socket for all groups keeps the kernel's order between links, addresses and routes.
	events, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR,
		unix.RTNLGRP_IPV4_ROUTE, unix.RTNLGRP_IPV6_ROUTE)
	if err != nil {
		return fmt.Errorf("subscribe to network interfaces: %w", err)
	}
	defer events.Close()
	defer context.AfterFunc(ctx, events.Close)()
	// Routing daemons change many routes at once. The privileged call goes past net.core.rmem_max.
	if err := events.SetReceiveBufferSize(4<<20, true); err != nil {
		klog.FromContext(ctx).V(2).Info("The receive buffer for network events stays small", "err", err)
	}

	handle, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return fmt.Errorf("open a netlink socket: %w", err)
	}
	defer handle.Close()

	p := &linkState{handle: handle, kernel: &l.kernel}
	if err := p.readAll(); err != nil {
		return err
	}
	l.publish(p.interfaces())
	for {
		messages, _, err := events.Receive()
		if err != nil {
			return fmt.Errorf("receive network events: %w", err)
		}
		for _, m := range messages {
			if err := p.apply(m); err != nil {
				return err
			}
		}
		if err := p.refresh(); err != nil {
			return err
		}
		l.publish(p.interfaces())
	}
}

// linkState is what is known of the interfaces. Links are kept up by what the kernel reports, because on a node with many
// pods they are many and change often. Addresses and default routes change rarely: a report about them only says that
// they must be read again, which also finds what the kernel does not report, such as the IPv4 routes that go with a link.
type linkState struct {
	handle *netlink.Handle
	kernel *kernelAddresses

	links     map[int]Interface // by index, without addresses and routes
	prefixes  map[int][]netip.Prefix
	addresses map[int][]netip.Addr
	linkLocal map[int]netip.Addr
	default4  map[int]bool
	default6  map[int]bool
	gateways  map[int][]netip.Addr

	staleAddresses, staleRoutes bool
}

func (p *linkState) readAll() error {
	links, err := consistent(p.handle.LinkList)
	if err != nil {
		return fmt.Errorf("list network interfaces: %w", err)
	}
	p.links = map[int]Interface{}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
		if i, ok := usable(link.Attrs()); ok {
			p.links[i.Index] = i
		}
	}
	p.kernel.setNames(names)
	p.staleAddresses, p.staleRoutes = true, true
	return p.refresh()
}

// refresh reads again what has become stale.
func (p *linkState) refresh() error {
	if p.staleAddresses {
		list, err := consistent(func() ([]netlink.Addr, error) { return p.handle.AddrList(nil, netlink.FAMILY_ALL) })
		if err != nil {
			return fmt.Errorf("list addresses: %w", err)
		}
		p.prefixes, p.addresses, p.linkLocal = map[int][]netip.Prefix{}, map[int][]netip.Addr{}, map[int]netip.Addr{}
		all := map[netip.Addr][]int{}
		for _, a := range list {
			if addr, ok := p.add(a); ok {
				all[addr] = append(all[addr], a.LinkIndex)
			}
		}
		p.kernel.set(all)
		for index, prefixes := range p.prefixes {
			slices.SortFunc(prefixes, netip.Prefix.Compare)
			p.prefixes[index] = slices.Compact(prefixes)
			slices.SortFunc(p.addresses[index], netip.Addr.Compare)
		}
		p.staleAddresses = false
	}
	if p.staleRoutes {
		p.gateways = map[int][]netip.Addr{}
		var err error
		if p.default4, err = p.defaultRoutes(netlink.FAMILY_V4); err != nil {
			return err
		}
		if p.default6, err = p.defaultRoutes(netlink.FAMILY_V6); err != nil {
			return err
		}
		p.staleRoutes = false
	}
	return nil
}

// add takes in an address of an interface, and returns it.
func (p *linkState) add(a netlink.Addr) (netip.Addr, bool) {
	if a.IPNet == nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return netip.Addr{}, false
	}
	index, usable := a.LinkIndex, a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		if usable && (!p.linkLocal[index].IsValid() || addr.Less(p.linkLocal[index])) {
			p.linkLocal[index] = addr
		}
		return addr, true
	}
	p.prefixes[index] = append(p.prefixes[index], prefixOf(a))
	if usable {
		p.addresses[index] = append(p.addresses[index], addr)
	}
	return addr, true
}

// defaultRoutes returns the indices of the interfaces that a default route of the main table leads out of, and adds to the
// gateways.
func (p *linkState) defaultRoutes(family int) (map[int]bool, error) {
	routes, err := consistent(func() ([]netlink.Route, error) {
		return p.handle.RouteListFiltered(family, &netlink.Route{Type: unix.RTN_UNICAST}, netlink.RT_FILTER_TYPE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	indices := map[int]bool{}
	for _, r := range routes {
		if r.Dst != nil {
			if ones, _ := r.Dst.Mask.Size(); ones != 0 {
				continue
			}
		}
		for _, hop := range append(r.MultiPath, &netlink.NexthopInfo{LinkIndex: r.LinkIndex, Gw: r.Gw}) {
			indices[hop.LinkIndex] = true
			if gateway, ok := netip.AddrFromSlice(hop.Gw); ok {
				p.gateways[hop.LinkIndex] = append(p.gateways[hop.LinkIndex], gateway.Unmap())
			}
		}
	}
	return indices, nil
}

// apply takes in one report of the kernel.
func (p *linkState) apply(m syscall.NetlinkMessage) error {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		if len(m.Data) < unix.SizeofIfInfomsg {
			return errShort
		}
		// A bridge reports its ports with a family of its own: that a port left it, say, as the deletion of a link.
		if nl.DeserializeIfInfomsg(m.Data).Family != unix.AF_UNSPEC {
			return nil
		}
		link, err := netlink.LinkDeserialize(nil, m.Data)
		if err != nil {
			return fmt.Errorf("read an interface: %w", err)
		}
		exists, attrs := m.Header.Type == unix.RTM_NEWLINK, link.Attrs()
		p.applyLink(exists, attrs)
		if exists {
			p.kernel.setName(attrs.Index, attrs.Name)
		} else {
			p.kernel.forgetName(attrs.Index)
		}
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		if len(m.Data) < unix.SizeofIfAddrmsg {
			return errShort
		}
		a := nl.DeserializeIfAddrmsg(m.Data)
		index := int(a.Index)
		if addr, ok := localAddress(m.Data); ok && m.Header.Type == unix.RTM_NEWADDR {
			p.kernel.add(addr, index)
		} else if ok {
			p.kernel.remove(addr, index)
		}
		if _, ok := p.links[index]; !ok {
			return nil
		}
		p.staleAddresses = true
		p.staleRoutes = p.staleRoutes || p.default4[index] || p.default6[index]
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		if len(m.Data) < unix.SizeofRtMsg {
			return errShort
		}
		r := nl.DeserializeRtMsg(m.Data)
		if r.Dst_len == 0 && r.Table == unix.RT_TABLE_MAIN && r.Type == unix.RTN_UNICAST {
			p.staleRoutes = true
		}
	}
	return nil
}

var errShort = errors.New("read a network event: too short")

func (p *linkState) applyLink(exists bool, attrs *netlink.LinkAttrs) {
	index := attrs.Index
	if exists && len(attrs.HardwareAddr) == 0 {
		// Drivers of wireless interfaces send reports that carry little more than the name.
		return
	}
	before, known := p.links[index]
	after, ok := usable(attrs)
	switch {
	case exists && ok:
		p.links[index] = after
		// Its addresses were passed over while it was a port of another interface.
		p.staleAddresses = p.staleAddresses || !known
	case known:
		delete(p.links, index)
	default:
		return
	}
	if !before.equal(after) {
		p.staleRoutes = p.staleRoutes || p.default4[index] || p.default6[index]
	}
}

// interfaces returns the picture, sorted by name.
func (p *linkState) interfaces() []Interface {
	list := make([]Interface, 0, len(p.links))
	for index, i := range p.links {
		i.Prefixes = p.prefixes[index]
		i.Addresses = p.addresses[index]
		i.LinkLocal = p.linkLocal[index]
		i.DefaultRoute4 = p.default4[index]
		i.DefaultRoute6 = p.default6[index]
		i.Gateways = p.gateways[index]
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// usable returns the interface without addresses and routes, and whether anything can be announced on it.
func usable(attrs *netlink.LinkAttrs) (Interface, bool) {
	// Running is the kernel's word for an operational state of up or unknown; lower up is carrier.
	const up = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	const never = unix.IFF_LOOPBACK | unix.IFF_NOARP
	const ethernet = 6
	if attrs.RawFlags&never != 0 || attrs.MasterIndex != 0 || len(attrs.HardwareAddr) != ethernet {
		return Interface{}, false
	}
	return Interface{Name: attrs.Name, Index: attrs.Index, MAC: attrs.HardwareAddr, Up: attrs.RawFlags&up == up}, true
}

// prefixOf returns the network that an address is in. With a peer address that is the peer's.
func prefixOf(a netlink.Addr) netip.Prefix {
	ipNet := a.IPNet
	if a.Peer != nil {
		ipNet = a.Peer
	}
	addr, _ := netip.AddrFromSlice(ipNet.IP)
	ones, _ := ipNet.Mask.Size()
	return netip.PrefixFrom(addr, ones).Masked()
}

// consistent repeats a list that changed while the kernel wrote it. Should it change every time, what has been read is
// good enough: the changes have been reported and are applied next.
func consistent[T any](list func() ([]T, error)) ([]T, error) {
	var items []T
	var err error
	for range 5 {
		if items, err = list(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return items, err
		}
	}
	return items, nil
}
