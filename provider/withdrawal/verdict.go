package withdrawal

import (
	"maps"
	"slices"
	"time"

	"github.com/clarionlb/clarion/internal/deadnodes"
)

const (
	// freshness is how old a verdict may be for a withdrawal to begin. Kubernetes has noticed by then, or the kubelet is alive.
	freshness = time.Minute
	// share is the part of all nodes of which endpoints are withdrawn at once: one in so many, and always one. That more die at the
	// same time is less likely than that the network is broken.
	share = 10
)

// view is what the API says about nodes.
type view struct {
	// ready has all Nodes, and which of them are Ready for Kubernetes.
	ready map[string]bool
	// records are those of the announcers, by the nodes that they run on. Who records nothing takes part too, and takes nobody for dead.
	records map[string]deadnodes.Record
}

// verdict is that a node is dead.
type verdict struct {
	// by are the nodes whose announcers say so, of that many in all.
	by  []string
	all int
	// since is when they became a majority.
	since time.Time
	// latest is from when on a majority has said so. A record that is older may be one that nobody can take back, as its announcer
	// does not run.
	latest time.Time
}

// verdicts are the nodes that a majority of all announcers takes for dead. Those whose own nodes are among them have no say, but count.
func (v view) verdicts() map[string]verdict {
	return v.judge(v.judge(nil))
}

func (v view) judge(silenced map[string]verdict) map[string]verdict {
	all := 0
	votes := map[string][]string{}
	for voter, record := range v.records {
		if _, exists := v.ready[voter]; !exists {
			continue
		}
		all++
		if _, dead := silenced[voter]; dead {
			continue
		}
		for name := range record {
			if _, exists := v.ready[name]; exists && name != voter {
				votes[name] = append(votes[name], voter)
			}
		}
	}
	verdicts := map[string]verdict{}
	for name, by := range votes {
		if 2*len(by) <= all {
			continue
		}
		slices.SortFunc(by, func(a, b string) int { return v.records[a][name].Compare(v.records[b][name]) })
		majority := all/2 + 1
		since, latest := v.records[by[majority-1]][name], v.records[by[len(by)-majority]][name]
		slices.Sort(by)
		verdicts[name] = verdict{by, all, since, latest}
	}
	return verdicts
}

// limit is of how many nodes endpoints are withdrawn at once.
func (v view) limit() int { return max(1, len(v.ready)/share) }

// due are the nodes of which the endpoints are to be withdrawn now: they are dead by the fresh word of a majority, and Ready for
// Kubernetes. Those of which they are withdrawn already (begun) are left out. If there are more such nodes than the limit, all others
// are held.
func (v view) due(dead map[string]verdict, begun func(name string) bool, now time.Time) (due, held []string) {
	count := 0
	for _, name := range slices.Sorted(maps.Keys(dead)) {
		if !v.ready[name] {
			continue // Kubernetes has noticed itself
		}
		count++
		if age := now.Sub(dead[name].latest).Abs(); !begun(name) && age < freshness {
			due = append(due, name)
		}
	}
	if count > v.limit() {
		return nil, due
	}
	return due, nil
}
