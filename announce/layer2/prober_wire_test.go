package layer2

import (
	"bytes"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestKernelOfANeighbourAnswersQuestionsAndProbes(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h, names := switched(t, 1)
			links := follow(t)
			p := inquire(t, links)
			br0, err := h.NL.LinkByName("br0")
			must(t, err)
			mac := br0.Attrs().HardwareAddr
			await(t, links, names[0], "up", func(i Interface, _ bool) bool { return i.Up })
			check := func(t *testing.T) {
				for _, probe := range []bool{false, true} {
					q := Question{Interface: names[0], Address: addresses.has, Probe: probe}
					a, ok := asking(t, p, patiently(q))()
					if !ok || !bytes.Equal(a.MAC, mac) || !bytes.Equal(a.Source, mac) || a.Probe {
						t.Errorf("probe %v: answer %+v, %v, want %v", probe, a, ok, mac)
					}
					alone := patiently(q)
					alone.MAC = mac
					if a, ok := asking(t, p, alone)(); !ok || !bytes.Equal(a.MAC, mac) {
						t.Errorf("probe %v, asked alone: answer %+v, %v", probe, a, ok)
					}
					q.Address, q.Interval = addresses.free, 20*time.Millisecond
					if a, ok := asking(t, p, q)(); ok {
						t.Errorf("probe %v: somebody answered for what is free: %+v", probe, a)
					}
				}
			}
			t.Run("without an address", check)
			settle(t, links, names[0], addresses.own)
			t.Run("with an address", check)
		})
	}
}

func TestQuestionsComeFromAnAddressOfTheInterfaceAndProbesFromNone(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	links := follow(t)
	p := inquire(t, links)
	mac := link(t, name).Attrs().HardwareAddr
	for _, addresses := range families {
		settle(t, links, name, addresses.own)
	}
	for _, probe := range []bool{false, true} {
		own4, own6 := families["IPv4"].own, families["IPv6"].own
		if probe {
			own4, own6 = netip.IPv4Unspecified(), netip.IPv6Unspecified()
		}
		s := h.station("lan")
		wait := asking(t, p, patiently(Question{Interface: name, Address: vip1, Probe: probe}))
		got, to := s.receive("a question", func(p *arp.Packet) bool { return p.TargetIP == vip1 })
		want := newPacket(arp.OperationRequest, mac, own4, noMAC, vip1)
		if got.Operation != want.Operation || got.SenderIP != own4 || !bytes.Equal(got.SenderHardwareAddr, mac) ||
			!bytes.Equal(got.TargetHardwareAddr, noMAC) || !bytes.Equal(to, broadcast) {
			t.Errorf("probe %v: asked %+v of %v", probe, got, to)
		}
		s.send(frame(s.mac, mac, untagged, newPacket(arp.OperationReply, s.mac, vip1, mac, own4)))
		wait()

		s = h.stationFor("lan", unix.ETH_P_IPV6)
		wait = asking(t, p, patiently(Question{Interface: name, Address: vip61, Probe: probe}))
		packet := solicitation(own6, groupOf(vip61), vip61, sourceMAC(mac))
		if probe {
			packet = solicitation(unspecified, groupOf(vip61), vip61)
		}
		question := frameFor(unix.ETH_P_IPV6, mac, multicastMAC(groupOf(vip61)), untagged, packet)
		s.receiveFrame("a solicitation", func(b []byte) bool { return bytes.Equal(b, question) })
		s.send(frameFor(unix.ETH_P_IPV6, s.mac, allNodesMAC, untagged, ndpPacket(vip61, allNodes, advertised6(vip61, s.mac))))
		wait()
	}
	if n := p.Asked(); n.ARP < 2 || n.NDP < 2 {
		t.Errorf("asked %+v", n)
	}
}

func TestAHostThatAnswersForAnotherIsToldFromIt(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h := newHost(t)
			name := cable(t, h, "lan")
			links := follow(t)
			p := inquire(t, links)
			settle(t, links, name, addresses.own)
			s := h.stationOf("lan", addresses.free)
			q := patiently(Question{Interface: name, Address: addresses.free})
			q.Accept = func(a Answer) bool { return bytes.Equal(a.MAC, otherMAC) }
			wait := asking(t, p, q)
			s.asked(addresses.free)
			s.says(addresses.free, s.mac) // not accepted
			s.says(addresses.free, otherMAC)
			if a, ok := wait(); !ok || !bytes.Equal(a.MAC, otherMAC) || !bytes.Equal(a.Source, s.mac) {
				t.Errorf("answer %+v, %v", a, ok)
			}
		})
	}
}

