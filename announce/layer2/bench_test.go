package layer2

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/mdlayher/arp"
	"golang.org/x/sys/unix"
)

// block is that many addresses on an interface.
func block(count int, ifi string) map[netip.Addr][]string {
	addresses := map[netip.Addr][]string{}
	for addr := netip.MustParseAddr("10.0.0.1"); len(addresses) < count; addr = addr.Next() {
		addresses[addr] = []string{ifi}
	}
	return addresses
}

// BenchmarkAnswer measures a question and its answer on a real interface, in processor time of the
// whole process, which also plays the asker.
func BenchmarkAnswer(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("addresses=%d", count), func(b *testing.B) {
			s := answering(b, unix.ETH_P_ARP, vip1, count)
			question := frame(s.mac, broadcast, untagged, newPacket(arp.OperationRequest, s.mac, netip.MustParseAddr("192.0.2.1"), noMAC, vip1))
			ask(b, func() {
				s.send(question)
				s.receive("an answer", isAnswer)
			})
		})
	}
}

// BenchmarkAnswer6 is BenchmarkAnswer for IPv6. What grows with the addresses is the kernel's part:
// for every multicast that arrives, it looks through all groups of the interface.
func BenchmarkAnswer6(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("addresses=%d", count), func(b *testing.B) {
			s := answering(b, unix.ETH_P_IPV6, vip61, count)
			question := frameFor(unix.ETH_P_IPV6, s.mac, multicastMAC(groupOf(vip61)), untagged, solicitation(client6, groupOf(vip61), vip61, sourceMAC(s.mac)))
			ask(b, func() {
				s.send(question)
				s.receive6("an answer", isAnswer6)
			})
		})
	}
}

// answering has the node answer for an address and as many more of its family, and returns a
// station that can ask.
func answering(b *testing.B, etherType int, addr netip.Addr, more int) *station {
	h := newHost(b)
	name := cable(b, h, "lan")
	links := NewLinks()
	r := NewResponder(links)
	r.Rate, r.Burst, r.FirstRate, r.FirstBurst = 1, 2, 1, 2 // almost no announcements
	run(b, links.Run)
	run(b, r.Run)
	s := h.stationFor("lan", etherType)
	r.Set(map[netip.Addr][]string{addr: {name}})
	if addr.Is4() {
		s.receive("the announcement", announces(arp.OperationReply, addr))
	} else {
		s.receive6("the announcement", announcing(addr))
	}
	addresses := map[netip.Addr][]string{}
	for len(addresses) <= more {
		addresses[addr] = []string{name}
		addr = addr.Next()
	}
	r.Set(addresses)
	// Joining groups takes the kernel a while, and the station hears of each.
	for again := time.Tick(10 * time.Millisecond); addr.Is6() && len(memberships(b, name)) <= more; {
		<-again
	}
	return s
}

// ask measures a question and its answer.
func ask(b *testing.B, ask func()) {
	begin := processorTime(b)
	for b.Loop() {
		ask()
	}
	b.ReportMetric(float64(processorTime(b)-begin)/float64(b.N), "cpu-ns/op")
}

// BenchmarkAsk measures a question that the kernel of a neighbour answers: with a socket that is
// there already, and with one that has to be opened first.
func BenchmarkAsk(b *testing.B) {
	for family, addresses := range families {
		h := newHost(b)
		name := cable(b, h, "lan")
		if addresses.has.Is4() {
			h.Address("lan", addresses.has.String()+"/24")
		} else {
			h.Address("lan", addresses.has.String()+"/64")
		}
		links := NewLinks()
		p := NewProber(links)
		run(b, links.Run, p.Run)
		q := Question{Interface: name, Address: addresses.has, Tries: 1, Interval: patience}
		for again := time.Tick(10 * time.Millisecond); ; <-again { // until the link is up at both ends
			if _, ok, _ := p.Ask(b.Context(), Question{Interface: name, Address: addresses.has}); ok {
				break
			}
		}
		question := func() {
			if _, ok, err := p.Ask(b.Context(), q); !ok || err != nil {
				b.Fatal(ok, err)
			}
		}
		b.Run(family, func(b *testing.B) { ask(b, question) })
		b.Run(family+"/first", func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				for range 2 { // the second time finds them idle since the first
					closeAll(p.takeIdle(false))
				}
				b.StartTimer()
				question()
			}
		})
	}
}

// BenchmarkSet measures an order that changes one address of many.
func BenchmarkSet(b *testing.B) {
	for _, count := range []int{10, 10_000} {
		b.Run(fmt.Sprintf("addresses=%d", count), func(b *testing.B) {
			r := newResponder(newFakeLAN("eth0"))
			ctx, cancel := context.WithCancel(b.Context())
			done := make(chan error)
			go func() { done <- r.Run(ctx) }()
			addresses := block(count, "eth0")
			for n := 0; b.Loop(); n++ {
				if n%2 == 0 {
					addresses[vip1] = []string{"eth0"}
				} else {
					delete(addresses, vip1)
				}
				r.Set(addresses)
			}
			cancel()
			<-done
		})
	}
}

func processorTime(b *testing.B) int64 {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}
