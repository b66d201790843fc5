package kubeproxy

import (
	"context"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestWhetherKubeProxyServes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode()
		h := NewHealth()
		h.transport = n
		if _, known := h.Condition(); known {
			t.Error("something is known before it was asked")
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = h.Run(ctx)
		}()
		expect := func(when string, after time.Duration, want string, changes bool) {
			t.Helper()
			time.Sleep(after)
			synctest.Wait()
			c, _ := h.Condition()
			if got := string(c.Status) + " " + c.Reason + ": " + c.Message; got != want {
				t.Errorf("%s: %s, want %s", when, got, want)
			}
			select {
			case <-h.Changed():
				if !changes {
					t.Errorf("%s: it says that it has changed", when)
				}
			default:
				if changes {
					t.Errorf("%s: it does not say that it has changed", when)
				}
			}
		}
		const (
			healthz = "127.0.0.1:10256/healthz"
			never   = "Unknown NoAnswer: No kube-proxy was seen since the announcer started: nobody answers 200 at port 10256."
			serving = "True Serving: kube-proxy is healthy."
			sick    = "False NotServing: kube-proxy is not healthy: it answers 503 Service Unavailable at port 10256."
			gone    = "False NotServing: kube-proxy is not healthy: it does not answer at port 10256."
		)
		expect("without one", time.Minute, never, true)
		n.set(healthz, http.StatusServiceUnavailable)
		expect("before its first rules", time.Minute, never, false)
		n.set(healthz, http.StatusOK)
		expect("when it serves", askInterval, serving, true)
		n.remove(healthz)
		expect("while it is restarted", restartTime/2, serving, false)
		n.set(healthz, http.StatusOK)
		expect("after that", time.Minute, serving, false)
		n.set(healthz, http.StatusServiceUnavailable)
		expect("when it is not healthy", restartTime+askInterval, sick, true)
		n.remove(healthz)
		expect("when it is gone", time.Minute, gone, false)
		n.set("[::1]:10256/healthz", http.StatusOK)
		expect("when it is there again", askInterval, serving, true)
		n.delay("[::1]:10256", 4*time.Second)
		expect("as long as its processors are busy", time.Hour, serving, false)
		n.delay("[::1]:10256", time.Hour)
		expect("when it may be busy", restartTime-time.Second, serving, false)
		expect("when it hangs", 4*time.Second, gone, true)
		cancel()
		<-ended
	})
}

// A node that does not run while it waits for an answer finds only that it has waited for long.
func TestATimeInWhichTheNodeDoesNotRunIsNoneInWhichKubeProxyDoesNotAnswer(t *testing.T) {
	began := time.Now()
	s := state{}.after("", began)
	for n, step := range []struct {
		problem string
		at      time.Duration
		want    metav1.ConditionStatus
	}{
		{"no answer", time.Hour, metav1.ConditionTrue},
		{"", time.Hour, metav1.ConditionTrue},
		{"no answer", 2 * time.Hour, metav1.ConditionTrue},
		{"no answer", 2*time.Hour + answerTime, metav1.ConditionFalse},
		{"", 2*time.Hour + answerTime, metav1.ConditionTrue},
		{"no answer", 2*time.Hour + answerTime + askInterval, metav1.ConditionTrue},
		{"no answer", 2*time.Hour + answerTime + restartTime - 1, metav1.ConditionTrue},
		{"no answer", 2*time.Hour + answerTime + restartTime, metav1.ConditionFalse},
	} {
		if s = s.after(step.problem, began.Add(step.at)); s.status != step.want {
			t.Errorf("step %d: %s, want %s", n, s.status, step.want)
		}
	}
}

func (n *node) remove(server string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.statuses, server)
}
