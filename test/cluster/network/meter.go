package network

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

// MeterOptions says how a meter asks. Zero values stand for the defaults.
type MeterOptions struct {
	// Interval is the time from one attempt to the next, default 5ms. Attempts do not wait for each
	// other.
	Interval time.Duration
	// Timeout is how long an attempt may take, default 1s.
	Timeout time.Duration
}

// Attempt is one fresh connection with one HTTP request on it.
type Attempt struct {
	Start, End time.Time
	// Answer is what an echo server answered, zero if something else did.
	Answer echo.Answer
	// Err says why there was no answer with status 200.
	Err error
}

// Meter measures how well an address can be reached from a host.
type Meter struct {
	started time.Time
	cancel  context.CancelFunc
	done    chan struct{}
	running sync.WaitGroup

	mu       sync.Mutex
	attempts []Attempt // in the order of their ends
	changed  chan struct{}
}

// Measure opens a fresh connection to an address every few milliseconds until the meter is stopped,
// and asks for / on it.
func (h *Host) Measure(target netip.AddrPort, options MeterOptions) *Meter {
	if options.Interval == 0 {
		options.Interval = 5 * time.Millisecond
	}
	if options.Timeout == 0 {
		options.Timeout = time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	m := &Meter{started: time.Now(), cancel: cancel, done: make(chan struct{}), changed: make(chan struct{})}
	go func() {
		defer close(m.done)
		// One thread is inside the host and opens the sockets. Everything after that works from
		// anywhere.
		err := h.Do(func() error { m.pace(ctx, h, target, options); return nil })
		if err != nil {
			m.add(Attempt{Start: m.started, End: time.Now(), Err: err})
		}
		m.running.Wait()
	}()
	return m
}

func (m *Meter) pace(ctx context.Context, h *Host, target netip.AddrPort, options MeterOptions) {
	tick := time.NewTicker(options.Interval)
	defer tick.Stop()
	for {
		start := time.Now()
		conn, err := h.connect(target)
		if err != nil {
			m.add(Attempt{Start: start, End: time.Now(), Err: err})
		} else {
			m.running.Go(func() {
				answer, err := ask(conn, target, start.Add(options.Timeout))
				m.add(Attempt{Start: start, End: time.Now(), Answer: answer, Err: err})
			})
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// connect begins to open a connection and does not wait for it: the first write does. net.Dial
// would keep a thread inside the host for every connection that is not answered. The calling thread
// must be inside the host.
//
// Connections to a target use one source port after the other. The kernel would choose ports again
// too soon, while a node still remembers the connection that had them.
func (h *Host) connect(target netip.AddrPort) (*os.File, error) {
	family, address := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(target.Port()), Addr: v4(target.Addr())})
	if target.Addr().Is6() {
		family, address = unix.AF_INET6, &unix.SockaddrInet6{Port: int(target.Port()), Addr: target.Addr().As16()}
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1)
	if err == nil {
		err = h.bind(fd, target)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("bind to a port of %s: %w", h.Name, err)
	}
	if err := unix.Connect(fd, address); err != nil && err != unix.EINPROGRESS {
		unix.Close(fd)
		return nil, fmt.Errorf("connect to %s: %w", target, err)
	}
	return os.NewFile(uintptr(fd), target.String()), nil
}

// bind binds a socket to the next port for a target. It passes over those that other programs of the host have.
func (h *Host) bind(fd int, target netip.AddrPort) (err error) {
	for range 100 {
		port := h.nextPort(target)
		own := unix.Sockaddr(&unix.SockaddrInet4{Port: port})
		if target.Addr().Is6() {
			own = &unix.SockaddrInet6{Port: port}
		}
		if err = unix.Bind(fd, own); err != unix.EADDRINUSE {
			return err
		}
	}
	return err
}

// nextPort is the port for a connection to a target.
func (h *Host) nextPort(target netip.AddrPort) int {
	const first, last = 2000, 60999
	h.portsMu.Lock()
	defer h.portsMu.Unlock()
	port, used := h.ports[target]
	if port++; !used || port > last {
		port = first
	}
	if h.ports == nil {
		h.ports = map[netip.AddrPort]int{}
	}
	h.ports[target] = port
	return port
}

func v4(a netip.Addr) (b [4]byte) {
	copy(b[:], a.AsSlice())
	return b
}

func ask(conn *os.File, target netip.AddrPort, deadline time.Time) (echo.Answer, error) {
	defer conn.Close()
	if err := conn.SetDeadline(deadline); err != nil {
		return echo.Answer{}, err
	}
	if _, err := fmt.Fprintf(conn, "GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target); err != nil {
		return echo.Answer{}, err
	}
	response, err := http.ReadResponse(bufio.NewReaderSize(conn, 1024), nil)
	if err != nil {
		return echo.Answer{}, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return echo.Answer{}, err
	}
	if response.StatusCode != http.StatusOK {
		return echo.Answer{}, fmt.Errorf("status %s", response.Status)
	}
	answer, _ := echo.Parse(string(body)) // anybody's page counts as an answer
	return answer, nil
}

func (m *Meter) add(attempt Attempt) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.attempts = append(m.attempts, attempt)
	close(m.changed)
	m.changed = make(chan struct{})
}

// Await waits for an attempt that begins after the call and matches.
func (m *Meter) Await(ctx context.Context, match func(Attempt) bool) (Attempt, error) {
	since := time.Now()
	for next := 0; ; {
		m.mu.Lock()
		attempts, changed := m.attempts[next:], m.changed
		m.mu.Unlock()
		for _, attempt := range attempts {
			if attempt.Start.After(since) && match(attempt) {
				return attempt, nil
			}
		}
		next += len(attempts)
		select {
		case <-changed:
		case <-ctx.Done():
			return Attempt{}, fmt.Errorf("wait for an attempt: %w; so far: %s", ctx.Err(), m.Report())
		}
	}
}

// Succeeded matches attempts that were answered, for [Meter.Await].
func Succeeded(a Attempt) bool { return a.Err == nil }

// Failed matches attempts that were not answered, for [Meter.Await].
func Failed(a Attempt) bool { return a.Err != nil }

// Stop ends the measurement and returns its result. It waits for the attempts under way. That wait
// is no gap.
func (m *Meter) Stop() Report {
	end := time.Now()
	m.cancel()
	<-m.done
	return m.report(end)
}

// Report returns the result so far.
func (m *Meter) Report() Report { return m.report(time.Now()) }

func (m *Meter) report(end time.Time) Report {
	m.mu.Lock()
	defer m.mu.Unlock()
	return newReport(m.started, end, slices.Clone(m.attempts))
}

// Report is the result of a measurement.
type Report struct {
	Start, End time.Time
	// Attempts are all attempts, in the order of their ends.
	Attempts []Attempt
	// Failures counts those without an answer.
	Failures int
	// LongestGap is the longest time between the ends of two successful attempts, and GapStart its
	// beginning. The beginning and the end of the measurement bound gaps, too. Attempts that were
	// under way at the end may end after it.
	LongestGap time.Duration
	GapStart   time.Time
}

func newReport(start, end time.Time, attempts []Attempt) Report {
	slices.SortStableFunc(attempts, func(a, b Attempt) int { return a.End.Compare(b.End) })
	r := Report{Start: start, End: end, Attempts: attempts}
	last := start
	gap := func(until time.Time) {
		if d := until.Sub(last); d > r.LongestGap {
			r.LongestGap, r.GapStart = d, last
		}
		last = until
	}
	for _, attempt := range attempts {
		if attempt.Err != nil {
			r.Failures++
		} else {
			gap(attempt.End)
		}
	}
	gap(end)
	return r
}

// Nodes returns how many answers came from pods of each node.
func (r Report) Nodes() map[string]int {
	return r.count(func(a echo.Answer) string { return a.Node })
}

// Pods returns how many answers came from each pod.
func (r Report) Pods() map[string]int {
	return r.count(func(a echo.Answer) string { return a.Pod })
}

func (r Report) count(by func(echo.Answer) string) map[string]int {
	counts := map[string]int{}
	for _, attempt := range r.Attempts {
		if attempt.Err == nil {
			counts[by(attempt.Answer)]++
		}
	}
	return counts
}

// String sums the report up in a line.
func (r Report) String() string {
	line := fmt.Sprintf("%d attempts in %s, %d failed, longest gap %s", len(r.Attempts),
		r.End.Sub(r.Start).Round(time.Millisecond), r.Failures, r.LongestGap.Round(time.Millisecond))
	if errs := r.errors(); len(errs) > 0 {
		line += " (" + strings.Join(errs, "; ") + ")"
	}
	return line
}

// errors returns the different reasons of the failures, without what differs between connections.
func (r Report) errors() []string {
	reasons := map[string]int{}
	for _, attempt := range r.Attempts {
		if attempt.Err == nil {
			continue
		}
		reason := attempt.Err.Error()
		if path := (*os.PathError)(nil); errors.As(attempt.Err, &path) {
			reason = path.Err.Error()
		}
		reasons[reason]++
	}
	var lines []string
	for _, reason := range slices.Sorted(maps.Keys(reasons)) {
		lines = append(lines, fmt.Sprintf("%d× %s", reasons[reason], reason))
	}
	return lines
}
