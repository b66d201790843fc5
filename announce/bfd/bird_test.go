package bfd

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// bird is BIRD on a host.
type bird struct {
	*host
	directory string
	daemon    *daemon
}

// birdConfig is BIRD's configuration of sessions with what follows "neighbor".
func birdConfig(milliseconds, multiplier int, neighbours ...string) string {
	options := fmt.Sprintf("{ min rx interval %d ms; min tx interval %[1]d ms; multiplier %d; }", milliseconds, multiplier)
	var lines strings.Builder
	fmt.Fprintf(&lines, "log stderr all;\nrouter id 192.0.2.2;\nprotocol device {}\nprotocol bfd test {\n interface \"*\" %s;\n multihop %[1]s;\n", options)
	for _, n := range neighbours {
		fmt.Fprintf(&lines, " neighbor %s;\n", n)
	}
	lines.WriteString("}\n")
	return lines.String()
}

// startBIRD starts BIRD with a configuration.
func startBIRD(h *host, config string) *bird {
	h.t.Helper()
	b := &bird{host: h, directory: h.t.TempDir()}
	write(h.t, b.directory, "bird.conf", config)
	b.startDaemon()
	return b
}

func (b *bird) startDaemon() {
	b.t.Helper()
	b.daemon = b.start("bird", "-f", "-c", filepath.Join(b.directory, "bird.conf"), "-s", b.socket())
	b.awaitAnswer(b.daemon, "birdc", "-s", b.socket(), "show status")
}

func (b *bird) socket() string { return filepath.Join(b.directory, "bird.ctl") }

func (b *bird) control(command string) string {
	b.t.Helper()
	return b.run("birdc", "-s", b.socket(), command)
}

// reconfigure has BIRD go on with another configuration.
func (b *bird) reconfigure(config string) {
	b.t.Helper()
	write(b.t, b.directory, "bird.conf", config)
	b.control("configure")
}

// awaitState waits until BIRD sees its sessions in that state.
func (b *bird) awaitState(state string) {
	b.t.Helper()
	await(b.t, "state "+state+" in BIRD", func() bool {
		return strings.Contains(b.control("show bfd sessions"), " "+state+" ")
	})
}

// withBIRD has a session with BIRD be up.
func withBIRD(t testing.TB, multiplier uint8) (*host, *bird, *Speaker) {
	n, router := neighbours(t)
	b := startBIRD(router, birdConfig(100, int(multiplier), `192.0.2.1 dev "eth0" local 192.0.2.2`))
	s, _ := speak(t)
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 100 * ms, Receive: 100 * ms, Multiplier: multiplier}})
	expect(t, s, "a session with BIRD", isUp)
	b.awaitState("Up")
	return n, b, s
}

func TestSessionsWithBIRDComeUp(t *testing.T) {
	for name, test := range map[string]struct {
		bird    func(node, router *host) string
		session func(router *host) Session
	}{
		"IPv4": {
			func(_, _ *host) string { return `192.0.2.1 dev "eth0" local 192.0.2.2` },
			func(*host) Session { return Session{Peer: right4} },
		},
		"IPv6": {
			func(_, _ *host) string { return `2001:db8::1 dev "eth0" local 2001:db8::2` },
			func(*host) Session { return Session{Peer: right6} },
		},
		"IPv6, link-local": {
			func(n, router *host) string {
				return fmt.Sprintf(`%s%%eth0 local %s`, n.linkLocal("eth0"), router.linkLocal("eth0"))
			},
			func(router *host) Session { return Session{Peer: router.linkLocal("eth0"), Interface: "eth0"} },
		},
		"multihop": {
			func(_, _ *host) string { return `192.0.2.1 local 192.0.2.2 multihop` },
			func(*host) Session { return Session{Peer: right4, MultiHop: true, MinimumTTL: 64} }, // with which BIRD begins
		},
	} {
		t.Run(name, func(t *testing.T) {
			n, router := neighbours(t)
			b := startBIRD(router, birdConfig(100, patient, test.bird(n, router)))
			s, _ := speak(t)
			session := test.session(router)
			session.Transmit, session.Receive, session.Multiplier = 100*ms, 100*ms, patient
			s.Set(map[string]Session{"router": session})
			expect(t, s, "a session with BIRD", isUp)
			b.awaitState("Up")
			expect(t, s, "no error", func(s Status) bool { return s.Err == nil && s.Failures == 0 })
		})
	}
}

