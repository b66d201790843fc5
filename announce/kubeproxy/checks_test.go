package kubeproxy

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
)

// node has the servers of kube-proxy on a node: the status with which one answers, by its address
// and port.
type node struct {
	mu       sync.Mutex
	statuses map[string]int
	delays   map[string]time.Duration
	asked    int
	// busy is how many are being answered, and mostBusy how many were at once.
	busy, mostBusy int
}

func newNode() *node { return &node{statuses: map[string]int{}, delays: map[string]time.Duration{}} }

func (n *node) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mu.Lock()
	n.asked++
	n.busy++
	n.mostBusy = max(n.mostBusy, n.busy)
	delay := max(n.delays[r.URL.Host], time.Millisecond)
	n.mu.Unlock()
	select {
	case <-time.After(delay):
	case <-r.Context().Done():
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.busy--
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	status, listens := n.statuses[r.URL.Host+r.URL.Path]
	if !listens {
		return nil, errors.New("connection refused")
	}
	return &http.Response{StatusCode: status, Body: http.NoBody}, nil
}

func (n *node) set(server string, status int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.statuses[server] = status
}

// delay says how long a server takes for an answer.
func (n *node) delay(server string, delay time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.delays[server] = delay
}

var (
	own4, own6 = netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("fd00::1")
	web        = types.NamespacedName{Namespace: "default", Name: "web"}
)

type set = map[types.NamespacedName]plan.EndpointCheck

// onNode has checks ask a node without any server, in a bubble of time.
func onNode(t *testing.T, test func(t *testing.T, n *node, c *Checks)) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		c := NewChecks(klog.Logger{})
		c.transport = n
		test(t, n, c)
		c.Set(t.Context(), nil)
		c.Wait()
	})
}

func (n *node) expect(t *testing.T, c *Checks, after time.Duration, want ...types.NamespacedName) {
	t.Helper()
	time.Sleep(after)
	synctest.Wait()
	if got := c.Served(); !slices.Equal(got, want) {
		t.Errorf("served: %v, want %v", got, want)
	}
}

func TestAServiceIsServedAsSoonAsKubeProxySaysSo(t *testing.T) {
	onNode(t, func(t *testing.T, n *node, c *Checks) {
		wanted := set{web: {Port: 32000, Addresses: []netip.Addr{own4}}}
		c.Set(t.Context(), wanted)
		n.expect(t, c, 500*time.Millisecond)
		n.set("10.0.0.1:32000/", http.StatusServiceUnavailable)
		c.Set(t.Context(), wanted) // is under way
		n.expect(t, c, 4*time.Second)
		n.set("10.0.0.1:32000/", http.StatusOK)
		n.expect(t, c, lastInterval+10*time.Millisecond, web)
		select {
		case <-c.Changed():
		default:
			t.Error("it has not told of it")
		}
		asked := n.asked
		n.expect(t, c, time.Minute)
		if n.asked != asked {
			t.Error("it goes on asking")
		}
		// The endpoint goes, and another one comes.
		c.Set(t.Context(), nil)
		c.Set(t.Context(), wanted)
		n.expect(t, c, 10*time.Millisecond, web)
	})
}

func TestAServiceIsServedWhenItIsInAllFamilies(t *testing.T) {
	onNode(t, func(t *testing.T, n *node, c *Checks) {
		n.set("10.0.0.1:32000/", http.StatusOK)
		n.set("[fd00::1]:32000/", http.StatusServiceUnavailable)
		c.Set(t.Context(), set{web: {Port: 32000, Addresses: []netip.Addr{own4, own6}}})
		n.expect(t, c, time.Second)
		n.set("[fd00::1]:32000/", http.StatusOK)
		n.expect(t, c, time.Second, web)
	})
}

func TestNobodyIsAskedAboutAServiceThatIsNotWantedAnyMore(t *testing.T) {
	onNode(t, func(t *testing.T, n *node, c *Checks) {
		c.Set(t.Context(), set{web: {Port: 32000, Addresses: []netip.Addr{own4}}})
		n.expect(t, c, time.Second)
		// Another port is another question.
		n.set("10.0.0.1:32000/", http.StatusOK)
		c.Set(t.Context(), set{web: {Port: 32001, Addresses: []netip.Addr{own4}}})
		n.expect(t, c, time.Second)
		c.Set(t.Context(), nil)
		n.set("10.0.0.1:32001/", http.StatusOK)
		n.expect(t, c, time.Minute)
	})
}

func TestAnEndOfTheContextEndsAllQuestions(t *testing.T) {
	onNode(t, func(t *testing.T, n *node, c *Checks) {
		ctx, cancel := context.WithCancel(t.Context())
		c.Set(ctx, set{web: {Port: 32000, Addresses: []netip.Addr{own4}}})
		time.Sleep(time.Second)
		cancel()
		c.Wait()
		n.expect(t, c, time.Minute)
	})
}

// Nothing is lost for ever because nobody answers, or answers wrongly.
func TestPatienceEnds(t *testing.T) {
	for name, statuses := range map[string]map[string]int{
		"nobody listens":       {},
		"it never agrees":      {"10.0.0.1:32000/": http.StatusServiceUnavailable},
		"it speaks of nothing": {"10.0.0.1:32000/": http.StatusNotFound},
	} {
		t.Run(name, func(t *testing.T) {
			onNode(t, func(t *testing.T, n *node, c *Checks) {
				n.statuses = statuses
				c.Set(t.Context(), set{web: {Port: 32000, Addresses: []netip.Addr{own4}}})
				n.expect(t, c, patience-time.Second)
				n.expect(t, c, 2*time.Second, web)
			})
		})
	}
}

// Where nobody answers, the next Service does not wait. Where somebody does again, it does.
func TestWhereNobodyEverAnswersNobodyIsWaitedFor(t *testing.T) {
	onNode(t, func(t *testing.T, n *node, c *Checks) {
		one := set{web: {Port: 32000, Addresses: []netip.Addr{own4}}}
		c.Set(t.Context(), one)
		n.expect(t, c, patience+time.Second, web)
		for range 3 {
			c.Set(t.Context(), nil)
			c.Set(t.Context(), one)
			n.expect(t, c, 10*time.Millisecond, web)
		}
		n.set("10.0.0.1:32000/", http.StatusServiceUnavailable)
		c.Set(t.Context(), nil)
		c.Set(t.Context(), one)
		n.expect(t, c, patience/2)
		n.set("10.0.0.1:32000/", http.StatusOK)
		n.expect(t, c, time.Second, web)
	})
}

func TestThousandsOfServicesAreAskedAboutByFew(t *testing.T) {
	onNode(t, func(t *testing.T, n *node, c *Checks) {
		all := set{}
		for i := range 2_000 {
			all[types.NamespacedName{Namespace: "default", Name: fmt.Sprint(i)}] = plan.EndpointCheck{Port: 32000, Addresses: []netip.Addr{own4}}
		}
		n.set("10.0.0.1:32000/", http.StatusOK)
		c.Set(t.Context(), all)
		time.Sleep(time.Second)
		synctest.Wait()
		if served := c.Served(); len(served) != len(all) || n.asked != len(all) {
			t.Errorf("%d are served after %d questions", len(served), n.asked)
		}
		if n.mostBusy > atOnce {
			t.Errorf("%d were asked at once", n.mostBusy)
		}
	})
}
