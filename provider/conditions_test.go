package provider

import (
	"encoding/json"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/provider/internal/status"
)

var otherCondition = metav1.Condition{Type: "example.com/Other", Status: metav1.ConditionTrue, Reason: "Other"}

// patched returns what the API server makes of a Service and the service controller's patch from it
// to changed, as it is relayed.
func patched(t *testing.T, w *conditionWriter, service, changed *corev1.Service) *corev1.Service {
	t.Helper()
	original, err := json.Marshal(service)
	if err != nil {
		t.Fatal(err)
	}
	modified, err := json.Marshal(changed)
	if err != nil {
		t.Fatal(err)
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(original, modified, corev1.Service{})
	if err != nil {
		t.Fatal(err)
	}
	var decoded status.ServicePatch
	if err := json.Unmarshal(patch, &decoded); err != nil {
		t.Fatal(err)
	}
	amended := w.amend(service, decoded)
	if !removesFinalizer(decoded) {
		amended = w.finalize(service, amended)
	}
	if patch, err = json.Marshal(amended); err != nil {
		t.Fatal(err)
	}
	merged, err := strategicpatch.StrategicMergePatch(original, patch, corev1.Service{})
	if err != nil {
		t.Fatal(err)
	}
	result := &corev1.Service{}
	if err := json.Unmarshal(merged, result); err != nil {
		t.Fatal(err)
	}
	return result
}

// listerOf returns a lister that finds these Services.
func listerOf(services ...*corev1.Service) corelisters.ServiceLister {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	for _, s := range services {
		if err := indexer.Add(s); err != nil {
			panic(err)
		}
	}
	return corelisters.NewServiceLister(indexer)
}

func TestTheConditionTravelsInTheStatusPatchOfTheServiceController(t *testing.T) {
	w := newConditionWriter(nil, listerOf(), scope.Scope{})
	before := service("a", func(s *corev1.Service) { s.Status.Conditions = []metav1.Condition{otherCondition} })
	status := &corev1.LoadBalancerStatus{Ingress: []corev1.LoadBalancerIngress{{IP: "192.0.2.1"}}}
	condition := metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned", Message: "m"}
	said := w.say(before, condition)
	if !said.news {
		t.Error("the condition is not news")
	}
	if err := w.assigned(t.Context(), before, status, said); err != nil {
		t.Fatal(err)
	}

	changed := before.DeepCopy()
	changed.Status.LoadBalancer = *status
	after := patched(t, w, before, changed)
	if !apiequality.Semantic.DeepEqual(after.Status.LoadBalancer, *status) {
		t.Errorf("got addresses %v, want %v", after.Status.LoadBalancer, *status)
	}
	if got := meta.FindStatusCondition(after.Status.Conditions, condition.Type); got == nil || got.Message != "m" || got.LastTransitionTime.IsZero() {
		t.Errorf("got condition %v, want %v with a transition time", got, condition)
	}
	if meta.FindStatusCondition(after.Status.Conditions, otherCondition.Type) == nil {
		t.Error("a condition of somebody else is lost")
	}

	// A later patch of the same Service is not amended again.
	changed = after.DeepCopy()
	changed.Status.LoadBalancer.Ingress[0].IP = "192.0.2.2"
	after.Status.Conditions[1].Message = "newer"
	changed.Status.Conditions[1].Message = "newer"
	if got := patched(t, w, after, changed).Status.Conditions[1].Message; got != "newer" {
		t.Errorf("got message %q, want the newer one to stay", got)
	}
}

func TestTheConditionGoesWithTheFinalizer(t *testing.T) {
	for _, others := range [][]string{nil, {"example.com/other"}} {
		w := newConditionWriter(nil, listerOf(), scope.Scope{})
		before := service("a", func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeClusterIP
			s.Finalizers = append([]string{servicehelpers.LoadBalancerCleanupFinalizer}, others...)
			s.Status.Conditions = []metav1.Condition{otherCondition, {Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned"}}
		})
		changed := before.DeepCopy()
		changed.Finalizers = others
		after := patched(t, w, before, changed)
		if !slices.Equal(after.Finalizers, others) {
			t.Errorf("got finalizers %v, want %v", after.Finalizers, others)
		}
		if len(after.Status.Conditions) != 1 || after.Status.Conditions[0].Type != otherCondition.Type {
			t.Errorf("got conditions %v, want the other one alone", after.Status.Conditions)
		}
	}
}

func TestThePatchOfAServiceWithoutAnAnswerBringsTheFinalizerAndTheMark(t *testing.T) {
	for _, others := range [][]string{nil, {"example.com/other"}} {
		before := service("a", func(s *corev1.Service) {
			s.Finalizers = others
			s.Status.Conditions = []metav1.Condition{otherCondition}
		})
		changed := before.DeepCopy()
		changed.Status.LoadBalancer = theirs
		after := patched(t, newConditionWriter(nil, listerOf(before), scope.Scope{}), before, changed)
		want := append(slices.Clone(others), servicehelpers.LoadBalancerCleanupFinalizer)
		if !slices.Equal(slices.Sorted(slices.Values(after.Finalizers)), want) || assigned(after) != "Unknown Pending" || len(after.Status.Conditions) != 2 {
			t.Errorf("got finalizers %v, conditions %v", after.Finalizers, after.Status.Conditions)
		}

		// The finalizer was removed by hand: the answer stays.
		before.Status.Conditions = append(before.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Reason: "Assigned"})
		changed.Status.Conditions = before.Status.Conditions
		after = patched(t, newConditionWriter(nil, listerOf(before), scope.Scope{}), before, changed)
		if !servicehelpers.HasLBFinalizer(after) || assigned(after) != "True Assigned" {
			t.Errorf("got finalizers %v, conditions %v", after.Finalizers, after.Status.Conditions)
		}

		// Of one that is going or is not Clarion's, it stays as it is.
		for _, change := range []func(*corev1.Service){
			func(s *corev1.Service) { s.DeletionTimestamp = new(metav1.Now()) },
			func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("example.com/other") },
		} {
			s := before.DeepCopy()
			change(s)
			changed := s.DeepCopy()
			changed.Status.LoadBalancer = theirs
			if after := patched(t, newConditionWriter(nil, listerOf(s), scope.Scope{}), s, changed); !slices.Equal(after.Finalizers, others) {
				t.Errorf("got finalizers %v", after.Finalizers)
			}
		}
	}
}

