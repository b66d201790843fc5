package bfd

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// up is a packet of a session that is up.
var up = packet{
	state: Up, multiplier: 3, myDiscriminator: 1, yourDiscriminator: 2,
	desiredMinTx: 100 * time.Millisecond, requiredMinRx: 100 * time.Millisecond,
}

func with(p packet, change func(*packet)) packet {
	change(&p)
	return p
}

func TestPacketsAreWhatTheyAreOnTheWire(t *testing.T) {
	slowly := func(p *packet) { p.desiredMinTx = time.Second }
	for _, test := range []struct {
		name, bytes string
		packet      packet
	}{
		{"up", "20c003180000000100000002000186a0000186a000000000", up},
		{"poll", "20e003180000000100000002000186a0000186a000000000", with(up, func(p *packet) { p.poll = true })},
		{"final", "20d003180000000100000002000186a0000186a000000000", with(up, func(p *packet) { p.final = true })},
		{"down, begins", "204003180000000100000000000f4240000186a000000000", with(up, func(p *packet) { p.state, p.yourDiscriminator = Down, 0; slowly(p) })},
		{"init", "208003180000000100000002000f4240000186a000000000", with(up, func(p *packet) { p.state = Init; slowly(p) })},
		{"down, expired", "214003180000000100000000000f4240000186a000000000",
			with(up, func(p *packet) { p.state, p.diagnostic, p.yourDiscriminator = Down, DetectionTimeExpired, 0; slowly(p) })},
		{"down, neighbor signaled", "234003180000000100000002000f4240000186a000000000",
			with(up, func(p *packet) { p.state, p.diagnostic = Down, NeighborSignaledDown; slowly(p) })},
		{"administratively down", "270003180000000100000002000f4240000186a000000000",
			with(up, func(p *packet) { p.state, p.diagnostic = AdminDown, AdministrativelyDown; slowly(p) })},
		{"demand, independent, echo", "20ca01180000000100000002ffffffff00000000000003e8",
			with(up, func(p *packet) {
				p.demand, p.independent, p.multiplier = true, true, 1
				p.desiredMinTx, p.requiredMinRx, p.requiredMinEchoRx = maxInterval, 0, time.Millisecond
			})},
	} {
		b, err := hex.DecodeString(test.bytes)
		if err != nil {
			t.Fatal(err)
		}
		if got := test.packet.append(nil); !bytes.Equal(got, b) {
			t.Errorf("%s: wrote %x, want %x", test.name, got, b)
		}
		if got, err := parse(append(b, 1, 2, 3)); err != nil || got != test.packet {
			t.Errorf("%s: read %+v, %v, want %+v", test.name, got, err, test.packet)
		}
	}
}

func TestMalformedPacketsAreRefused(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(b []byte) []byte
		want   error
	}{
		{"nothing", func([]byte) []byte { return nil }, errShort},
		{"one byte less", func(b []byte) []byte { return b[:23] }, errShort},
		{"version 0", func(b []byte) []byte { b[0] = 0; return b }, errVersion},
		{"version 2", func(b []byte) []byte { b[0] = 2 << 5; return b }, errVersion},
		{"length too small", func(b []byte) []byte { b[3] = 23; return b }, errLength},
		{"length past the end", func(b []byte) []byte { b[3] = 25; return b }, errLength},
		{"no room for authentication", func(b []byte) []byte { b[1] |= flagAuthentication; b[3] = 25; return append(b, 1, 1) }, errLength},
		{"multiplier 0", func(b []byte) []byte { b[2] = 0; return b }, errMultiplier},
		{"multipoint", func(b []byte) []byte { b[1] |= flagMultipoint; return b }, errMultipoint},
		{"no discriminator of its own", func(b []byte) []byte { clear(b[4:8]); return b }, errDiscriminator},
		{"up with nobody", func(b []byte) []byte { clear(b[8:12]); return b }, errDiscriminator},
		{"init with nobody", func(b []byte) []byte { clear(b[8:12]); b[1] = 0x80; return b }, errDiscriminator},
	} {
		if _, err := parse(test.change(up.append(nil))); !errors.Is(err, test.want) {
			t.Errorf("%s: %v, want %v", test.name, err, test.want)
		}
	}
}

func TestPacketsSurviveTheWire(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		interval := func(name string) time.Duration {
			return time.Duration(rapid.Uint32().Draw(t, name)) * time.Microsecond
		}
		p := packet{
			diagnostic:        Diagnostic(rapid.Uint8Max(uint8(diagnosticMask)).Draw(t, "diagnostic")),
			state:             State(rapid.Uint8Max(3).Draw(t, "state")),
			poll:              rapid.Bool().Draw(t, "poll"),
			final:             rapid.Bool().Draw(t, "final"),
			independent:       rapid.Bool().Draw(t, "independent"),
			demand:            rapid.Bool().Draw(t, "demand"),
			multiplier:        rapid.Uint8Min(1).Draw(t, "multiplier"),
			myDiscriminator:   rapid.Uint32Min(1).Draw(t, "mine"),
			yourDiscriminator: rapid.Uint32Min(1).Draw(t, "yours"),
			desiredMinTx:      interval("desiredMinTx"),
			requiredMinRx:     interval("requiredMinRx"),
			requiredMinEchoRx: interval("requiredMinEchoRx"),
		}
		if got, err := parse(p.append(nil)); err != nil || got != p {
			t.Fatalf("%+v came back as %+v, %v", p, got, err)
		}
	})
}

// FuzzParse checks that what is taken for a packet is one, and means what it says.
func FuzzParse(f *testing.F) {
	f.Add(up.append(nil))
	f.Add(with(up, func(p *packet) { p.state, p.yourDiscriminator = Down, 0 }).append(nil))
	f.Add(append(with(up, func(p *packet) { p.authenticated = true }).append(nil), 1, 4, 1, 'x'))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parse(b)
		if err != nil {
			return
		}
		if p.multiplier == 0 || p.myDiscriminator == 0 || p.yourDiscriminator == 0 && p.state > Down {
			t.Fatalf("%x was taken for %+v", b, p)
		}
		again := p.append(nil)
		again[3] = b[3] // the length includes the authentication section
		if !bytes.Equal(again, b[:packetSize]) {
			t.Fatalf("%x came back as %x", b[:packetSize], again)
		}
	})
}
