package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// linkPrefix begins the names of the node's ends of the links to its pods.
const linkPrefix = "pod"

var errNoAddress = errors.New("no free pod address on this node")

// network attaches pods to the node: each has a network namespace of its own, with one link to the
// node, which routes. The first address of each pod CIDR is that of the node on all these links,
// and the gateway of the pods.
type network struct {
	spawn  *spawner
	prefix string
	cidrs  []netip.Prefix

	mu   sync.Mutex
	used map[netip.Addr]bool
	last []netip.Addr
}

func newNetwork(spawn *spawner, prefix string, cidrs []netip.Prefix) *network {
	n := &network{spawn: spawn, prefix: prefix, used: map[netip.Addr]bool{}}
	for _, cidr := range cidrs {
		cidr = cidr.Masked()
		n.cidrs = append(n.cidrs, cidr)
		n.last = append(n.last, gateway(cidr))
	}
	return n
}

func gateway(cidr netip.Prefix) netip.Addr { return cidr.Addr().Next() }

// allocate takes one address per family. A pod gets the addresses that it asks for where they are
// free, so that it keeps its addresses when the kubelet restarts. Otherwise it gets the next after
// the last one that was taken, so that an address is not used again soon.
func (n *network) allocate(wished []netip.Addr) ([]netip.Addr, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var ips []netip.Addr
	for i := range n.cidrs {
		ip, ok := n.pick(i, wished)
		if !ok {
			for _, taken := range ips {
				delete(n.used, taken)
			}
			return nil, errNoAddress
		}
		n.used[ip] = true
		ips = append(ips, ip)
	}
	return ips, nil
}

func (n *network) pick(family int, wished []netip.Addr) (netip.Addr, bool) {
	for _, ip := range wished {
		if n.usable(family, ip) {
			return ip, true
		}
	}
	cidr := n.cidrs[family]
	for ip := n.last[family].Next(); ip != n.last[family]; ip = ip.Next() {
		if !cidr.Contains(ip) {
			ip = cidr.Addr()
			if ip == n.last[family] {
				break
			}
		}
		if n.usable(family, ip) {
			n.last[family] = ip
			return ip, true
		}
	}
	return netip.Addr{}, false
}

func (n *network) usable(family int, ip netip.Addr) bool {
	cidr := n.cidrs[family]
	if !cidr.Contains(ip) || ip == cidr.Addr() || ip == gateway(cidr) || n.used[ip] {
		return false
	}
	// The last address of an IPv4 prefix is its broadcast address.
	return ip.Is6() || cidr.Contains(ip.Next())
}

func (n *network) release(ips []netip.Addr) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, ip := range ips {
		delete(n.used, ip)
	}
}

// podNetwork is a pod's attachment.
type podNetwork struct {
	network *network
	id      string
	ips     []netip.Addr
	netns   netns.NsHandle
}

// attach makes the network namespace and link of the pod with the short ID.
func (n *network) attach(id string, wished []netip.Addr) (*podNetwork, error) {
	ips, err := n.allocate(wished)
	if err != nil {
		return nil, err
	}
	p := &podNetwork{network: n, id: id, ips: ips, netns: netns.None()}
	if err := p.setUp(); err != nil {
		p.detach()
		return nil, fmt.Errorf("attach the pod to the network: %w", err)
	}
	return p, nil
}

func (p *podNetwork) name() string { return p.network.prefix + "-" + p.id }
func (p *podNetwork) link() string { return linkPrefix + p.id }

func (p *podNetwork) setUp() error {
	var err error
	if p.netns, err = p.network.spawn.newNamespace(p.name()); err != nil {
		return err
	}
	inside, err := netlink.NewHandleAt(p.netns)
	if err != nil {
		return err
	}
	defer inside.Close()
	err = netlink.LinkAdd(&netlink.Veth{
		LinkAttrs: netlink.LinkAttrs{Name: p.link()},
		PeerName:  "eth0", PeerNamespace: netlink.NsFd(int(p.netns)),
	})
	if err != nil {
		return err
	}
	outer, err := netlink.LinkByName(p.link())
	if err != nil {
		return err
	}
	eth0, err := inside.LinkByName("eth0")
	if err != nil {
		return err
	}
	loopback, err := inside.LinkByName("lo")
	if err != nil {
		return err
	}
	for i, ip := range p.ips {
		if err := netlink.AddrAdd(outer, hostAddr(gateway(p.network.cidrs[i]))); err != nil {
			return err
		}
		if err := inside.AddrAdd(eth0, hostAddr(ip)); err != nil {
			return err
		}
	}
	if err := errors.Join(inside.LinkSetUp(loopback), inside.LinkSetUp(eth0), netlink.LinkSetUp(outer)); err != nil {
		return err
	}
	for i, ip := range p.ips {
		via := gateway(p.network.cidrs[i])
		toPod := &netlink.Route{LinkIndex: outer.Attrs().Index, Dst: hostNet(ip), Scope: netlink.SCOPE_LINK}
		toNode := &netlink.Route{LinkIndex: eth0.Attrs().Index, Dst: hostNet(via), Scope: netlink.SCOPE_LINK}
		out := &netlink.Route{LinkIndex: eth0.Attrs().Index, Gw: via.AsSlice()}
		if err := errors.Join(netlink.RouteReplace(toPod), inside.RouteAdd(toNode), inside.RouteAdd(out)); err != nil {
			return err
		}
	}
	return nil
}

// detach removes whatever there is of the attachment.
func (p *podNetwork) detach() {
	removeLink(p.link())
	netns.DeleteNamed(p.name())
	if p.netns.IsOpen() {
		p.netns.Close()
	}
	p.network.release(p.ips)
}

// removeLeftovers detaches the pods of an earlier run.
func (n *network) removeLeftovers() error {
	names, err := filepath.Glob("/run/netns/" + n.prefix + "-*")
	if err != nil {
		return err
	}
	// Another node's namespaces may begin with the same letters.
	own := regexp.MustCompile("^" + regexp.QuoteMeta(n.prefix) + "-" + shortIDPattern + "$")
	for _, path := range names {
		if name := filepath.Base(path); own.MatchString(name) {
			if err := netns.DeleteNamed(name); err != nil {
				// A file that is no mount point is what a run leaves that was killed while it made
				// the namespace.
				os.Remove(path)
			}
		}
	}
	// The kernel interrupts the listing when a link of a killed pod vanishes meanwhile.
	links, err := netlink.LinkList()
	for errors.Is(err, netlink.ErrDumpInterrupted) {
		links, err = netlink.LinkList()
	}
	if err != nil {
		return err
	}
	for _, link := range links {
		if link.Type() == "veth" && strings.HasPrefix(link.Attrs().Name, linkPrefix) {
			removeLink(link.Attrs().Name)
		}
	}
	return nil
}

func removeLink(name string) {
	if link, err := netlink.LinkByName(name); err == nil {
		netlink.LinkDel(link)
	}
}

func hostNet(ip netip.Addr) *net.IPNet {
	return &net.IPNet{IP: ip.AsSlice(), Mask: net.CIDRMask(ip.BitLen(), ip.BitLen())}
}

// hostAddr is an address without a subnet, usable at once: nobody else can have it, so detection of
// duplicates is skipped.
func hostAddr(ip netip.Addr) *netlink.Addr {
	addr := &netlink.Addr{IPNet: hostNet(ip)}
	if ip.Is6() {
		addr.Flags = unix.IFA_F_NODAD
	}
	return addr
}
