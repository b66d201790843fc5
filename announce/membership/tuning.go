package membership

import (
	"log"
	"time"

	"github.com/hashicorp/memberlist"
)

// retransmits, times the number of digits of the number of members, is how often each member tells a piece of news.
const retransmits = 4

// pace is how quickly members take each other for dead.
type pace struct {
	// interval is the time between two pings of a member.
	interval time.Duration
	// timeout is after what part of it others are asked to ping too.
	timeout time.Duration
	// suspicion is for how many intervals one that did not answer may object.
	suspicion int
}

var quick = pace{interval: 70 * time.Millisecond, timeout: 30 * time.Millisecond, suspicion: 3}

// memberlistConfig is memberlist's for a LAN, quickened.
//
// Every member pings one other each ProbeInterval, in turn. One that has not answered by the end of the interval, neither
// directly nor by way of others nor over TCP, is suspected, and dead SuspicionMult intervals later if it has not objected
// by then. Everybody knows of a death after 0.45 to 0.9 s, mostly 0.55 s.
//
// BenchmarkFalseAlarms chose the interval: with 30 busy processes on two processors five members never took each other
// for dead. At 100 ms they did, even with more intervals to object in, because a ping and its answer wait for a processor
// too often to be back in time; and everybody was noticed only 0.1 s earlier.
func (c *Cluster) memberlistConfig() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name = c.config.Name
	m.BindAddr, m.BindPort = c.config.Address.String(), c.config.Port
	m.AdvertiseAddr, m.AdvertisePort = m.BindAddr, m.BindPort
	m.Logger = log.New(logWriter{c}, "", 0)
	m.Events, m.Ping = sight{c}, sight{c}
	m.Delegate = voice{c}
	m.Keyring = c.keys.ring
	m.GossipVerifyIncoming, m.GossipVerifyOutgoing = true, true

	m.ProbeInterval = c.pace.interval
	// Those asked on the way report a failure after this time too, which must reach the asker within the interval.
	m.ProbeTimeout = c.pace.timeout
	m.SuspicionMult = c.pace.suspicion
	// Waiting longer until others confirm a suspicion would delay those deaths that only few can see.
	m.SuspicionMaxTimeoutMult = 1
	// A member that finds itself slow would probe more slowly, and notice the second of two deaths late.
	m.AwarenessMaxMultiplier = 1
	m.RetransmitMult = retransmits
	m.GossipInterval = 20 * time.Millisecond
	m.PushPullInterval = 10 * time.Second
	m.TCPTimeout = time.Second
	// A node may come back at once, and with another address.
	m.DeadNodeReclaimTime = time.Nanosecond
	m.EnableCompression = false
	return m
}
