package kubeproxy

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// healthzPort is where kube-proxy says whether it keeps its rules up to date, unless its
	// healthzBindAddress is another one.
	healthzPort = 10256
	// askInterval is how often it is asked.
	askInterval = time.Second
	// restartTime is for how long it may be away, or unhealthy, to no effect: so long takes an upgrade
	// of kube-proxy, whose rules work on meanwhile.
	restartTime = 10 * time.Second
	// answerTime is how long an answer may take: kube-proxy needs a processor for it, which others may keep busy.
	answerTime = restartTime / 2
)

// Health is whether the kube-proxy of the node serves.
type Health struct {
	transport http.RoundTripper
	changed   notify.Signal
	state     chan state // has the one there is
}

// state is what is known of kube-proxy.
type state struct {
	// healthy is when it was healthy last; the zero time for never.
	healthy time.Time
	// problem is why it is not; "" if it is.
	problem string
	// status and reason are those of the condition.
	status metav1.ConditionStatus
	reason string
}

// NewHealth returns the Health of a kube-proxy that was not asked yet.
func NewHealth() *Health {
	h := &Health{transport: &http.Transport{DisableKeepAlives: true}, changed: notify.New(), state: make(chan state, 1)}
	h.state <- state{}
	return h
}

// Run asks kube-proxy until the context ends.
func (h *Health) Run(ctx context.Context) error {
	tick := time.NewTicker(askInterval)
	defer tick.Stop()
	for {
		problem := h.ask(ctx)
		if ctx.Err() != nil {
			return nil
		}
		before := <-h.state
		after := before.after(problem, time.Now())
		h.state <- after
		if before.status != after.status || before.reason != after.reason {
			h.changed.Notify()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// after is the state once kube-proxy was asked again.
func (s state) after(problem string, now time.Time) state {
	again := s.problem != "" // if it is not, it may be this node that did not run for as long as it waited
	switch s.problem = problem; {
	case problem == "":
		s.healthy, s.status, s.reason = now, metav1.ConditionTrue, v1alpha1.ReasonServing
	case s.healthy.IsZero():
		s.status, s.reason = metav1.ConditionUnknown, v1alpha1.ReasonNoAnswer
	case again && now.Sub(s.healthy) >= restartTime:
		s.status, s.reason = metav1.ConditionFalse, v1alpha1.ReasonNotServing
	}
	return s
}

// ask returns why kube-proxy is not healthy; "" if it is.
func (h *Health) ask(ctx context.Context) (problem string) {
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	for _, address := range []string{"127.0.0.1", "::1"} {
		status, err := get(ctx, h.transport, netip.AddrPortFrom(netip.MustParseAddr(address), healthzPort), "/healthz")
		switch {
		case err == nil && status == http.StatusOK:
			return ""
		case err == nil:
			return fmt.Sprintf("it answers %d %s at port %d", status, http.StatusText(status), healthzPort)
		case problem == "":
			problem = fmt.Sprintf("it does not answer at port %d", healthzPort)
		}
	}
	return problem
}

// Changed receives when the Condition is another one.
func (h *Health) Changed() <-chan struct{} { return h.changed }

// Condition is what the Announcer says of kube-proxy; false before it was asked.
func (h *Health) Condition() (condition metav1.Condition, known bool) {
	s := <-h.state
	h.state <- s
	condition = metav1.Condition{Type: v1alpha1.ConditionKubeProxy, Status: s.status, Reason: s.reason}
	switch s.reason {
	case v1alpha1.ReasonServing:
		condition.Message = "kube-proxy is healthy."
	case v1alpha1.ReasonNotServing:
		condition.Message = "kube-proxy is not healthy: " + s.problem + "."
	case v1alpha1.ReasonNoAnswer:
		condition.Message = fmt.Sprintf("No kube-proxy was seen since the announcer started: nobody answers 200 at port %d.", healthzPort)
	}
	return condition, s.status != ""
}
