package plan

import (
	"fmt"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func benchRack(b *testing.B, services int) *rack {
	b.Helper()
	r := newRack()
	r.view.SetPool("public", poolObject("public", "10.0.0.0/8"))
	r.peer("tor2", func(s *v1alpha1.BGPPeerSpec) { s.PeerAddress = "10.9.9.9" })
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{Communities: []string{"65000:1"}})
	for i := range services {
		name := fmt.Sprintf("s%d", i)
		r.service(serviceObject(name, benchAddress(i)))
		r.endpoints(name, "n1", "n2")
	}
	r.plan()
	return r
}

// benchNodes has 200 nodes, all with a session.
func benchNodes(r *rack) {
	for i := 4; i <= 200; i++ {
		name := fmt.Sprint("n", i)
		r.node(name)
		r.sessions(name, established("tor"))
	}
}

func BenchmarkRoutes(b *testing.B) {
	const services = 10_000
	b.Run("no change", func(b *testing.B) {
		r := benchRack(b, services)
		for b.Loop() {
			if r.plan().Changed {
				b.Fatal("changed")
			}
		}
	})
	b.Run("one endpoint", func(b *testing.B) {
		r := benchRack(b, services)
		for i := 0; b.Loop(); i++ {
			r.endpoints("s77", []string{"n1", "n2"}[:i%2]...)
			if !r.plan().Changed {
				b.Fatal("unchanged")
			}
		}
	})
	sessions := map[bool][]v1alpha1.BGPSession{true: {established("tor")}, false: nil}
	b.Run("a session of another one of 200 nodes", func(b *testing.B) {
		r := benchRack(b, services)
		benchNodes(r)
		r.plan()
		for i := 0; b.Loop(); i++ {
			r.sessions("n2", sessions[i%2 == 0]...)
			r.plan()
		}
	})
	b.Run("the same, on a drained node", func(b *testing.B) {
		r := benchRack(b, services)
		benchNodes(r)
		r.plan()
		r.node("n1", drained)
		r.plan()
		r.now = r.now.Add(gracefulPeriod + withdrawPeriod)
		for i := 0; b.Loop(); i++ {
			r.sessions("n2", sessions[i%2 == 0]...)
			if len(r.plan().Routes) > 0 {
				b.Fatal("it announces")
			}
		}
	})
	b.Run("configuration", func(b *testing.B) {
		r := benchRack(b, services)
		for b.Loop() {
			r.planner.stale = true
			r.plan()
		}
	})
}
