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

	"github.com/clarionlb/clarion/internal/guard"
)

// Run tracks the interfaces until the context ends, and then returns nil. If the kernel drops
// notifications because there are too many at once, Run reads everything again. Until then,
// Interfaces returns what was known last.
func (l *Links) Run(ctx context.Context) error {
	retry := backoff{first: 100 * time.Millisecond, limit: 5 * time.Second}
	for {
		err := guard.Try("layer2", "", func() error { return l.track(ctx) })
		if ctx.Err() != nil {
			return nil
		}
		klog.FromContext(ctx).Error(err, "Lost track of the network interfaces, reading them again")
		retry.wait(ctx)
	}
}

// track subscribes, reads everything, and then applies what the kernel reports, until something
// fails.
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

	s := &linkState{handle: handle, kernel: &l.kernel}
	if err := s.readAll(); err != nil {
		return err
	}
	l.publish(s.interfaces())
	for {
		timeout := unix.NsecToTimeval(int64(s.postponed(time.Now())))
		if err := events.SetReceiveTimeout(&timeout); err != nil {
			return fmt.Errorf("receive network events: %w", err)
		}
		messages, _, err := events.Receive()
		if err != nil && !errors.Is(err, unix.EAGAIN) {
			return fmt.Errorf("receive network events: %w", err)
		}
		for _, m := range messages {
			if err := s.apply(m); err != nil {
				return err
			}
		}
		if err := s.refresh(); err != nil {
			return err
		}
		l.publish(s.interfaces())
	}
}

// linkState is what is known of the interfaces. Links are updated from the reports of the kernel,
// because a node with many pods has many of them, and they change often. Addresses and routes of the
// main table change rarely. After a report about them, all of them are read again. That also finds
// changes that the kernel does not report, such as the loss of IPv4 routes with their link.
type linkState struct {
	handle *netlink.Handle
	kernel *kernelAddresses

	links     map[int]Interface // by index, without addresses and routes
	prefixes  map[int][]netip.Prefix
	addresses map[int][]netip.Addr
	linkLocal map[int]netip.Addr
	routes    map[int][]Route
	gateways  map[int][]netip.Addr

	staleAddresses, staleRoutes bool
	// nextRoutes is when routes may be read again: a node may have all those of the Internet.
	nextRoutes time.Time
}

// routesPause is how much longer than reading the routes the pause after it is.
const routesPause = 10

// readAll reads everything from the kernel.
func (s *linkState) readAll() error {
	links, err := consistent(s.handle.LinkList)
	if err != nil {
		return fmt.Errorf("list network interfaces: %w", err)
	}
	s.links = map[int]Interface{}
	names := map[int]string{}
	for _, link := range links {
		names[link.Attrs().Index] = link.Attrs().Name
		if i, ok := usable(link.Attrs()); ok {
			s.links[i.Index] = i
		}
	}
	s.kernel.setNames(names)
	s.staleAddresses, s.staleRoutes = true, true
	return s.refresh()
}

// refresh reads again what has become stale.
func (s *linkState) refresh() error {
	if s.staleAddresses {
		if err := s.readAddresses(); err != nil {
			return err
		}
	}
	if s.staleRoutes && s.postponed(time.Now()) == 0 {
		return s.readRoutes()
	}
	return nil
}

// postponed is for how long routes that are stale are not to be read yet; 0 if there is nothing to
// wait for.
func (s *linkState) postponed(now time.Time) time.Duration {
	if !s.staleRoutes || !now.Before(s.nextRoutes) {
		return 0
	}
	return max(s.nextRoutes.Sub(now), time.Microsecond)
}

