package plan

import (
	"errors"
	"time"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// BFDSettings is how BFD is to watch the path to a router.
type BFDSettings struct {
	// Transmit and Receive are how often packets are to be sent and can be received; 0 is the default of package bfd.
	Transmit, Receive time.Duration
	// Multiplier is how many packets have to be missing for the path to count as dead; 0 is the default.
	Multiplier uint8
	// MinimumTTL of the packets of a peer that is several hops away; 0 is the default.
	MinimumTTL uint8
	// Passive leaves it to the peer to begin.
	Passive bool
	// Strict has a session with the router only while BFD is up.
	Strict bool
	// Refused is why the path is not watched; the session with the router is not concerned. It is empty if it can be.
	Refused string
	// Age tells which one counts if there are several for one path: that with the lowest.
	Age int
}

// errEcho is about what routers and nodes would have to do in their forwarding planes.
var errEcho = errors.New("spec.echoMode is not supported")

// newBFDSettings reads a BFDProfile. Milliseconds end here.
func newBFDSettings(p *v1alpha1.BFDProfile) (BFDSettings, error) {
	s := &p.Spec
	if s.EchoMode {
		return BFDSettings{Refused: unsupportedBFDProfile(p.Name, errEcho)}, errEcho
	}
	return BFDSettings{
		Transmit:   time.Duration(s.TransmitInterval) * time.Millisecond,
		Receive:    time.Duration(s.ReceiveInterval) * time.Millisecond,
		Multiplier: uint8(s.DetectMultiplier),
		MinimumTTL: uint8(s.MinimumTTL),
		Passive:    s.PassiveMode,
		Strict:     s.Strict,
	}, nil
}
