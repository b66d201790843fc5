package speaker

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/announce/bgp"
)

// BenchmarkKernel measures from Set to the kernel of the router: routes that are announced, and
// that are withdrawn again.
func BenchmarkKernel(b *testing.B) {
	for _, count := range []int{1, 1000, 10_000} {
		b.Run(fmt.Sprintf("routes=%d", count), func(b *testing.B) {
			r := newRouter(b, plain()...)
			s := newSpeaker(b, false)
			run(b, s)
			peers, rs := alone(r.peer()), say(block(count, nil))
			s.Set(peers, nil)
			established(b, s, "tor")
			follow := r.follow(b)
			updates := status(s, "tor").Updates
			var up, down time.Duration
			for b.Loop() {
				began := time.Now()
				s.Set(peers, rs)
				follow(count)
				up += time.Since(began)
				began = time.Now()
				s.Set(peers, nil)
				follow(0)
				down += time.Since(began)
			}
			b.ReportMetric(up.Seconds()*1000/float64(b.N), "announce-ms")
			b.ReportMetric(down.Seconds()*1000/float64(b.N), "withdraw-ms")
			b.ReportMetric(float64(status(s, "tor").Updates-updates)/float64(b.N), "updates/op")
		})
	}
}

// follow returns a function that waits until the kernel of a router has so many routes by BGP.
func (h *host) follow(b *testing.B) func(int) {
	b.Helper()
	changes := h.changes()
	have := len(h.kernel())
	return func(want int) {
		for have != want {
			switch change := <-changes; {
			case change.Type == unix.RTM_NEWROUTE:
				have++
			case change.Type == unix.RTM_DELROUTE:
				have--
			}
		}
	}
}

// BenchmarkSet measures, with 10,000 routes for each of two routers, what it costs to say the same
// again, and to change one route until its UPDATE has been sent to both.
func BenchmarkSet(b *testing.B) {
	const count = 10_000
	s := newSpeaker(b, false)
	run(b, s)
	reader := func(conn net.Conn) {
		if greet(conn) == nil {
			attend(conn)
		}
	}
	peers := stubs(b, reader, reader)
	rs, changed := map[bgp.SessionKey][]bgp.Route{}, map[bgp.SessionKey][]bgp.Route{}
	for key := range peers {
		rs[key] = block(count, nil)
		changed[key] = slices.Clone(rs[key])
		changed[key][count/2].Attributes = &bgp.Attributes{Prepend: 1}
	}
	s.Set(peers, rs)
	updates := func() (sent uint64) {
		for _, p := range s.Peers() {
			sent += p.Updates
		}
		return sent
	}
	for key := range peers {
		eventually(b, "all routes", func() (bool, any) { return status(s, key.Peer).Prefixes == count, status(s, key.Peer) })
	}
	b.Run("unchanged", func(b *testing.B) {
		before := updates()
		measure(b, func(int) { s.Set(peers, rs) })
		b.ReportMetric(float64(updates()-before), "updates")
	})
	b.Run("one changed", func(b *testing.B) {
		before := updates()
		measure(b, func(n int) {
			was := updates()
			s.Set(peers, []map[bgp.SessionKey][]bgp.Route{changed, rs}[n%2])
			for updates() < was+uint64(len(peers)) {
				time.Sleep(10 * time.Microsecond)
			}
		})
		b.ReportMetric(float64(updates()-before)/float64(b.N), "updates/op")
		s.Set(peers, rs)
	})
}

// BenchmarkDifference measures the comparison of two lists of 10,000 routes that are equal and not
// the same.
func BenchmarkDifference(b *testing.B) {
	from, to := block(10_000, nil), block(10_000, nil)
	for b.Loop() {
		difference(from, order(to))
	}
}

// measure reports the processor time of the whole process for each run of f.
func measure(b *testing.B, f func(n int)) {
	b.Helper()
	began := processorTime(b)
	n := 0
	for b.Loop() {
		f(n)
		n++
	}
	b.ReportMetric(float64(processorTime(b)-began)/float64(b.N), "cpu-ns/op")
}

func processorTime(b *testing.B) int64 {
	b.Helper()
	var u unix.Rusage
	must(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return u.Utime.Nano() + u.Stime.Nano()
}

// BenchmarkMemory measures what one session takes, of ten: dialling, established, with 10,000
// routes to say, and with 100,000 received.
func BenchmarkMemory(b *testing.B) {
	const count = 10
	flood := func(conn net.Conn) {
		if greet(conn) == nil {
			go io.Copy(io.Discard, conn)
			receive(conn, block(100_000, nil))
			live(conn)
		}
	}
	quiet := func(conn net.Conn) {
		if greet(conn) == nil {
			attend(conn)
		}
	}
	deaf := func(conn net.Conn) { io.Copy(io.Discard, conn) }
	for _, c := range []struct {
		name   string
		serve  func(net.Conn)
		routes int
		state  bgp.State
	}{
		{"dialling", deaf, 0, bgp.OpenSent},
		{"established", quiet, 0, bgp.Established},
		{"10,000 routes", quiet, 10_000, bgp.Established},
		{"100,000 received", flood, 0, bgp.Established},
	} {
		b.Run(c.name, func(b *testing.B) {
			peers := stubs(b, slices.Repeat([]func(net.Conn){c.serve}, count)...)
			rs := map[bgp.SessionKey][]bgp.Route{}
			shared := block(c.routes, nil)
			for key, p := range peers {
				p.HoldTime = time.Minute
				peers[key] = p
				rs[key] = shared
			}
			before, goroutines := heap(), runtime.NumGoroutine()
			s := newSpeaker(b, false)
			stop := run(b, s)
			s.Set(peers, rs)
			for key := range peers {
				eventually(b, "the session", func() (bool, any) {
					p := status(s, key.Peer)
					return p.State == c.state && p.Prefixes == c.routes, p
				})
			}
			// What is still on its way or waits to be freed goes in the meantime.
			last := heap()
			for next := uint64(0); next != last; last, next = next, heap() {
				time.Sleep(time.Second)
				if last/1024/64 == next/1024/64 {
					break
				}
			}
			goroutines = runtime.NumGoroutine() - goroutines
			for b.Loop() {
			}
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(int64(last)-int64(before))/1024/count, "KiB/peer")
			b.ReportMetric(float64(goroutines)/count, "goroutines/peer")
			stop()
		})
	}
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
