package bfd

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
	"k8s.io/klog/v2/textlogger"
)

// witness notes, independently of the speaker, when packets for BFD arrived at the node, by the
// kernel's clock and the address that they were for.
type witness struct {
	t    testing.TB
	fd   int
	seen map[netip.Addr][]time.Time
	all  int
	// sent is when packets of sessions that are up last left, by the address that they came from,
	// and pause the longest time between two.
	sent  map[netip.Addr]time.Time
	pause time.Duration
}

func newWitness(t testing.TB, name string) *witness {
	t.Helper()
	link, err := netlink.LinkByName(name)
	must(t, err)
	w := &witness{t: t, seen: map[netip.Addr][]time.Time{}, sent: map[netip.Addr]time.Time{}}
	protocol := binary.BigEndian.Uint16(binary.NativeEndian.AppendUint16(nil, unix.ETH_P_ALL))
	w.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, int(protocol))
	must(t, err)
	t.Cleanup(func() { unix.Close(w.fd) })
	must(t, unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1))
	must(t, unix.SetsockoptInt(w.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	must(t, unix.Bind(w.fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: link.Attrs().Index}))
	return w
}

// look takes in what has arrived so far.
func (w *witness) look() {
	w.t.Helper()
	b, controls := make([]byte, 100), make([]byte, 100)
	for {
		n, size, _, from, err := unix.Recvmsg(w.fd, b, controls, 0)
		if err == unix.EAGAIN {
			return
		}
		must(w.t, err)
		const source, destination, port, state, header = 12, 16, 22, 29, 30 // with IP without options, and UDP
		if n < header || b[0]>>4 != 4 || binary.BigEndian.Uint16(b[port:]) != 3784 {
			continue
		}
		messages, err := unix.ParseSocketControlMessage(controls[:size])
		must(w.t, err)
		for _, m := range messages {
			if m.Header.Type == unix.SCM_TIMESTAMPNS {
				at := time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:])))
				if from.(*unix.SockaddrLinklayer).Pkttype == unix.PACKET_OUTGOING {
					us := netip.AddrFrom4([4]byte(b[source:]))
					if State(b[state]>>6) != Up {
						delete(w.sent, us)
						continue
					}
					if last, ok := w.sent[us]; ok {
						w.pause = max(w.pause, at.Sub(last))
					}
					w.sent[us] = at
					continue
				}
				to := netip.AddrFrom4([4]byte(b[destination:]))
				w.seen[to] = append(w.seen[to], at)
				w.all++
			}
		}
	}
}

// alarms are the times at which sessions went down, by name. It is a log.
type alarms struct {
	mu    sync.Mutex
	times map[string][]time.Time
}

func (a *alarms) Write(line []byte) (int, error) {
	if bytes.Contains(line, []byte(`from="Up"`)) && bytes.Contains(line, []byte(`diagnostic="`+DetectionTimeExpired.String()+`"`)) {
		_, name, _ := strings.Cut(string(line), `session="`)
		name, _, _ = strings.Cut(name, `"`)
		a.mu.Lock()
		defer a.mu.Unlock()
		a.times[name] = append(a.times[name], time.Now())
	}
	return len(line), nil
}

// judge compares the alarms of sessions whose names are their addresses with what the witness saw:
// an alarm was false if a packet had arrived less than the detection time before. It returns how
// many there were.
func (a *alarms) judge(w *witness, detection time.Duration) (count int) {
	w.t.Helper()
	w.look()
	a.mu.Lock()
	defer a.mu.Unlock()
	for name, times := range a.times {
		count += len(times)
		for _, alarm := range times {
			for _, at := range w.seen[netip.MustParseAddr(name)] {
				// What arrives at that very moment may be too late.
				if silent := alarm.Sub(at); silent > detection/10 && silent < detection*9/10 {
					w.t.Errorf("%s was taken for dead %s after a packet of it had arrived", name, silent)
				}
			}
		}
	}
	return count
}

// listen returns a speaker whose alarms are noted.
func (a *alarms) listen(t testing.TB) *Speaker {
	a.times = map[string][]time.Time{}
	s, _ := speakTo(t, textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(a))))
	return s
}

// While nothing of this process gets its turn, packets pile up and timers run out.
func TestSessionsOutlastALongWaitForAProcessor(t *testing.T) {
	_, router := neighbours(t)
	startFRR(router, frrConfig(every(20, 25), "192.0.2.1 interface eth0")...)
	var alarms alarms
	s := alarms.listen(t)
	// FRR is patient, and this side takes half a second of silence for death.
	s.Set(map[string]Session{left4.String(): {Peer: right4, Transmit: 50 * ms, Receive: 20 * ms, Multiplier: 250}})
	expect(t, s, "a session with FRR", isUp)
	await(t, "the agreed intervals", func() bool { return s.Sessions()[0].Detection == 500*ms })
	witness := newWitness(t, "eth0")
	for range 3 {
		before := len(witness.seen[left4])
		s.mu.Lock()
		await(t, "packets for a second", func() bool {
			witness.look()
			seen := witness.seen[left4][before:]
			return len(seen) > 10 && seen[len(seen)-1].Sub(seen[0]) > time.Second
		})
		s.mu.Unlock()
		received := s.Sessions()[0].Received
		await(t, "packets again", func() bool { return s.Sessions()[0].Received > received+10 })
	}
	alarms.judge(witness, 500*ms)
}

// burden keeps all processors busy until the test ends, and this process with them.
func burden(t testing.TB) {
	done := make(chan struct{})
	var busy sync.WaitGroup
	busy.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				garbage := make([]byte, 1<<16)
				rand.Read(garbage)
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		busy.Wait()
	})
	for range 2 * runtime.NumCPU() {
		// It ends with the thread that starts it, or before.
		cmd := exec.Command("sh", "-c", "while :; do :; done")
		cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		started, end := make(chan error), make(chan struct{})
		go func() {
			runtime.LockOSThread()
			started <- cmd.Start()
			<-end
		}()
		must(t, <-started)
		t.Cleanup(func() {
			cmd.Process.Kill()
			cmd.Wait()
			close(end)
		})
	}
}

// What is sent to a busy node, or by a busy one, may come late. What has arrived is never missed.
func TestNoSessionIsTakenForDeadWithoutReasonUnderPressure(t *testing.T) {
	n, router := neighbours(t)
	sessions, config := hundredSessions(n, every(100, 3), Session{Transmit: 100 * ms, Receive: 100 * ms})
	startFRR(router, config...)
	var alarms alarms
	s := alarms.listen(t)
	s.Set(sessions)
	expect(t, s, "all sessions", isUp)
	witness := newWitness(t, "eth0")
	burden(t)
	await(t, "five thousand packets", func() bool {
		witness.look()
		return witness.all > 5000
	})
	count := alarms.judge(witness, 300*ms)
	failures := uint64(0)
	for _, s := range s.Sessions() {
		failures += s.Failures
	}
	t.Logf("%d failures of 100 sessions in %d packets, %d of them by silence, which was real; at most %s between two packets of this side",
		failures, witness.all, count, witness.pause)
}
