package kubeproxy

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// firstInterval is how soon kube-proxy is asked again, and lastInterval how often in the end.
	firstInterval = 50 * time.Millisecond
	lastInterval  = 500 * time.Millisecond
	// patience is for how long it is asked. Then what the API says has to do. In a large cluster
	// kube-proxy may need some seconds for its rules.
	patience = 10 * time.Second
	// atOnce is how many questions are asked at the same time.
	atOnce = 8
)

// Checks finds out when kube-proxy serves the first endpoint of a Service on the node. All methods
// but Changed are for one goroutine.
type Checks struct {
	transport http.RoundTripper
	logger    klog.Logger
	changed   notify.Signal
	slots     chan struct{}

	running sync.WaitGroup
	checks  map[types.NamespacedName]*check
	// silent says that the last check found nobody who answers, nor has anybody answered since. It
	// may be that nobody ever will: what takes the place of kube-proxy need not do so.
	silent atomic.Bool

	mu     sync.Mutex
	served []types.NamespacedName
}

type check struct {
	plan.EndpointCheck
	cancel context.CancelFunc
}

// NewChecks returns Checks that ask nobody yet.
func NewChecks(logger klog.Logger) *Checks {
	return &Checks{
		transport: &http.Transport{DisableKeepAlives: true}, // no proxy: it is this node that is asked
		logger:    logger,
		changed:   notify.New(),
		slots:     make(chan struct{}, atOnce),
		checks:    map[types.NamespacedName]*check{},
	}
}

// Set says which Services to ask about: all of them, until the context ends. Nobody is asked any more
// about others.
func (c *Checks) Set(ctx context.Context, wanted map[types.NamespacedName]plan.EndpointCheck) {
	for name, check := range c.checks {
		if w, is := wanted[name]; !is || w.Port != check.Port || !slices.Equal(w.Addresses, check.Addresses) {
			check.cancel()
			delete(c.checks, name)
		}
	}
	for name, w := range wanted {
		if c.checks[name] != nil {
			continue
		}
		ctx, cancel := context.WithCancel(ctx)
		c.checks[name] = &check{w, cancel}
		c.running.Go(func() {
			guard.Run("kubeproxy", name.String(), func() { c.await(ctx, name, w) })
			c.mu.Lock()
			defer c.mu.Unlock()
			if ctx.Err() == nil {
				c.served = append(c.served, name)
				c.changed.Notify()
			}
		})
	}
}

// Changed receives when Served has something to tell.
func (c *Checks) Changed() <-chan struct{} { return c.changed }

// Served are the Services whose endpoints on the node are served, or are to be taken to be, since it
// was called last.
func (c *Checks) Served() []types.NamespacedName {
	c.mu.Lock()
	defer c.mu.Unlock()
	served := c.served
	c.served = nil
	return served
}

// Wait returns when nobody is asked any more, after the context of Set has ended.
func (c *Checks) Wait() { c.running.Wait() }

// await asks until kube-proxy serves a Service, or for as long as there is patience.
func (c *Checks) await(ctx context.Context, name types.NamespacedName, check plan.EndpointCheck) {
	deadline := time.Now().Add(patience)
	anybody := false
	for interval := firstInterval; ; interval = min(interval*3/2, lastInterval) {
		served, answered := c.ask(ctx, check)
		if anybody = anybody || answered; answered {
			c.silent.Store(false)
		}
		if served || c.silent.Load() {
			return
		}
		if time.Now().After(deadline) {
			c.silent.Store(!anybody)
			c.logger.Info("kube-proxy does not say that it serves a Service on this node; what the API says of its endpoints has to do",
				"service", name, "healthCheckNodePort", check.Port, "answered", anybody)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(interval):
		}
	}
}

// ask asks once whether kube-proxy serves a Service in all families, and whether anybody answers.
func (c *Checks) ask(ctx context.Context, check plan.EndpointCheck) (served, answered bool) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	addresses := check.Addresses
	if len(addresses) == 0 {
		addresses = []netip.Addr{netip.AddrFrom4([4]byte{127, 0, 0, 1})}
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	served = true
	for _, address := range addresses {
		status, err := get(ctx, c.transport, netip.AddrPortFrom(address, uint16(check.Port)), "/")
		served = served && err == nil && status == http.StatusOK
		answered = answered || err == nil
	}
	return served, answered
}

// get asks a server on this node, and returns the status of its answer.
func get(ctx context.Context, transport http.RoundTripper, server netip.AddrPort, path string) (status int, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+server.String()+path, nil)
	if err != nil {
		return 0, err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, err
	}
	return response.StatusCode, response.Body.Close()
}
