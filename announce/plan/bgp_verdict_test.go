package plan

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

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
			got = append(got, fmt.Sprintf("%s %s %s", v.Node, v.Reason, v.Peers))
		}
		if !slices.Equal(got, want) {
			t.Errorf("explained as %q, want %q", got, want)
		}
	}
	explain("NoAdvertisement")
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	explain("", "n1 Announces [tor]", "n2 Announces [tor]", "n3 Announces [tor]")
	r.node("n1", drained)
	r.node("n2", excluded)
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.NodeSelectors = selecting(corev1.LabelHostname, "n1") })
	explain("", "n1 Draining [tor]", "n2 Excluded []", "n3 NoPeer []")
	r.service(local(serviceObject("web", "192.168.10.1")))
	r.endpoints("web", "n2")
	explain("", "n1 NoLocalEndpoint []", "n2 Excluded []", "n3 NoLocalEndpoint []")
	r.endpoints("web")
	explain("NoEndpoint")
}
