package network

import (
	"errors"
	"fmt"
	"net"
	"os"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Network is a set of LANs and of hosts plugged into them.
type Network struct {
	// Name is the prefix of every namespace of the network. No hyphen may be in it.
	Name string
	// LANs are the names of the bridges in the switch.
	LANs []string
	// Detached makes processes outlive the process that starts them. Otherwise the kernel kills
	// them with it.
	Detached bool
}

// Create creates the switch with its LANs. Hosts come with [Host.PowerOn].
func (n *Network) Create() error {
	if err := createNamespace(n.Switch().Namespace()); err != nil {
		return err
	}
	return n.Switch().configure(func(handle *netlink.Handle) error {
		for _, lan := range n.LANs {
			snooping := false
			bridge := &netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: lan}, MulticastSnooping: &snooping}
			if err := handle.LinkAdd(bridge); err != nil {
				return fmt.Errorf("create LAN %s: %w", lan, err)
			}
			if err := handle.LinkSetUp(bridge); err != nil {
				return err
			}
		}
		return nil
	})
}

// Switch is the host whose bridges are the LANs. A sniffer on one of them sees every frame of that LAN.
func (n *Network) Switch() *Host {
	return n.Host(Spec{Name: "switch"})
}

// Host returns the handle of a host. It changes nothing: the host may be on, off, or never have
// been powered on.
func (n *Network) Host(spec Spec) *Host {
	return &Host{Spec: spec, network: n}
}

// Destroy kills every process in the network's namespaces and removes them, whatever state they are
// in and whoever created them.
func (n *Network) Destroy() error {
	return destroyNamespaces(n.Name + "-")
}

// plug lays a cable from a host to a LAN. The host's end comes up with its address, so that nothing
// is ever sent from a link that is half configured.
func (n *Network) plug(h *Host, port Port) error {
	host, err := netns.GetFromPath(h.path())
	if err != nil {
		return err
	}
	defer host.Close()
	return n.Switch().configure(func(handle *netlink.Handle) error {
		bridge, err := handle.LinkByName(port.LAN)
		if err != nil {
			return fmt.Errorf("LAN %s: %w", port.LAN, err)
		}
		cable := &netlink.Veth{
			LinkAttrs:        netlink.LinkAttrs{Name: h.socket(port), MasterIndex: bridge.Attrs().Index},
			PeerName:         port.Device,
			PeerHardwareAddr: port.mac(h.Name),
			PeerNamespace:    netlink.NsFd(host),
		}
		if err := handle.LinkAdd(cable); err != nil {
			return fmt.Errorf("plug %s of %s into %s: %w", port.Device, h.Name, port.LAN, err)
		}
		return handle.LinkSetUp(cable)
	})
}

// pull sets the switch's end of a cable down, which the host sees as a lost carrier, or up again.
func (n *Network) pull(h *Host, port Port, down bool) error {
	return n.Switch().configure(func(handle *netlink.Handle) error {
		end, err := handle.LinkByName(h.socket(port))
		if err != nil {
			return fmt.Errorf("cable of %s to %s: %w", h.Name, port.LAN, err)
		}
		if down {
			return handle.LinkSetDown(end)
		}
		return handle.LinkSetUp(end)
	})
}

// replug puts the switch's end of a cable into another bridge.
func (n *Network) replug(h *Host, port Port, lan string) error {
	return n.Switch().configure(func(handle *netlink.Handle) error {
		end, err := handle.LinkByName(h.socket(port))
		if err != nil {
			return fmt.Errorf("cable of %s to %s: %w", h.Name, port.LAN, err)
		}
		bridge, err := handle.LinkByName(lan)
		if err != nil {
			return fmt.Errorf("LAN %s: %w", lan, err)
		}
		return handle.LinkSetMaster(end, bridge)
	})
}

// unplug removes a cable with both ends, if there is one.
func (n *Network) unplug(h *Host, port Port) error {
	return n.Switch().configure(func(handle *netlink.Handle) error {
		end, err := handle.LinkByName(h.socket(port))
		if errors.As(err, &netlink.LinkNotFoundError{}) {
			return nil
		}
		if err != nil {
			return err
		}
		return handle.LinkDel(end)
	})
}

// configure calls f with a netlink socket in the host's namespace.
func (h *Host) configure(f func(*netlink.Handle) error) error {
	ns, err := netns.GetFromPath(h.path())
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", h.Name, ErrOff)
	}
	if err != nil {
		return err
	}
	defer ns.Close()
	handle, err := netlink.NewHandleAt(ns)
	if err != nil {
		return err
	}
	defer handle.Close()
	return f(handle)
}

func ipNet(p interface{ String() string }) *net.IPNet {
	ip, network, err := net.ParseCIDR(p.String())
	if err != nil {
		panic(err) // it was a valid netip.Prefix
	}
	network.IP = ip
	return network
}
