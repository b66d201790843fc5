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
	// Ask asks the hosts of the network that this host shares with an address who has it, by ARP or NDP. It fails with fs.ErrPermission if
	// the caller may not ask.
	Ask(ctx context.Context, address netip.Addr) (heard, error)
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
					r.add(probe(ctx, w, to))
				} else {
					r.add(notProbed(to, port.Protocol))
				}
			}
		}
		r.add(probeLayer2(ctx, s, w, ip)) // when the kernel has learned what it could
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

// probe connects to one port.
func probe(ctx context.Context, w wire, to netip.AddrPort) Link {
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
	return l
}

// notProbed says that a port was not asked for.
func notProbed(to netip.AddrPort, protocol corev1.Protocol) Link {
	return Link{Name: "probe " + strconv.Itoa(int(to.Port())), Address: to.Addr().String(), Mark: Note,
		Sentence: fmt.Sprintf("was not asked: only the application answers to %s", protocol), Remedy: "ask with a client of the application"}
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
