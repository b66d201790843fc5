package bfd

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// speakOn runs a speaker on any host until the test ends.
func speakOn(t testing.TB, h *host) *Speaker {
	s := newSpeaker(func() (sockets, error) {
		sockets, err := attach() // the thread is the speaker's own
		if err == nil {
			err = unix.Setns(int(h.NS), unix.CLONE_NEWNET)
		}
		return sockets, err
	})
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), klog.Logger{}))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s
}

func TestSessionsThatAreAuthenticatedOnRealSockets(t *testing.T) {
	for name, ends := range map[string][2]netip.Addr{"IPv4": {left4, right4}, "IPv6": {left6, right6}} {
		t.Run(name, func(t *testing.T) {
			a, b := newHost(t), newHost(t)
			cable(t, a, "eth0", b, "eth0")
			bits := map[bool]string{true: "/24", false: "/64"}[ends[0].Is4()]
			a.Address("eth0", ends[0].String()+bits)
			b.Address("eth0", ends[1].String()+bits)
			left, right := speakOn(t, a), speakOn(t, b)
			left.Set(map[string]Session{"right": keyed(ends[0], ends[1], "key")})
			right.Set(map[string]Session{"left": keyed(ends[1], ends[0], "key"), "other": keyed(ends[1], ends[0].Next().Next(), "key")})
			isFast := func(s Status) bool { return s.State == Up && s.Detection == 150*ms }
			expect(t, left, "a session", isFast)
			await(t, "the other end", func() bool { return isFast(right.Sessions()[0]) })
			a.deaf()
			down := expect(t, left, "the end of the session", isDown)[0]
			if down.Diagnostic != DetectionTimeExpired || down.LastDetection < 150*ms || down.Refused > 0 {
				t.Errorf("%+v", down)
			}
			a.hear()
			expect(t, left, "a session again", isFast)
		})
	}
}

// BenchmarkNeighbours measures the processor time of a member that exchanges heartbeats with four
// others, in thousandths of a processor: as many as each has, however many there are.
func BenchmarkNeighbours(b *testing.B) {
	for _, interval := range []time.Duration{50 * ms, 20 * ms} {
		b.Run(interval.String(), func(b *testing.B) {
			const members = 5
			sw := newHost(b)
			must(b, sw.NL.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "bridge"}}))
			sw.Up("bridge")
			bridge, err := sw.NL.LinkByName("bridge")
			must(b, err)
			address := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{192, 0, 2, byte(n + 1)}) }
			var speakers []*Speaker
			for n := range members {
				h := newHost(b)
				name := fmt.Sprint(n)
				cable(b, h, "eth0", sw, name)
				port, err := sw.NL.LinkByName(name)
				must(b, err)
				must(b, sw.NL.LinkSetMaster(port, bridge))
				h.Address("eth0", address(n).String()+"/24")
				speakers = append(speakers, speakOn(b, h))
			}
			for n, s := range speakers {
				sessions := map[string]Session{}
				for other := range members {
					if other != n {
						session := keyed(address(n), address(other), "key")
						session.Transmit, session.Receive = interval, interval
						sessions[fmt.Sprint(other)] = session
					}
				}
				s.Set(sessions)
			}
			for _, s := range speakers {
				expect(b, s, "all sessions", func(s Status) bool { return s.State == Up && s.Detection == 3*interval })
			}
			begin, used := time.Now(), processorTime(b)
			ticker := time.NewTicker(time.Second)
			defer ticker.Stop()
			for b.Loop() {
				<-ticker.C
			}
			b.ReportMetric(float64(processorTime(b)-used)/float64(time.Since(begin))*1000/members, "mcpu/member")
			failures := uint64(0)
			for _, s := range speakers {
				for _, session := range s.Sessions() {
					failures += session.Failures
				}
			}
			b.ReportMetric(float64(failures), "failures")
		})
	}
}
