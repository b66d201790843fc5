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

// verdicts are the nodes that a majority of all announcers takes for dead.
func (v view) verdicts() map[string]deadnodes.Verdict {
	return deadnodes.Verdicts(v.records, func(node string) bool {
		_, exists := v.ready[node]
		return exists
	})
}

// limit is of how many nodes endpoints are withdrawn at once.
func (v view) limit() int { return max(1, len(v.ready)/share) }

// due are the nodes of which the endpoints are to be withdrawn now: they are dead by the fresh word of a majority, and Ready for
// Kubernetes. Those of which they are withdrawn already (begun) are left out. If there are more such nodes than the limit, all others
// are held.
func (v view) due(dead map[string]deadnodes.Verdict, begun func(name string) bool, now time.Time) (due, held []string) {
	count := 0
	for _, name := range slices.Sorted(maps.Keys(dead)) {
		if !v.ready[name] {
			continue // Kubernetes has noticed itself
		}
		count++
		if age := now.Sub(dead[name].Latest).Abs(); !begun(name) && age < freshness {
			due = append(due, name)
		}
	}
	if count > v.limit() {
		return nil, due
	}
	return due, nil
}
