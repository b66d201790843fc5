package membership

import (
	"log"
	"time"

	"github.com/hashicorp/memberlist"
)

// retransmits, times the number of digits of the number of members, is how often each member passes
// a piece of news on.
const retransmits = 4

// timing is how quickly members take each other for dead.
type timing struct {
	// interval is the probe interval: in each, a member probes one of the others, all in turn.
	interval time.Duration
	// timeout is how long a probe may go unanswered before other members are asked to probe too
	// (SWIM's ping-req).
	timeout time.Duration
	// suspicion is how many intervals a suspect has to refute that it is dead.
	suspicion int
}

// lanTiming is the timing for a LAN. A member becomes a suspect if by the end of the interval it
// has answered neither the probe, nor those of other members, nor a probe over TCP. It is dead one
// interval later unless it refutes that. So a death is noticed within two intervals of the first
// probe that it leaves unanswered. That probe comes one interval after the death on average with
// three members, and half an interval after it with many. From ten members on, memberlist gives
// suspects more time: 1.7 intervals with 50 members.
//
// Heartbeats (package heartbeat) notice a death before that, so what counts here is the processor time of an idle member: with an
// interval of 110 ms it takes twice that of 250 ms (BenchmarkIdle). The gossip alone notices a member that dies together with all four
// that watch it, or whose heartbeats do not come through.
var lanTiming = timing{interval: 250 * time.Millisecond, timeout: 100 * time.Millisecond, suspicion: 1}

// memberlistConfig is memberlist's configuration for a LAN, with what makes it quicker.
func (c *Cluster) memberlistConfig() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name = c.config.Name
	m.BindAddr, m.BindPort = c.config.Address.String(), c.config.Port
	m.AdvertiseAddr, m.AdvertisePort = m.BindAddr, m.BindPort
	m.Logger = log.New(logWriter{c}, "", 0)
	m.Events, m.Ping = events{c}, events{c}
	m.Delegate, m.Alive = delegate{c}, admission{c}
	m.Keyring = c.keys.ring
	m.Label = label
	m.GossipVerifyIncoming, m.GossipVerifyOutgoing = true, true

	m.ProbeInterval = c.timing.interval
	// A member that probes for another reports a failure after this time too, and the report must
	// arrive within the interval.
	m.ProbeTimeout = c.timing.timeout
	m.SuspicionMult = c.timing.suspicion
	// A longer time until others confirm a suspicion would delay the news of deaths that only few
	// members can see.
	m.SuspicionMaxTimeoutMult = 1
	// A member that found itself slow would probe more slowly, and notice the second of two deaths
	// late.
	m.AwarenessMaxMultiplier = 1
	m.RetransmitMult = retransmits
	// News also travels with probes and answers. At 30 ms, the turns in which there is no news would wake an idle member more often than
	// all else does.
	m.GossipInterval = 100 * time.Millisecond
	m.PushPullInterval = 10 * time.Second
	m.TCPTimeout = time.Second
	// A node may come back at once, and with another address.
	m.DeadNodeReclaimTime = time.Nanosecond
	m.EnableCompression = false
	return m
}
