package main

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/clarionlb/clarion/announce"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
)

func TestProbesSayWhetherTheAnnouncerRunsAndTakesPart(t *testing.T) {
	var stuck error
	unready := errors.New("Nodes cannot be read: forbidden")
	handler := newHandler(func() error { return stuck }, func() error { return unready })
	said := ""
	get := func(path string) int {
		answer := httptest.NewRecorder()
		handler.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, path, nil))
		said = strings.TrimSpace(answer.Body.String())
		return answer.Code
	}
	if health, readiness := get("/healthz"), get("/readyz"); health != http.StatusOK || readiness != http.StatusServiceUnavailable || said != unready.Error() {
		t.Errorf("before it takes part: %d, %d, %q", health, readiness, said)
	}
	unready = nil
	if readiness := get("/readyz"); readiness != http.StatusOK {
		t.Errorf("when it takes part: %d", readiness)
	}
	stuck = errors.New("it has been busy with one thing for 1m0s")
	if health := get("/healthz"); health != http.StatusInternalServerError {
		t.Errorf("when it has come to a halt: %d", health)
	}
}

func TestMetricsAreThoseOfTheAnnouncerItsClientsAndTheProcess(t *testing.T) {
	announce.New(announce.Config{
		Node: "n1", Kubernetes: fake.NewClientset(), Clarion: clarionfake.NewSimpleClientset(), Registry: legacyregistry.Registerer(),
	})
	answer := httptest.NewRecorder()
	newHandler(nil, nil).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for _, name := range []string{
		"clarion_announcer_layer2_addresses 0",
		`clarion_announcer_layer2_answers_total{protocol="arp"} 0`,
		"clarion_announcer_plan_duration_seconds_count 0",
		"kubernetes_build_info",
		"process_open_fds",
	} {
		if !strings.Contains(answer.Body.String(), name) {
			t.Errorf("there is no %s", name)
		}
	}
}
