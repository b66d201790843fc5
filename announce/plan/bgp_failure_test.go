package plan

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
)

// failing is a rack with two Services and two peers, of which both addresses are announced to both.
func failing() *rack {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.peer("spine", nil)
	r.service(serviceObject("other", "192.168.10.2"))
	r.endpoints("other", "n1")
	r.plan()
	return r
}

func plant(where func(kind string, object any) bool) (remove func()) { return guard.Plant(where) }

const bothToBoth = "spine\n  192.168.10.1/32\n  192.168.10.2/32\ntor\n  192.168.10.1/32\n  192.168.10.2/32"

func TestAFaultOfBGPConcernsOneThingAlone(t *testing.T) {
	onWeb := func(kind string, object any) bool { return kind == "address" && object == addr("192.168.10.1") }
	for _, tt := range []struct {
		name   string
		where  func(kind string, object any) bool
		change func(r *rack)
		want   string
	}{
		{"an address that changes", onWeb, func(r *rack) { r.endpoints("web") }, bothToBoth},
		{"an address when everything is planned again", onWeb, func(r *rack) {
			r.advertise("younger", v1alpha1.BGPAdvertisementSpec{IPAddressPools: []string{"none"}})
		}, bothToBoth},
		{"an address, and another one changes", onWeb, func(r *rack) { r.endpoints("web"); r.endpoints("other") },
			"spine\n  192.168.10.1/32\ntor\n  192.168.10.1/32"},
		{"an address whose advertisement is gone", onWeb, func(r *rack) {
			r.advertise("again", v1alpha1.BGPAdvertisementSpec{})
			r.view.SetBGPAdvertisement("all", nil)
		}, "spine\n  192.168.10.2/32\ntor\n  192.168.10.2/32"},
		{"a prefix", func(kind string, object any) bool { return object == netip.MustParsePrefix("192.168.10.1/32") }, func(r *rack) {
			localPref := int64(7)
			r.peer("spine", func(s *v1alpha1.BGPPeerSpec) { asn := s.MyASN; s.PeerASN = &asn })
			r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { asn := s.MyASN; s.PeerASN = &asn })
			r.advertise("all", v1alpha1.BGPAdvertisementSpec{LocalPref: &localPref})
		}, "spine\n  192.168.10.1/32\n  192.168.10.2/32 localPref 7\ntor\n  192.168.10.1/32\n  192.168.10.2/32 localPref 7"},
		{"a BGPPeer", func(kind string, object any) bool { return kind == "BGPPeer" && object == "tor" }, func(r *rack) { r.endpoints("other"); r.node("n1") },
			"spine\n  192.168.10.1/32\ntor\n  192.168.10.1/32\n  192.168.10.2/32"},
		{"a spec", func(kind string, object any) bool {
			spec, is := object.(*v1alpha1.BGPPeerSpec)
			return is && spec.MyASN == 65099
		}, func(r *rack) {
			r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.MyASN = 65099 })
			r.endpoints("other")
		}, "spine\n  192.168.10.1/32\ntor\n  192.168.10.1/32"},
		{"everything", func(kind string, _ any) bool { return kind == "routes" }, func(r *rack) {
			r.endpoints("web")
			r.view.SetBGPPeer("tor", nil)
		}, bothToBoth},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := failing()
			if got := r.plan().text(); got != bothToBoth {
				t.Fatalf("announces\n%s", got)
			}
			heal := plant(tt.where)
			defer heal()
			tt.change(r)
			plan := r.plan()
			if got := plan.text(); got != tt.want {
				t.Errorf("announces\n%s\nwant\n%s", got, tt.want)
			}
			if len(plan.Failures) == 0 {
				t.Error("says nothing of it")
			}
			heal()
			r.now = r.now.Add(failureRetry)
			healed := r.plan()
			fresh := NewBGPPlanner(r.view, "n1").Plan(r.now)
			if got, want := healed.text(), fresh.text(); got != want {
				t.Errorf("after the fault it announces\n%s\nwant\n%s", got, want)
			}
			if failed := r.planner.Failed(); len(failed) > 0 {
				t.Errorf("still cannot decide about %v", failed)
			}
		})
	}
}

func TestABrokenServiceIsNoneOfTheOthers(t *testing.T) {
	r := failing()
	r.view.services[types.NamespacedName{Namespace: "default", Name: "web"}].backends = nil
	r.node("n1", func(n *corev1.Node) {
		n.Status.Addresses = []corev1.NodeAddress{{Type: corev1.NodeInternalIP, Address: "10.0.0.9"}}
	})
	r.endpoints("other")
	if got, want := r.plan().text(), "spine\n  192.168.10.1/32\ntor\n  192.168.10.1/32"; got != want {
		t.Errorf("announces\n%s\nwant\n%s", got, want)
	}
}

func TestANodeThatIsDrainedLeavesWhatItCannotDecideAbout(t *testing.T) {
	r := failing()
	defer plant(func(kind string, object any) bool { return kind == "address" && object == addr("192.168.10.1") })()
	r.node("n1", drained)
	r.plan()
	r.now = r.now.Add(gracefulPeriod)
	r.plan()
	r.now = r.now.Add(gracefulPeriod)
	if got := r.plan().text(); got != "spine\n  192.168.10.2/32\ntor\n  192.168.10.2/32" && got != "" {
		t.Errorf("announces\n%s", got)
	}
}
