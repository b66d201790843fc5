package plan

import (
	"fmt"
	"net/netip"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestEveryAdvertisementSaysWhetherItSelectsAnAddress(t *testing.T) {
	l := web(t)
	l.advertise("other-pool", v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"nowhere"}})
	l.advertise("other-service", v1alpha1.L2AdvertisementSpec{ServiceSelectors: selecting("app", "none")})
	l.setNode(nodeObject("n1", excluded))
	l.setNode(nodeObject("n3", drained))
	l.setNode(nodeObject("n4"))
	l.settle()
	p := l.nodes["n2"].planner
	const want = "[{all } {other-pool OtherPool} {other-service OtherService}]"
	if got := fmt.Sprint(p.Advertisements(netip.MustParseAddr(vip))); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for node, want := range map[string]Reason{"n1": Excluded, "n2": "", "n3": Draining, "n4": NoAnnouncer, "nobody": NoAnnouncer} {
		if got := p.NodeReason(node); got != want {
			t.Errorf("%s: %s, want %s", node, got, want)
		}
	}
	r := newRack()
	r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
	r.advertise("other", v1alpha1.BGPAdvertisementSpec{IPAddressPools: []string{"nowhere"}})
	r.plan()
	if got := fmt.Sprint(r.planner.Advertisements(netip.MustParseAddr("192.168.10.1"))); got != "[{all } {other OtherPool}]" {
		t.Error(got)
	}
}
