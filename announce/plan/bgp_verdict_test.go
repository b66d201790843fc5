package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestEveryNodeHasAReason(t *testing.T) {
	r := newRack()
	explain := func(want ...string) {
		t.Helper()
		r.plan()
		e := r.planner.Explain(netip.MustParseAddr("192.168.10.1"))
		got := []string{string(e.Refused)}
		for _, v := range e.Verdicts {
			text := fmt.Sprintf("%s %s %s", v.Node, v.Reason, v.Peers)
			if v.Leaves {
				text += " leaves"
			}
			got = append(got, text)
		}
		if !slices.Equal(got, want) {
			t.Errorf("explained as %q, want %q", got, want)
		}
	}
	explain("NoAdvertisement")
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	explain("", "n1 Announces [tor]", "n2 Announces [tor]", "n3 Announces [tor]")
	r.node("n1", drained)
	explain("", "n1 Draining [tor] leaves", "n2 Announces [tor]", "n3 Announces [tor]")
	r.node("n2", excluded)
	r.node("n3", notReady)
	explain("", "n1 Draining [tor]", "n2 Excluded []", "n3 Announces [tor]")
	r.node("n3")
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = selecting(corev1.LabelHostname, "n1") })
	explain("", "n1 Draining [tor]", "n2 Excluded []", "n3 NoPeer []")
	r.service(local(serviceObject("web", "192.168.10.1")))
	r.endpoints("web", "n2")
	explain("", "n1 NoLocalEndpoint []", "n2 Excluded []", "n3 NoLocalEndpoint []")
	r.endpoints("web")
	explain("NoEndpoint")
}

func TestAnAddressIsForThePeersThatCarryItsFamily(t *testing.T) {
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.service(serviceObject("six", "fd00:10::1"))
	r.view.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: "six"}, endpoints6On("six", "n2"))
	carry := func(families ...corev1.IPFamily) func(*v1alpha1.BGPPeerSpec) {
		return func(s *v1alpha1.BGPPeerSpec) { s.AddressFamilies = families }
	}
	expect := func(when, want4, want6 string) {
		t.Helper()
		plan := r.plan()
		for address, want := range map[string]string{"192.168.10.1": want4, "fd00:10::1": want6} {
			v := r.planner.Explain(netip.MustParseAddr(address)).Verdicts[0]
			announced := 0
			for _, routes := range plan.Routes {
				for _, route := range routes {
					if route.Prefix.Addr() == netip.MustParseAddr(address) {
						announced++
					}
				}
			}
			if got := fmt.Sprintf("%s %s", v.Reason, v.Peers); got != want || announced != len(v.Peers) {
				t.Errorf("%s: %s is explained as %q and announced to %d, want %q", when, address, got, announced, want)
			}
		}
	}
	expect("both", "Announces [tor]", "Announces [tor]")
	r.peer("tor", carry(corev1.IPv4Protocol))
	expect("IPv4", "Announces [tor]", "NoPeerOfFamily []")
	r.peer("tor6", carry(corev1.IPv6Protocol))
	expect("one each", "Announces [tor]", "Announces [tor6]")
	r.peer("tor", carry(corev1.IPv4Protocol, corev1.IPv6Protocol))
	expect("both by name", "Announces [tor]", "Announces [tor tor6]")
	r.peer("tor", carry("IPv5"))
	r.plan()
	if r.view.BGPPeer("tor").Problem == nil {
		t.Error("a family that does not exist is no problem")
	}
}