func TestProbesOfOtherHostsForTheSameAddressCount(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h := newHost(t)
			name := cable(t, h, "lan")
			links := follow(t)
			p := inquire(t, links)
			settle(t, links, name, addresses.own)
			s := h.stationOf("lan", addresses.free)
			q := patiently(Question{Interface: name, Address: addresses.free, Probe: true})
			q.Accept = func(a Answer) bool { return !bytes.Equal(a.MAC, otherMAC) }
			wait := asking(t, p, q)
			s.asked(addresses.free)
			s.probes(addresses.free, otherMAC) // known
			s.probes(addresses.free, asker)
			if a, ok := wait(); !ok || !bytes.Equal(a.MAC, asker) || !a.Probe {
				t.Errorf("answer %+v, %v", a, ok)
			}
			// A question that is no probe is not answered by probes of other hosts.
			q.Probe, q.Accept = false, nil
			wait = asking(t, p, q)
			s.asked(addresses.free)
			s.probes(addresses.free, asker)
			s.says(addresses.free, otherMAC)
			if a, ok := wait(); !ok || a.Probe {
				t.Errorf("answer %+v, %v", a, ok)
			}
		})
	}
}

// The node has two interfaces on one network. On one it answers what it asks on the other.
func TestNodeDoesNotAnswerItself(t *testing.T) {
	for family, addresses := range families {
		t.Run(family, func(t *testing.T) {
			h, names := switched(t, 2)
			links := follow(t)
			p, r := NewProber(links), NewResponder(links)
			run(t, p.Run, r.Run)
			settle(t, links, names[0], addresses.own)
			h.finds(addresses.own, link(t, names[0]).Attrs().HardwareAddr)
			r.Set(map[netip.Addr][]string{addresses.free: names[1:]})
			h.finds(addresses.free, link(t, names[1]).Attrs().HardwareAddr)
			answered := r.Answered()
			for _, probe := range []bool{false, true} {
				q := Question{Interface: names[0], Address: addresses.free, Probe: probe}
				if a, ok := asking(t, p, q)(); ok {
					t.Errorf("probe %v: answered by %+v", probe, a)
				}
			}
			if r.Answered() == answered {
				t.Error("the responder never answered, so that nothing is shown")
			}
		})
	}
}

func TestThousandQuestionsShareASocket(t *testing.T) {
	h, names := switched(t, 1)
	links := follow(t)
	p := inquire(t, links)
	settle(t, links, names[0], families["IPv4"].own)
	// All of a network is at the other host.
	lo, err := h.NL.LinkByName("lo")
	must(t, err)
	must(t, h.NL.RouteAdd(&netlink.Route{
		LinkIndex: lo.Attrs().Index, Type: unix.RTN_LOCAL, Table: unix.RT_TABLE_LOCAL, Scope: unix.RT_SCOPE_HOST,
		Dst: &net.IPNet{IP: net.IPv4(10, 0, 0, 0), Mask: net.CIDRMask(16, 32)},
	}))
	sockets := func() int {
		text, err := os.ReadFile("/proc/thread-self/net/packet")
		must(t, err)
		return strings.Count(string(text), "\n") - 1
	}
	before := sockets()
	var waiting sync.WaitGroup
	addr := netip.MustParseAddr("10.0.0.1")
	for range 1000 {
		wait := asking(t, p, patiently(Question{Interface: names[0], Address: addr}))
		waiting.Go(func() {
			if _, ok := wait(); !ok {
				t.Error("a question was not answered")
			}
		})
		addr = addr.Next()
	}
	waiting.Wait()
	if n := sockets() - before; n != 1 {
		t.Errorf("%d sockets, want one", n)
	}
}

func TestQuestionEndsWithAnErrorWhenTheInterfaceGoes(t *testing.T) {
	h := newHost(t)
	name := cable(t, h, "lan")
	links := follow(t)
	p := inquire(t, links)
	for _, addresses := range families {
		settle(t, links, name, addresses.own)
		s := h.stationOf("lan", addresses.free)
		done := make(chan error, 1)
		go func() {
			_, _, err := p.Ask(t.Context(), patiently(Question{Interface: name, Address: addresses.free}))
			done <- err
		}()
		s.asked(addresses.free)
		must(t, netlink.LinkSetDown(link(t, name)))
		if err := <-done; err == nil {
			t.Error("no error")
		}
		await(t, links, name, "down", func(i Interface, _ bool) bool { return !i.Up })
		if _, _, err := p.Ask(t.Context(), Question{Interface: name, Address: addresses.free}); err == nil {
			t.Error("no error on an interface that is down")
		}
		must(t, netlink.LinkSetUp(link(t, name)))
		await(t, links, name, "up", func(i Interface, _ bool) bool { return i.Up })
	}
}
