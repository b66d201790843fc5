package provider

import (
	"fmt"
	"maps"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/component-base/metrics"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/loadbalancer"
)

// following is a registry with a notReadyCollector that knows these objects.
func following(t testing.TB, objects ...runtime.Object) metrics.KubeRegistry {
	kube := informers.NewSharedInformerFactory(fake.NewClientset(), 0)
	clarion := clarioninformers.NewSharedInformerFactory(clarionfake.NewSimpleClientset(), 0)
	collector, registry := &notReadyCollector{}, metrics.NewKubeRegistry()
	collector.follow(kube, clarion)
	registry.CustomMustRegister(collector)
	for _, object := range objects {
		store := clarion.Clarion().V1alpha1().Announcers().Informer().GetStore()
		if _, is := object.(*corev1.Service); is {
			store = kube.Core().V1().Services().Informer().GetStore()
		}
		if err := store.Add(object); err != nil {
			t.Fatal(err)
		}
	}
	return registry
}

// says is a Service whose conditions are of this type and reason.
func says(name, condition string, status metav1.ConditionStatus, reason string) *corev1.Service {
	service := web(name)
	service.Status.Conditions = []metav1.Condition{{Type: condition, Status: status, Reason: reason}}
	return service
}

func TestMetricsCountWhatConditionsSayIsWrong(t *testing.T) {
	registry := following(t,
		web("silent"),
		says("well", v1alpha1.ConditionAnnounced, metav1.ConditionTrue, v1alpha1.ReasonAnnounced),
		says("a", v1alpha1.ConditionAnnounced, metav1.ConditionFalse, v1alpha1.ReasonNoNode),
		says("b", v1alpha1.ConditionAnnounced, metav1.ConditionFalse, v1alpha1.ReasonNoNode),
		says("c", v1alpha1.ConditionAnnounced, metav1.ConditionFalse, v1alpha1.ReasonNoSession),
		says("waits", v1alpha1.ConditionAddressAssigned, metav1.ConditionFalse, string(loadbalancer.PoolExhausted)),
		&v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: v1alpha1.AnnouncerStatus{Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonRunning},
			{Type: v1alpha1.ConditionStrictARP, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKernelAnswers},
			{Type: v1alpha1.ConditionKubeProxy, Status: metav1.ConditionUnknown, Reason: v1alpha1.ReasonNoAnswer},
		}}},
		&v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n2"}, Status: v1alpha1.AnnouncerStatus{Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonNoInterface},
			{Type: v1alpha1.ConditionStrictARP, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonKernelAnswers},
		}}},
	)
	want := map[string]float64{
		"clarion_services_not_announced[NoNode]":               2,
		"clarion_services_not_announced[NoSession]":            1,
		"clarion_announcers_impaired[Ready NoInterface]":       1,
		"clarion_announcers_impaired[StrictARP KernelAnswers]": 2,
		"clarion_objects_not_ready[Announcer NoInterface]":     1,
	}
	if got := gathered(t, registry); !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// BenchmarkAScrapeOfManyServices is what the conditions of 10,000 Services cost each time that Prometheus asks.
func BenchmarkAScrapeOfManyServices(b *testing.B) {
	var objects []runtime.Object
	for i := range 10_000 {
		objects = append(objects, says(fmt.Sprint("s", i), v1alpha1.ConditionAnnounced, metav1.ConditionFalse, v1alpha1.ReasonNoNode))
	}
	registry := following(b, objects...)
	for b.Loop() {
		if _, err := registry.Gather(); err != nil {
			b.Fatal(err)
		}
	}
}