func (s *linkState) readAddresses() error {
	list, err := consistent(func() ([]netlink.Addr, error) { return s.handle.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return fmt.Errorf("list addresses: %w", err)
	}
	s.prefixes, s.addresses, s.linkLocal = map[int][]netip.Prefix{}, map[int][]netip.Addr{}, map[int]netip.Addr{}
	all := map[netip.Addr][]int{}
	for _, a := range list {
		if addr, ok := s.add(a); ok {
			all[addr] = append(all[addr], a.LinkIndex)
		}
	}
	s.kernel.set(all)
	for index, prefixes := range s.prefixes {
		slices.SortFunc(prefixes, netip.Prefix.Compare)
		s.prefixes[index] = slices.Compact(prefixes)
		slices.SortFunc(s.addresses[index], netip.Addr.Compare)
	}
	s.staleAddresses = false
	return nil
}

func (s *linkState) readRoutes() error {
	start := time.Now()
	s.gateways = map[int][]netip.Addr{}
	var entries []routeEntry
	for _, family := range []int{netlink.FAMILY_V4, netlink.FAMILY_V6} {
		of, err := s.readRoutesOf(family)
		if err != nil {
			return err
		}
		entries = append(entries, of...)
	}
	s.routes = rankRoutes(entries)
	s.staleRoutes = false
	s.nextRoutes = time.Now().Add(routesPause * time.Since(start))
	return nil
}

// add adds an address to those of its interface, and returns it.
func (s *linkState) add(a netlink.Addr) (netip.Addr, bool) {
	if a.IPNet == nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(a.IP)
	if !ok {
		return netip.Addr{}, false
	}
	index, usable := a.LinkIndex, a.Flags&(unix.IFA_F_TENTATIVE|unix.IFA_F_DADFAILED) == 0
	if addr.Is6() && addr.IsLinkLocalUnicast() {
		if usable && (!s.linkLocal[index].IsValid() || addr.Less(s.linkLocal[index])) {
			s.linkLocal[index] = addr
		}
		return addr, true
	}
	if p := prefixOf(a); p.IsValid() {
		s.prefixes[index] = append(s.prefixes[index], p)
	}
	if usable {
		s.addresses[index] = append(s.addresses[index], addr)
	}
	return addr, true
}

// readRoutesOf returns the routes of the main table that the kernel uses to send. It adds the
// routers of default routes to the gateways.
func (s *linkState) readRoutesOf(family int) ([]routeEntry, error) {
	routes, err := consistent(func() ([]netlink.Route, error) {
		return s.handle.RouteListFiltered(family, &netlink.Route{Type: unix.RTN_UNICAST}, netlink.RT_FILTER_TYPE)
	})
	if err != nil {
		return nil, fmt.Errorf("list routes: %w", err)
	}
	entries, gateways := entriesOf(routes, family)
	for index, routers := range gateways {
		s.gateways[index] = append(s.gateways[index], routers...)
	}
	return entries, nil
}

// entriesOf returns the routes that the kernel uses to send, of those that it has listed, and the routers
// of default routes among them by interface.
func entriesOf(routes []netlink.Route, family int) (entries []routeEntry, gateways map[int][]netip.Addr) {
	gateways = map[int][]netip.Addr{}
	for _, r := range routes {
		prefix := destination(r, family)
		if !prefix.IsValid() || r.Tos != 0 || prefix.Addr().Is6() && prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		hops := r.MultiPath
		if len(hops) == 0 {
			hops = []*netlink.NexthopInfo{{LinkIndex: r.LinkIndex, Gw: r.Gw, Via: r.Via, Flags: r.Flags}}
		}
		for _, hop := range hops {
			if hop.Flags&unix.RTNH_F_DEAD != 0 {
				continue
			}
			gateway, routed := netip.AddrFromSlice(hop.Gw)
			entries = append(entries, routeEntry{hop.LinkIndex, prefix, r.Priority, !routed && hop.Via == nil})
			if routed && prefix.Bits() == 0 {
				gateways[hop.LinkIndex] = append(gateways[hop.LinkIndex], gateway.Unmap())
			}
		}
	}
	return entries, gateways
}

// destination is the prefix that a route leads to. Without one it is a default route.
func destination(r netlink.Route, family int) netip.Prefix {
	if r.Dst == nil && family == netlink.FAMILY_V4 {
		return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
	} else if r.Dst == nil {
		return netip.PrefixFrom(netip.IPv6Unspecified(), 0)
	}
	addr, _ := netip.AddrFromSlice(r.Dst.IP)
	if family == netlink.FAMILY_V4 {
		addr = addr.Unmap()
	}
	ones, _ := r.Dst.Mask.Size()
	return netip.PrefixFrom(addr, ones)
}

// apply applies one report of the kernel.
func (s *linkState) apply(m syscall.NetlinkMessage) error {
	switch m.Header.Type {
	case unix.RTM_NEWLINK, unix.RTM_DELLINK:
		return s.applyLink(m)
	case unix.RTM_NEWADDR, unix.RTM_DELADDR:
		return s.applyAddress(m)
	case unix.RTM_NEWROUTE, unix.RTM_DELROUTE:
		return s.applyRoute(m)
	}
	return nil
}

var errShort = errors.New("read a network event: too short")

func (s *linkState) applyLink(m syscall.NetlinkMessage) error {
	if len(m.Data) < unix.SizeofIfInfomsg {
		return errShort
	}
	// A bridge reports changes of its ports with a family of its own. It reports a port that left
	// it as a deleted link.
	if nl.DeserializeIfInfomsg(m.Data).Family != unix.AF_UNSPEC {
		return nil
	}
	link, err := netlink.LinkDeserialize(nil, m.Data)
	if err != nil {
		return fmt.Errorf("read an interface: %w", err)
	}
	exists, attrs := m.Header.Type == unix.RTM_NEWLINK, link.Attrs()
	s.setLink(exists, attrs)
	if exists {
		s.kernel.setName(attrs.Index, attrs.Name)
	} else {
		s.kernel.forgetName(attrs.Index)
	}
	return nil
}

func (s *linkState) applyAddress(m syscall.NetlinkMessage) error {
	if len(m.Data) < unix.SizeofIfAddrmsg {
		return errShort
	}
	index := int(nl.DeserializeIfAddrmsg(m.Data).Index)
	if addr, ok := localAddress(m.Data); ok && m.Header.Type == unix.RTM_NEWADDR {
		s.kernel.add(addr, index)
	} else if ok {
		s.kernel.remove(addr, index)
	}
	if _, ok := s.links[index]; ok {
		s.staleAddresses, s.staleRoutes = true, true
	}
	return nil
}

func (s *linkState) applyRoute(m syscall.NetlinkMessage) error {
	if len(m.Data) < unix.SizeofRtMsg {
		return errShort
	}
	r := nl.DeserializeRtMsg(m.Data)
	if r.Table == unix.RT_TABLE_MAIN && r.Type == unix.RTN_UNICAST {
		s.staleRoutes = true
	}
	if r.Type == unix.RTN_LOCAL && r.Protocol != unix.RTPROT_KERNEL {
		s.kernel.changed.Notify()
	}
	return nil
}

func (s *linkState) setLink(exists bool, attrs *netlink.LinkAttrs) {
	index := attrs.Index
	if exists && len(attrs.HardwareAddr) == 0 {
		// Drivers of wireless interfaces send reports with little more than the name.
		return
	}
	before, known := s.links[index]
	after, ok := usable(attrs)
	switch {
	case exists && ok:
		s.links[index] = after
		// Its addresses were ignored while it was a port of another interface.
		s.staleAddresses = s.staleAddresses || !known
	case known:
		delete(s.links, index)
	default:
		return
	}
	if !before.equal(after) {
		s.staleRoutes = s.staleRoutes || len(s.routes[index]) > 0
	}
}

// interfaces returns the interfaces, sorted by name.
func (s *linkState) interfaces() []Interface {
	list := make([]Interface, 0, len(s.links))
	for index, i := range s.links {
		i.Prefixes = s.prefixes[index]
		i.Addresses = s.addresses[index]
		i.LinkLocal = s.linkLocal[index]
		i.Routes = s.routes[index]
		i.Gateways = s.gateways[index]
		list = append(list, i)
	}
	slices.SortFunc(list, func(a, b Interface) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// usable returns the interface without addresses and routes, and whether anything can be announced
// on it.
func usable(attrs *netlink.LinkAttrs) (Interface, bool) {
	// IFF_RUNNING is an operational state of up or unknown, and IFF_LOWER_UP is carrier.
	const up = unix.IFF_UP | unix.IFF_RUNNING | unix.IFF_LOWER_UP
	const never = unix.IFF_LOOPBACK | unix.IFF_NOARP
	const ethernet = 6
	if attrs.RawFlags&never != 0 || attrs.MasterIndex != 0 || len(attrs.HardwareAddr) != ethernet {
		return Interface{}, false
	}
	return Interface{Name: attrs.Name, Index: attrs.Index, MAC: attrs.HardwareAddr, Up: attrs.RawFlags&up == up}, true
}

// prefixOf returns the network that an address is in. On a point-to-point link, that is the network
// of the peer.
func prefixOf(a netlink.Addr) netip.Prefix {
	ipNet := a.IPNet
	if a.Peer != nil {
		ipNet = a.Peer
	}
	addr, _ := netip.AddrFromSlice(ipNet.IP)
	ones, _ := ipNet.Mask.Size()
	return netip.PrefixFrom(addr, ones).Masked()
}

// consistent calls list again if its result changed while the kernel wrote it. If that happens
// every time, the last result is good enough: the kernel has also reported the changes, and they
// are applied next.
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