func TestBIRDAndThisSideNoticeADeadPath(t *testing.T) {
	n, b, s := withBIRD(t, 10)
	for name, cut := range map[string][]*host{"both directions": {n, b.host}, "there": {b.host}, "back": {n}} {
		t.Run(name, func(t *testing.T) {
			failures := s.Sessions()[0].Failures
			for _, h := range cut {
				h.deaf()
			}
			if got := expect(t, s, "the end of the session", isDown)[0]; got.Failures == failures {
				t.Errorf("%+v", got)
			}
			for _, h := range cut {
				h.hear()
			}
			expect(t, s, "another session with BIRD", isUp)
			b.awaitState("Up")
		})
	}
}

// BIRD ends sessions without a packet, so that to this side the path has failed.
func TestASessionThatBIRDEndsIsAFailure(t *testing.T) {
	_, b, s := withBIRD(t, 10)
	b.control("disable test")
	if got := expect(t, s, "the end of the session", isDown)[0]; got.Diagnostic != DetectionTimeExpired || got.Failures == 0 {
		t.Errorf("%+v", got)
	}
	b.control("enable test")
	expect(t, s, "another session with BIRD", isUp)
}

func TestBIRDIsToldThatTheSessionEndsOnPurpose(t *testing.T) {
	_, b, s := withBIRD(t, patient)
	s.Set(nil)
	b.awaitState("Down")
	s.Set(map[string]Session{"router": {Peer: right4, Multiplier: patient}})
	expect(t, s, "another session with BIRD", isUp)
	b.awaitState("Up")
}

func TestIntervalsChangeInTheMidstOfASessionWithBIRD(t *testing.T) {
	_, b, s := withBIRD(t, patient)
	b.reconfigure(birdConfig(400, patient, `192.0.2.1 dev "eth0" local 192.0.2.2`))
	agreed := func(interval, detection int) {
		t.Helper()
		await(t, "the new intervals", func() bool {
			got := s.Sessions()[0]
			return got.Transmit.Milliseconds() == int64(interval) && got.Detection.Milliseconds() == int64(detection)
		})
	}
	agreed(400, 400*patient)
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 500 * ms, Receive: 600 * ms, Multiplier: patient}})
	agreed(500, 600*patient)
	b.reconfigure(birdConfig(100, patient, `192.0.2.1 dev "eth0" local 192.0.2.2`))
	s.Set(map[string]Session{"router": {Peer: right4, Transmit: 100 * ms, Receive: 50 * ms, Multiplier: patient}})
	agreed(100, 100*patient)
	if got := s.Sessions()[0]; got.State != Up || got.Failures > 0 {
		t.Errorf("interrupted: %+v", got)
	}
}

func TestASessionOutlastsARestartOfBIRD(t *testing.T) {
	_, b, s := withBIRD(t, 10)
	b.daemon.kill()
	expect(t, s, "the end of the session", isDown)
	b.startDaemon()
	expect(t, s, "another session with BIRD", func(s Status) bool { return s.State == Up && s.Err == nil })
}

// BIRD has both ports on the node as soon as it has a BFD protocol.
func TestThePortThatBIRDHasOnTheNodeIsReported(t *testing.T) {
	n, _ := neighbours(t)
	b := startBIRD(n, birdConfig(100, 3, `192.0.2.2 dev "eth0" local 192.0.2.1`))
	s, _ := speak(t)
	s.Set(map[string]Session{"router": {Peer: right4}, "far": {Peer: right4, MultiHop: true}})
	expect(t, s, "word that a port is taken", func(s Status) bool { return errors.Is(s.Err, ErrPortTaken) })
	b.daemon.kill()
	await(t, "the port", func() bool { return !slices.ContainsFunc(s.Sessions(), func(s Status) bool { return s.Sent == 0 }) })
}
