package provider

import (
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"
)

func TestTheLogHasTheNewsOfTheServiceControllerAlone(t *testing.T) {
	lines := make(chan string, 10)
	logger := quietLog(funcr.New(func(_, args string) { lines <- args }, funcr.Options{})).WithValues("a", 1).WithName("n")
	broadcaster := record.NewBroadcaster(record.WithContext(klog.NewContext(t.Context(), logger)))
	defer broadcaster.Shutdown()
	broadcaster.StartStructuredLogging(0)
	recorder := broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "service-controller"})
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}
	for _, event := range []struct{ reason, message string }{
		{"EnsuringLoadBalancer", "Ensuring load balancer"},
		{"EnsuredLoadBalancer", "Ensured load balancer"},
		{"SyncLoadBalancerFailed", "Error syncing load balancer: failed to ensure load balancer: no pool"},
		{"SyncLoadBalancerFailed", "Error syncing load balancer: forbidden"},
		{"DeletedLoadBalancer", "Deleted load balancer"},
	} {
		recorder.Event(service, corev1.EventTypeNormal, event.reason, event.message)
	}
	logger.Info("something else", "reason", "EnsuredLoadBalancer")
	got := map[string]bool{}
	for range 2 {
		line := <-lines
		for _, want := range []string{"DeletedLoadBalancer", "something else"} {
			if strings.Contains(line, want) {
				got[want] = true
			}
		}
	}
	if len(got) != 2 || len(lines) != 0 {
		t.Errorf("%v, and %d more lines", got, len(lines))
	}
}
