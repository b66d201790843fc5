package why

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// heard is what came of asking the hosts of a network who has an address.
type heard struct {
	// Interface is where they were asked, and Own the hardware address that asked.
	Interface, Own string
	// Router is the one by which this host reaches the address; not valid if the address is in a network of this host. Nobody is asked if
	// it is valid.
	Router netip.Addr
	// MACs are the hardware addresses of the answers, each once, the first first.
	MACs []string
}

// probeLayer2 finds out which hosts answer for an address in a network of this host.
func probeLayer2(ctx context.Context, s *snapshot.State, w wire, ip netip.Addr) Link {
	l := Link{Name: "probe layer 2", Address: ip.String(), Mark: Note}
	protocol := "ARP"
	if ip.Is6() {
		protocol = "NDP"
	}
	said, err := w.Ask(ctx, ip)
	switch {
	case errors.Is(err, fs.ErrPermission):
		l.Sentence = "nobody was asked by " + protocol + ", which takes root; this is what the kernel has learned"
		l.Remedy = `run this as root: sudo env "PATH=$PATH" "KUBECONFIG=${KUBECONFIG:-$HOME/.kube/config}" kubectl clarion why ... --probe`
		l.Items = []Item{learned(s, w, ip)}
	case err != nil:
		l.Sentence = "nobody was asked by " + protocol + ": " + err.Error()
		l.Remedy = "to see which host answers, run this on a Linux host of a network of the address"
	case said.Router.IsValid():
		l.Sentence = fmt.Sprintf("nobody was asked by %s: the address is in no network of this host, which reaches it by the router %s", protocol, said.Router)
		l.Remedy = "to see which host answers, run this on a host of a network of the address"
	case len(said.MACs) == 0:
		return unanswered(s, l, protocol, said)
	default:
		l.Sentence = fmt.Sprintf("%s on %s by %s", answering(len(said.MACs)), said.Interface, protocol)
		for _, mac := range said.MACs {
			l.Items = append(l.Items, neighborItem(s, ip, mac))
		}
		l.Mark = OK
	}
	for _, mark := range []Mark{Warning, Failed} { // the worst of all
		for _, i := range l.Items {
			if i.Mark == mark {
				l.Mark = mark
			}
		}
	}
	return l
}

func answering(hosts int) string {
	if hosts == 1 {
		return "one host answers"
	}
	return counted(hosts, "host") + " answer"
}

// unanswered is what it means that no host has answered for the address of a link.
func unanswered(s *snapshot.State, l Link, protocol string, said heard) Link {
	owner := s.Announced.Address(s.Time, netip.MustParseAddr(l.Address)).Owner
	l.Sentence = fmt.Sprintf("no host answers on %s by %s", said.Interface, protocol)
	switch node, _ := stationOf(s, said.Own); {
	case owner == "":
		l.Sentence += ", and none is to: no node announces the address on layer 2"
	case node == owner:
		l.Sentence += " but " + owner + ", which announces the address, and is this host: it does not hear itself"
		l.Remedy = "run this on another host of the network"
	default:
		l.Mark = Failed
		l.Sentence += ", though " + owner + " announces the address"
		l.Remedy = "is " + owner + " in this network? Does a switch, a hypervisor or a Wi-Fi access point drop " + protocol + "? See docs/troubleshooting.md"
	}
	return l
}

// learned is what the kernel knows of a host that answers for an address.
func learned(s *snapshot.State, w wire, ip netip.Addr) Item {
	switch mac, fresh := w.Neighbor(ip); {
	case mac == "":
		return Item{"layer 2", Note, "this host was told no hardware address: it is not in a network of the address, or cannot say",
			"to see which host answers, run this on a host of that network"}
	case !fresh:
		return Item{mac, Note, "was the hardware address when this host last used the address; it has not been confirmed since", ""}
	default:
		return neighborItem(s, ip, mac)
	}
}

// neighborItem says whose a hardware address is that answers for an address.
func neighborItem(s *snapshot.State, ip netip.Addr, mac string) Item {
	owner := s.Announced.Address(s.Time, ip).Owner
	switch node, name := stationOf(s, mac); {
	case node == "":
		return Item{mac, Failed, "answers for the address, and is no node's", "find the host by its hardware address and take the address from it"}
	case owner == "" || owner == node:
		return Item{mac, OK, "answers for the address: " + name + " of " + node, ""}
	default:
		return Item{mac, Warning, fmt.Sprintf("answers for the address: %s of %s, and %s announces it", name, node, owner),
			"if this lasts, the kernel of " + node + " answers by itself: kubectl clarion why node/" + node}
	}
}

// stationOf is the node, and its interface, that has a hardware address; "" for none.
func stationOf(s *snapshot.State, mac string) (node, name string) {
	for _, a := range s.Announcers {
		for _, i := range a.Status.Layer2.Interfaces {
			if i.MAC == mac {
				return a.Name, i.Name
			}
		}
	}
	return "", ""
}
