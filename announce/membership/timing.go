package membership

import (
	"log"
	"time"

	"github.com/hashicorp/memberlist"
)

// retransmits, times the number of digits of the number of members, is how often each member tells a piece of news.
const retransmits = 4

// timing is how quickly members take each other for dead.
type timing struct {
	// interval is the time between two pings of a member, each of the others in turn.
	interval time.Duration
	// timeout is after what part of it others are asked to ping too.
	timeout time.Duration
	// suspicion is for how many intervals one that did not answer may object.
	suspicion int
}

// lanTiming is the pace for a LAN. One that has not answered a ping by the end of the interval, neither directly nor by way of
// others nor over TCP, is suspected, and dead an interval later if it has not objected by then. So a death is noticed within
// two intervals of the first ping that it leaves unanswered, and that comes one interval after it on average with three
// members, half an interval with many. From ten members on memberlist stretches the time to object, to 1.7 intervals at 50.
//
// BenchmarkFalseAlarms chose the interval, with 30 busy processes on two processors and no less of other work: of five members
// one took another for dead 3 times in 6 minutes; in 75 s it was 6 times at 90 ms and 37 times at 80 ms. Shorter intervals with
// more of them to object in are no quicker and raise more false alarms: at 70 ms with three of them 20 in a minute.
var lanTiming = timing{interval: 110 * time.Millisecond, timeout: 45 * time.Millisecond, suspicion: 1}

// memberlistConfig is memberlist's for a LAN, quickened.
func (c *Cluster) memberlistConfig() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name = c.config.Name
	m.BindAddr, m.BindPort = c.config.Address.String(), c.config.Port
	m.AdvertiseAddr, m.AdvertisePort = m.BindAddr, m.BindPort
	m.Logger = log.New(logWriter{c}, "", 0)
	m.Events, m.Ping = events{c}, events{c}
	m.Delegate = delegate{c}
	m.Keyring = c.keys.ring
	m.GossipVerifyIncoming, m.GossipVerifyOutgoing = true, true

	m.ProbeInterval = c.timing.interval
	// Those asked on the way report a failure after this time too, which must reach the asker within the interval.
	m.ProbeTimeout = c.timing.timeout
	m.SuspicionMult = c.timing.suspicion
	// Waiting longer until others confirm a suspicion would delay those deaths that only few can see.
	m.SuspicionMaxTimeoutMult = 1
	// A member that finds itself slow would probe more slowly, and notice the second of two deaths late.
	m.AwarenessMaxMultiplier = 1
	m.RetransmitMult = retransmits
	// News also travels with pings and answers. Looking for some every 20 ms would take a third of the processor time of an
	// idle member.
	m.GossipInterval = 30 * time.Millisecond
	m.PushPullInterval = 10 * time.Second
	m.TCPTimeout = time.Second
	// A node may come back at once, and with another address.
	m.DeadNodeReclaimTime = time.Nanosecond
	m.EnableCompression = false
	return m
}
