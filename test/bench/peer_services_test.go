package bench

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// manyServices creates so many Services with endpoints at once on three nodes, leaves them alone for a while, and restarts what hands
// out addresses.
func manyServices(count int) scenario {
	return scenario{fmt.Sprintf("%d Services are created at once", count), func(b *testing.B, p product, results *measured) {
		audit, config := newAudit(b, cluster.Config{}, p.users...)
		config.Nodes = 3
		c := watchServices(b, p.start(b, config), p.pool("10.200.0.0/16"))
		c.StartApp(b)
		for run := 0; b.Loop(); run++ {
			all := names(fmt.Sprintf("app-%d", run), count)
			before := c.used(p)
			mark, began := audit.mark(b), time.Now()
			created := c.createApps(all)
			results.add("all have their address", "s", c.awaitServed(all...).Sub(began).Seconds())
			waits := c.waits(created)
			results.add("a Service waits, median", "s", waits[len(waits)/2])
			results.add("the longest wait", "s", waits[len(waits)-1])
			time.Sleep(settling)
			after := c.used(p)
			results.add("CPU of what hands out addresses", "s", (after.controller - before.controller).Seconds())
			results.add("CPU of the agent of a node", "s", (after.agents - before.agents).Seconds())
			results.add("memory of what hands out addresses", "MiB", after.controllerMiB)
			results.add("memory of the agent of a node", "MiB", after.agentsMiB)
			writes, _ := c.requests(audit, mark)
			results.add("writes for each Service", "", float64(writes)/float64(count))

			mark, before = audit.mark(b), after
			time.Sleep(quiet)
			after = c.used(p)
			results.add(fmt.Sprintf("nothing changes for %.0f s: CPU of all", quiet.Seconds()), "s",
				(after.controller - before.controller + time.Duration(len(c.Nodes()))*(after.agents-before.agents)).Seconds())
			_, requests := c.requests(audit, mark)
			results.add(fmt.Sprintf("nothing changes for %.0f s: requests", quiet.Seconds()), "", float64(requests))

			results.add("from a restart to the address of a new Service", "s", c.restart(p, fmt.Sprintf("fresh-%d", run)).Seconds())
			c.deleteServices(append(all, fmt.Sprintf("fresh-%d", run))...)
		}
	}}
}

// createApps creates Services of the sample app as fast as the API server takes them, and returns when it had taken each.
func (c *control) createApps(names []string) map[string]time.Time {
	c.b.Helper()
	var mu sync.Mutex
	created := map[string]time.Time{}
	forEach(c.b, names, func(ctx context.Context, name string) error {
		_, err := c.client.CoreV1().Services(metav1.NamespaceDefault).Create(ctx, newService(name), metav1.CreateOptions{})
		mu.Lock()
		defer mu.Unlock()
		created[name] = time.Now()
		return err
	})
	return created
}

// waits returns for how many seconds Services waited for their addresses, in ascending order.
func (c *control) waits(created map[string]time.Time) []float64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	var waits []float64
	for name, at := range created {
		waits = append(waits, max(c.served[name].Sub(at).Seconds(), 0))
	}
	slices.Sort(waits)
	return waits
}

// use is what a product has used, and holds.
type use struct {
	// agents is the mean of all of them.
	controller, agents       time.Duration
	controllerMiB, agentsMiB float64
}

func (c *control) used(p product) (u use) {
	c.b.Helper()
	controller := c.controllerOf(p)
	u.controller, u.controllerMiB = cpuTime(c.b, controller), residentMiB(c.b, controller)
	nodes := len(c.Nodes())
	for _, node := range c.Nodes() {
		agent, err := node.Process(p.agent)
		if err != nil {
			c.b.Fatal(err)
		}
		u.agents += cpuTime(c.b, agent) / time.Duration(nodes)
		u.agentsMiB += residentMiB(c.b, agent) / float64(nodes)
	}
	return u
}

// controllerOf returns the process that hands out addresses.
func (c *control) controllerOf(p product) *network.Process {
	c.b.Helper()
	var failed error
	for _, node := range c.Nodes() {
		process, err := node.Process(p.controller)
		if err == nil {
			return process
		}
		failed = err
	}
	c.b.Fatal(failed)
	return nil
}

// requests counts the requests since a mark of the programs of a product, and the writes among them.
func (c *control) requests(audit *audit, mark int64) (writes, requests int) {
	c.b.Helper()
	calls, err := audit.since(mark)
	if err != nil {
		c.b.Fatal(err)
	}
	counts := map[string]int{}
	for _, call := range calls {
		counts[call.String()]++
		switch call.Verb {
		case "create", "update", "patch", "delete":
			writes++
		}
	}
	for _, call := range slices.Sorted(maps.Keys(counts)) {
		c.b.Logf("%d × %s", counts[call], call)
	}
	return writes, len(calls)
}

// restart has what hands out addresses end as for an upgrade, and returns how long a Service that is created then waits.
func (c *control) restart(p product, fresh string) time.Duration {
	c.b.Helper()
	process := c.controllerOf(p)
	began := time.Now()
	if err := process.Terminate(); err != nil {
		c.b.Fatal(err)
	}
	if err := process.Wait(c.b.Context()); err != nil {
		c.b.Fatal(err)
	}
	c.createApps([]string{fresh})
	return c.awaitServed(fresh).Sub(began)
}