func TestAConditionThatSomebodyElseWroteContradictsTheAnswer(t *testing.T) {
	w := newConditionWriter(nil, listerOf(), scope.Scope{})
	before := service("a", nil)
	condition := metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionFalse, Reason: "PoolExhausted", Message: "m"}
	if w.contradicts(before) {
		t.Error("a Service that was told nothing contradicts it")
	}
	if !w.say(before, condition).news {
		t.Error("the first answer is not news")
	}
	if again := w.say(before, condition); !again.differs || again.news {
		t.Error("the same answer, given again to a Service that does not show it yet, is news or need not be written")
	}
	if !w.contradicts(before) {
		t.Error("a Service without the condition does not contradict the answer")
	}
	after := before.DeepCopy()
	after.Status.Conditions = []metav1.Condition{otherCondition, condition}
	if w.contradicts(after) {
		t.Error("a Service with the condition contradicts the answer")
	}
	after.Status.Conditions[1].Message = "so they say"
	if !w.contradicts(after) {
		t.Error("a Service with another message does not contradict the answer")
	}

	successor := after.DeepCopy()
	successor.UID = "another"
	w.forget(successor)
	if w.contradicts(successor) || !w.contradicts(after) {
		t.Error("a Service is taken for another one of the same name")
	}
	w.forget(after)
	if w.contradicts(after) || len(w.answers) != 0 {
		t.Error("the answer is not forgotten")
	}
}
