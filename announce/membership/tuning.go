package membership

import (
	"log"
	"time"

	"github.com/hashicorp/memberlist"
)

// memberlistConfig is memberlist's for a LAN, quickened.
//
// Every member pings one other each ProbeInterval, in turn. One that has not answered by the end of the interval, neither
// directly nor to others asked on the way nor over TCP, is suspected, and dead SuspicionMult intervals later if it does
// not object.
func (c *Cluster) memberlistConfig() *memberlist.Config {
	m := memberlist.DefaultLANConfig()
	m.Name = c.config.Name
	m.BindAddr, m.BindPort = c.config.Address.String(), c.config.Port
	m.AdvertiseAddr, m.AdvertisePort = m.BindAddr, m.BindPort
	m.Logger = log.New(logWriter{c.config.Logger}, "", 0)
	m.Events = sight{c}

	m.ProbeInterval = 100 * time.Millisecond
	// Those asked on the way report a failure after this time too, which must reach the asker within the interval: else it
	// takes itself for the slow one and doubles its intervals.
	m.ProbeTimeout = 40 * time.Millisecond
	m.SuspicionMult = 3
	// Waiting longer until others confirm a suspicion would delay those deaths that only few can see.
	m.SuspicionMaxTimeoutMult = 1
	// A member that finds itself slow probes this many times more slowly at most.
	m.AwarenessMaxMultiplier = 3
	m.GossipInterval = 20 * time.Millisecond
	m.PushPullInterval = 10 * time.Second
	m.TCPTimeout = time.Second
	// A node may come back at once, and with another address.
	m.DeadNodeReclaimTime = time.Nanosecond
	m.EnableCompression = false
	return m
}
