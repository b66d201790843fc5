package provider

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"
)

func TestEventsOfTheServiceControllerComeFromClarionAndOnlyIfTheyAreNews(t *testing.T) {
	kube := fake.NewClientset()
	sink := transitionEvents{clarionEvents{kube.CoreV1().Events("default")}}
	for _, event := range []corev1.Event{
		{ObjectMeta: metav1.ObjectMeta{Name: "routine"}, Reason: "EnsuredLoadBalancer"},
		{ObjectMeta: metav1.ObjectMeta{Name: "no node"}, Reason: "UnAvailableLoadBalancer", Message: "There are no available nodes for LoadBalancer"},
		{ObjectMeta: metav1.ObjectMeta{Name: "refused"}, Reason: "SyncLoadBalancerFailed", Message: "Error syncing load balancer: failed to ensure load balancer: no pool"},
		{ObjectMeta: metav1.ObjectMeta{Name: "lost"}, Reason: "SyncLoadBalancerFailed", Message: "Error syncing load balancer: failed to ensure load balancer: " + cannotAnswer + "forbidden"},
		{ObjectMeta: metav1.ObjectMeta{Name: "failed"}, Reason: "SyncLoadBalancerFailed", Message: "Error syncing load balancer: failed to add load balancer cleanup finalizer: forbidden"},
		{ObjectMeta: metav1.ObjectMeta{Name: "deleted"}, Reason: "DeletedLoadBalancer"},
	} {
		event.Namespace, event.Source.Component, event.ReportingController = "default", "service-controller", "service-controller"
		if _, err := sink.CreateWithEventNamespace(&event); err != nil {
			t.Fatal(err)
		}
	}
	list, err := kube.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, event := range list.Items {
		names = append(names, event.Name)
		if event.Source.Component != "clarion" || event.ReportingController != "clarion" {
			t.Errorf("%s comes from %s, reported by %s", event.Name, event.Source.Component, event.ReportingController)
		}
	}
	if want := []string{"deleted", "failed", "lost"}; !slices.Equal(names, want) {
		t.Errorf("let through: %q", names)
	}
}
