package why

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// probePatience is how long a connection may take to be accepted.
const probePatience = 2 * time.Second

// wire is the network, as this host sees it.
type wire interface {
	// Connect makes a TCP connection, and ends it.
	Connect(ctx context.Context, to netip.AddrPort) error
	// Neighbor is the hardware address that this host has for an address in one of its networks; "" if
	// it has none. fresh says that it has just been confirmed, by an answer or by a connection.
	Neighbor(address netip.Addr) (mac string, fresh bool)
}

// Probe asks the network for what the Report is about, and adds what came of it, and what was not asked.
func (r *Report) Probe(ctx context.Context, s *snapshot.State, w wire) {
	summary := r.Summary
	for _, ip := range r.addresses(s) {
		for _, name := range s.Announced.Services(ip) {
			for _, port := range s.Service(name).Spec.Ports {
				to := netip.AddrPortFrom(ip, uint16(port.Port))
				if port.Protocol == corev1.ProtocolTCP || port.Protocol == "" {
					r.add(probe(ctx, s, w, to))
				} else {
					r.add(notProbed(to, port.Protocol))
				}
			}
		}
	}
	r.conclude(summary)
}

// addresses are those that the Report is about.
func (r *Report) addresses(s *snapshot.State) (list []netip.Addr) {
	if ip, err := netip.ParseAddr(r.Name); err == nil {
		return []netip.Addr{ip}
	}
	for _, service := range s.Services {
		if r.Kind == "Service" && snapshot.NameOf(service).String() == r.Name {
			list = addressesOf(service)
		}
	}
	return list
}

// probe connects to one port, and finds out which node has answered for the address.
func probe(ctx context.Context, s *snapshot.State, w wire, to netip.AddrPort) Link {
	l := Link{Name: "probe " + strconv.Itoa(int(to.Port())), Address: to.Addr().String(), Mark: OK, Sentence: "accepts connections from here"}
	ctx, cancel := context.WithTimeout(ctx, probePatience)
	defer cancel()
	switch err := w.Connect(ctx, to); {
	case err == nil:
	case errors.Is(err, syscall.ECONNREFUSED):
		l.Mark, l.Sentence = Failed, "is refused: the packets arrive at a node, and no endpoint serves the port"
		l.Remedy = "does a pod listen on targetPort? Does kube-proxy run on the node?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		l.Mark, l.Sentence = Failed, "cannot be reached from here: "+err.Error()
		l.Remedy = "on layer 2, this host has to be in the network of the address or have a router that is; with BGP, a router has to have the route"
	default:
		l.Mark, l.Sentence = Failed, "does not answer from here: "+err.Error()
		l.Remedy = "is a firewall in the way? Do spec.loadBalancerSourceRanges let this host through?"
	}
	mac, fresh := w.Neighbor(to.Addr())
	switch {
	case mac == "":
		l.Items = append(l.Items, Item{"layer 2", Note, "this host was told no hardware address: it is not in a network of the address, or cannot say",
			"to see which host answers, run this on a host of that network"})
	case !fresh:
		l.Items = append(l.Items, Item{mac, Note, "was the hardware address when this host last used the address; it has not been confirmed since", ""})
	default:
		l.Items = append(l.Items, neighborItem(s, to.Addr(), mac))
		if l.Items[0].Mark == Failed {
			l.Mark = Failed
		}
	}
	return l
}

// notProbed says that a port was not asked for.
func notProbed(to netip.AddrPort, protocol corev1.Protocol) Link {
	return Link{Name: "probe " + strconv.Itoa(int(to.Port())), Address: to.Addr().String(), Mark: Note,
		Sentence: fmt.Sprintf("was not asked: only the application answers to %s", protocol), Remedy: "ask with a client of the application"}
}

// neighborItem says whose a hardware address is that answers for an address.
func neighborItem(s *snapshot.State, ip netip.Addr, mac string) Item {
	owner := s.Announced.Address(s.Time, ip).Owner
	for _, a := range s.Announcers {
		for _, i := range a.Status.Layer2.Interfaces {
			if i.MAC != mac {
				continue
			}
			if owner == "" || owner == a.Name {
				return Item{mac, OK, "answers for the address: " + i.Name + " of " + a.Name, ""}
			}
			return Item{mac, Warning, fmt.Sprintf("answers for the address: %s of %s, and %s announces it", i.Name, a.Name, owner),
				"if this lasts, the kernel of " + a.Name + " answers by itself: kubectl clarion why node/" + a.Name}
		}
	}
	return Item{mac, Failed, "answers for the address, and is no node's", "find the host by its hardware address and take the address from it"}
}

// network is the wire of this host.
type network struct{}

// Connect makes a TCP connection, and ends it.
func (network) Connect(ctx context.Context, to netip.AddrPort) error {
	connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", to.String())
	if err != nil {
		return err
	}
	return connection.Close()
}
