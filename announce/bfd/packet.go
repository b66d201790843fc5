package bfd

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// State is the state of a session (RFC 5880, section 4.1).
type State uint8

const (
	// AdminDown : the session was ended on purpose. That says nothing about the path.
	AdminDown State = iota
	// Down : no packets of the remote system arrive, or it has just gone down.
	Down
	// Init : packets of the remote system arrive, and those of this side may not arrive there yet.
	Init
	// Up : the path works in both directions.
	Up
)

func (s State) String() string {
	return [...]string{"AdminDown", "Down", "Init", "Up"}[s&3]
}

// Diagnostic is why a session left the state Up last (RFC 5880, section 4.1).
type Diagnostic uint8

// The diagnostics that this side sends. Remote systems may send others.
const (
	NoDiagnostic         Diagnostic = 0
	DetectionTimeExpired Diagnostic = 1
	NeighborSignaledDown Diagnostic = 3
	AdministrativelyDown Diagnostic = 7
)

const diagnosticMask Diagnostic = 1<<5 - 1

var diagnosticNames = [...]string{
	"no diagnostic", "control detection time expired", "echo function failed", "neighbor signaled session down",
	"forwarding plane reset", "path down", "concatenated path down", "administratively down", "reverse concatenated path down",
}

func (d Diagnostic) String() string {
	if int(d) < len(diagnosticNames) {
		return diagnosticNames[d]
	}
	return fmt.Sprintf("diagnostic %d", uint8(d))
}

// packet is a control packet without its authentication section (RFC 5880, section 4.1).
type packet struct {
	diagnostic Diagnostic
	state      State
	// poll asks for a packet with final.
	poll, final bool
	// independent says that the sender's forwarding does not depend on its control plane.
	independent bool
	// authenticated says that an authentication section follows.
	authenticated bool
	// demand says that the sender needs no periodic packets.
	demand bool
	// multiplier is the detection multiplier: after as many missing packets, the path has failed.
	multiplier uint8
	// myDiscriminator identifies the sender's session. yourDiscriminator identifies the receiver's;
	// it is 0 if the sender does not know that yet.
	myDiscriminator, yourDiscriminator uint32
	// Intervals are whole microseconds up to maxInterval.
	desiredMinTx, requiredMinRx, requiredMinEchoRx time.Duration
}

const (
	version    = 1
	packetSize = 24
	// maxInterval is the longest one that a packet can carry.
	maxInterval = (1<<32 - 1) * time.Microsecond
)

const (
	flagMultipoint = 1 << iota
	flagDemand
	flagAuthentication
	flagIndependent
	flagFinal
	flagPoll
)

// append appends the packet to b.
func (p packet) append(b []byte) []byte {
	flags := byte(p.state)<<6 | flag(p.poll, flagPoll) | flag(p.final, flagFinal) | flag(p.independent, flagIndependent) |
		flag(p.authenticated, flagAuthentication) | flag(p.demand, flagDemand)
	b = append(b, version<<5|byte(p.diagnostic&diagnosticMask), flags, p.multiplier, packetSize)
	b = binary.BigEndian.AppendUint32(b, p.myDiscriminator)
	b = binary.BigEndian.AppendUint32(b, p.yourDiscriminator)
	b = binary.BigEndian.AppendUint32(b, uint32(p.desiredMinTx/time.Microsecond))
	b = binary.BigEndian.AppendUint32(b, uint32(p.requiredMinRx/time.Microsecond))
	return binary.BigEndian.AppendUint32(b, uint32(p.requiredMinEchoRx/time.Microsecond))
}

func flag(set bool, bit byte) byte {
	if set {
		return bit
	}
	return 0
}

// Errors of parse.
var (
	errShort         = errors.New("too short")
	errVersion       = errors.New("not of version 1")
	errLength        = errors.New("its length field is wrong")
	errMultiplier    = errors.New("its detection multiplier is 0")
	errMultipoint    = errors.New("it is for many receivers")
	errDiscriminator = errors.New("it lacks a discriminator")
)

// parse reads a packet. It returns an error for those that RFC 5880, section 6.8.6, tells every
// receiver to discard. It ignores what follows the packet, an authentication section included.
func parse(b []byte) (packet, error) {
	if len(b) < packetSize {
		return packet{}, errShort
	}
	p := packet{
		diagnostic:        Diagnostic(b[0]) & diagnosticMask,
		state:             State(b[1] >> 6),
		poll:              b[1]&flagPoll != 0,
		final:             b[1]&flagFinal != 0,
		independent:       b[1]&flagIndependent != 0,
		authenticated:     b[1]&flagAuthentication != 0,
		demand:            b[1]&flagDemand != 0,
		multiplier:        b[2],
		myDiscriminator:   binary.BigEndian.Uint32(b[4:]),
		yourDiscriminator: binary.BigEndian.Uint32(b[8:]),
		desiredMinTx:      interval(b[12:]),
		requiredMinRx:     interval(b[16:]),
		requiredMinEchoRx: interval(b[20:]),
	}
	minLength := packetSize
	if p.authenticated {
		minLength += 2 // type and length of the section
	}
	switch length := int(b[3]); {
	case b[0]>>5 != version:
		return packet{}, errVersion
	case length < minLength || length > len(b):
		return packet{}, errLength
	case p.multiplier == 0:
		return packet{}, errMultiplier
	case b[1]&flagMultipoint != 0:
		return packet{}, errMultipoint
	case p.myDiscriminator == 0 || p.yourDiscriminator == 0 && p.state != Down && p.state != AdminDown:
		return packet{}, errDiscriminator
	}
	return p, nil
}

func interval(b []byte) time.Duration {
	return time.Duration(binary.BigEndian.Uint32(b)) * time.Microsecond
}
