package announce

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/clarionlb/clarion/internal/deadnodes"
)

// fakeDeadNodes keeps the record of a node as kube.DeadNodesWriter does, but for the API.
type fakeDeadNodes struct {
	idle
	mu     sync.Mutex
	record deadnodes.Record
}

func (f *fakeDeadNodes) Write(silent, unknown []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.record = f.record.Next(silent, unknown, time.Now())
}

func (f *fakeDeadNodes) WentBack() {}

// recordDead has announcers that are about to be started record which nodes are silent.
func (c *cluster) recordDead(names ...string) map[string]*fakeDeadNodes {
	records := map[string]*fakeDeadNodes{}
	for _, name := range names {
		records[name] = &fakeDeadNodes{record: deadnodes.Record{}}
		r := c.prepare(name)
		r.api.deadNodes = records[name]
		r.run(c.t.Context())
	}
	return records
}

// expectDead checks which announcers have recorded that a node is dead.
func (c *cluster) expectDead(records map[string]*fakeDeadNodes, node string, by ...string) {
	c.t.Helper()
	var got []string
	for name, f := range records {
		f.mu.Lock()
		_, dead := f.record[node]
		f.mu.Unlock()
		if dead {
			got = append(got, name)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, by) {
		c.t.Errorf("%v have recorded that %s is dead, want %v", got, node, by)
	}
}

var fourNodes = []string{"n1", "n2", "n3", "n4"}

func TestAllRecordThatANodeIsDeadThoughItHasNoAddress(t *testing.T) {
	inCluster(t, fourNodes, func(t *testing.T, c *cluster) {
		records := c.recordDead(fourNodes...)
		c.after(10 * time.Second)
		c.powerOff(c.running["n3"])
		c.after(deathTimeout - time.Millisecond)
		c.expectDead(records, "n3", "n1", "n2", "n4") // by heartbeats, before the gossip has lost it
		c.after(2 * time.Second)
		c.expectDead(records, "n3", "n1", "n2", "n4")
	})
}

func TestNobodyRecordsANodeAsDeadOfWhichTheAnnouncerAloneIs(t *testing.T) {
	inCluster(t, fourNodes, func(t *testing.T, c *cluster) {
		records := c.recordDead(fourNodes...)
		c.service("web", "192.168.10.100")
		c.after(10 * time.Second)
		_ = c.running["n3"].stop()
		c.after(5 * time.Minute)
		c.expectDead(records, "n3")
	})
}

func TestAMinorityRecordsNobody(t *testing.T) {
	inCluster(t, fourNodes, func(t *testing.T, c *cluster) {
		records := c.recordDead(fourNodes...)
		c.after(10 * time.Second)
		c.powerOff(c.running["n3"])
		c.powerOff(c.running["n4"])
		c.after(10 * time.Second)
		c.expectDead(records, "n3")
		c.expectDead(records, "n4")
	})
}
