package plan

import (
	"errors"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// BFDSettings is how BFD is to watch the path to a BGP peer (RFC 5880).
type BFDSettings struct {
	// Transmit and Receive are how often packets are to be sent and can be received; 0 is the
	// default of package bfd.
	Transmit, Receive time.Duration
	// Multiplier is how many packets have to be missing for the path to count as dead; 0 is the
	// default.
	Multiplier uint8
	// MinimumTTL of the packets of a peer that is several hops away; 0 is the default.
	MinimumTTL uint8
	// Passive leaves it to the peer to begin.
	Passive bool
	// Strict has a BGP session only while BFD is up.
	Strict bool
	// Refused is why the path is not watched, in words; empty if it is. The BGP session is not
	// concerned.
	Refused string
	// Age is the rank of the BGPPeer, the oldest first. Of several settings for one path those with
	// the lowest count.
	Age int
}

// errEcho is about the echo function, which needs the forwarding planes of both ends.
var errEcho = errors.New("spec.echoMode is not supported")

// newBFDSettings reads a BFDProfile, whose times are in milliseconds. The error says why it cannot
// be used: the settings then are that the path is not watched.
func newBFDSettings(p *v1alpha1.BFDProfile) (*BFDSettings, error) {
	s := &p.Spec
	if s.EchoMode {
		return &BFDSettings{Refused: unsupportedBFDProfile(p.Name, errEcho)}, errEcho
	}
	return &BFDSettings{
		Transmit:   time.Duration(s.TransmitInterval) * time.Millisecond,
		Receive:    time.Duration(s.ReceiveInterval) * time.Millisecond,
		Multiplier: uint8(s.DetectMultiplier),
		MinimumTTL: uint8(s.MinimumTTL),
		Passive:    s.PassiveMode,
		Strict:     s.Strict,
	}, nil
}
