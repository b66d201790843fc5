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
	b.Run("configuration", func(b *testing.B) {
		r := benchRack(b, services)
		for b.Loop() {
			r.planner.stale = true
			r.plan()
		}
	})
}
