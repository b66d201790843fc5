package peering

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/guard"
)

func TestAFaultLeavesSessionsAndRoutesAsTheyAre(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil), service)
		w.began()
		w.did("at first", "begin, restarted false", "BGP: tor with 1 routes", "write ")
		heal := guard.Plant(func(kind string, _ any) bool { return kind == "routes" })
		defer heal()
		w.change(func(v *plan.View) { v.SetService(serviceName, nil) })
		w.did("with a fault")
		heal()
		time.Sleep(11 * time.Second)
		w.did("after the fault", "BGP: tor with 0 routes")
	})
}

func TestAFaultAboutAnAddressIsToldOnItsService(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil), service)
		w.began()
		w.did("at first", "begin, restarted false", "BGP: tor with 1 routes", "write ")
		heal := guard.Plant(func(kind string, _ any) bool { return kind == "address" })
		defer heal()
		w.change(serviceOf(func(s *corev1.Service) { s.Labels = map[string]string{"new": "label"} }))
		w.did("with a fault", "Clarion failed on 198.51.100.1 of web")
	})
}

func TestATurnThatFailsIsDoneAgain(t *testing.T) {
	inWorld(t, func(w *world) {
		w.changes = append(w.changes, node(nil), peer("tor", nil))
		w.began()
		w.did("at first", "begin, restarted false", "BGP: tor with 0 routes", "write ")
		heal := guard.Plant(func(kind string, object any) bool { return kind == "bgp" && object == "" })
		defer heal()
		w.change(service)
		w.did("with a fault", "BGP: tor with 1 routes")
		heal()
		time.Sleep(2 * time.Second)
		w.did("after the fault", "BGP: tor with 1 routes")
	})
}
