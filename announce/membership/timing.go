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
// BenchmarkFalseAlarms chose the interval, with 30 busy processes on two processors beside other
// work. Of five members, one took another for dead 3 times in 6 minutes; within 75 s that happened
// 6 times at 90 ms and 37 times at 80 ms. Shorter intervals with more suspicion are no quicker and
// raise more false alarms: 70 ms and a suspicion of 3 gave 20 in a minute.
var lanTiming = timing{interval: 110 * time.Millisecond, timeout: 45 * time.Millisecond, suspicion: 1}

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
	// News also travels with probes and answers. A gossip interval of 20 ms would take a third of
	// the processor time of an idle member.
	m.GossipInterval = 30 * time.Millisecond
	m.PushPullInterval = 10 * time.Second
	m.TCPTimeout = time.Second
	// A node may come back at once, and with another address.
	m.DeadNodeReclaimTime = time.Nanosecond
	m.EnableCompression = false
	return m
}
