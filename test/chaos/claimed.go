package chaos

import (
	"slices"
	"sync"
)

// claimed has what faults that have begun and not ended have taken for themselves. A schedule does not know how long it takes to begin
// and to end a fault: a control plane that is restored on a busy machine is not there for many seconds.
type claimed struct {
	mu    sync.Mutex
	freed *sync.Cond
	by    map[string]bool
}

func newClaimed() *claimed {
	c := &claimed{by: map[string]bool{}}
	c.freed = sync.NewCond(&c.mu)
	return c
}

// take waits until no other fault has what this one takes for itself, and returns what gives it back.
func (c *claimed) take(f Fault) (release func()) {
	claims := f.claims()
	c.mu.Lock()
	defer c.mu.Unlock()
	for slices.ContainsFunc(claims, func(name string) bool { return c.by[name] }) {
		c.freed.Wait()
	}
	c.set(claims, true)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.set(claims, false)
		c.freed.Broadcast()
	}
}

func (c *claimed) set(claims []string, taken bool) {
	for _, name := range claims {
		c.by[name] = taken
	}
}
