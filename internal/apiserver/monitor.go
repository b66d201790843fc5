package apiserver

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"k8s.io/klog/v2"
)

// away is how long no question may be answered before that is said. Of several API servers one may go without a word.
const away = 5 * time.Second

// Monitor logs, once each time, that the API server does not answer any more, and that it answers again.
type Monitor struct {
	logger klog.Logger

	mu sync.Mutex
	// since is when a question failed first after the last answer; zero if none has.
	since time.Time
	said  bool
}

// NewMonitor returns a Monitor that has seen nothing.
func NewMonitor(logger klog.Logger) *Monitor { return &Monitor{logger: logger} }

// Wrap has the Monitor see what is asked by a transport. It is for rest.Config.Wrap.
func (m *Monitor) Wrap(next http.RoundTripper) http.RoundTripper { return monitored{next, m} }

type monitored struct {
	next    http.RoundTripper
	monitor *Monitor
}

// RoundTrip implements http.RoundTripper.
func (t monitored) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := t.next.RoundTrip(r)
	if !errors.Is(err, context.Canceled) { // nobody waits for the answer any more
		t.monitor.saw(err, time.Now())
	}
	return answer, err
}

// WrappedRoundTripper implements net.RoundTripperWrapper of apimachinery.
func (t monitored) WrappedRoundTripper() http.RoundTripper { return t.next }

// saw takes in whether a question was answered.
func (m *Monitor) saw(err error, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case err == nil:
		if m.said {
			m.logger.Info("The API server answers again")
		}
		m.since, m.said = time.Time{}, false
	case m.since.IsZero():
		m.since = now
	case !m.said && now.Sub(m.since) >= away:
		m.said = true
		m.logger.Info("The API server does not answer; what was known of the cluster goes on to count", "err", err)
	}
}
