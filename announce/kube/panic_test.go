package kube

import (
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
)

func TestAnObjectThatCannotBeTakenInIsNamedAndTheOthersAreTakenIn(t *testing.T) {
	inAPI(t, everything(), func(t *testing.T, w *watching) {
		view := plan.NewView()
		if !w.Layer2.Wait(t.Context()) {
			t.Fatal("the first lists do not arrive")
		}
		next(w.Layer2, view)
		var failed []string
		w.OnFailure(func(object any, name types.NamespacedName, _ *guard.Panic) { failed = append(failed, name.String()) })
		heal := guard.Plant(func(kind string, object any) bool {
			switch o := object.(type) {
			case *corev1.Service:
				return kind == "api" && o != nil && o.Name == "broken"
			case *discoveryv1.EndpointSlice:
				return kind == "api" && o != nil && o.Name == "broken-1"
			}
			return false
		})
		defer heal()
		for _, name := range []string{"broken", "whole"} {
			s := service(name, "192.168.10.101")
			if _, err := w.kube.CoreV1().Services("default").Create(t.Context(), s, metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
			if _, err := w.kube.DiscoveryV1().EndpointSlices("default").Create(t.Context(), endpoints(name), metav1.CreateOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		next(w.Layer2, view)
		if len(failed) != 2 {
			t.Errorf("failed on %v", failed)
		}
		if len(view.Service(types.NamespacedName{Namespace: "default", Name: "whole"}).Addresses()) != 1 {
			t.Error("the other Service is not taken in")
		}
	})
}
