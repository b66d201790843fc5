package plan

import (
	"net/netip"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAMemberOutOfSightIsAskedForByItsNodeAndByWhatItAnnounces(t *testing.T) {
	l := dualWeb(t)
	owner := l.owner(vip)
	asker := "n1"
	if owner == "n1" {
		asker = "n2"
	}
	p, up := l.nodes[asker].planner, connected(l.nodes[asker].interfaces)
	node := addr(relaysTo(owner)[addr(vip)].To.String())
	for _, tt := range []struct {
		name   string
		member string
		up     []Interface
		want   ProbeTarget
		asked  bool
	}{
		{"on a network in common", owner, up, ProbeTarget{owner, Question{node, "eth0"}, Question{addr(vip), "eth0"}, false}, true},
		{"not without a network in common", owner, nil, ProbeTarget{Name: owner}, true},
		{"not one on which nothing depends", asker, up, ProbeTarget{}, false},
		{"not one that is not known", "n9", up, ProbeTarget{}, false},
	} {
		if got, asked := p.ProbeTarget(tt.member, tt.up); got != tt.want || asked != tt.asked {
			t.Errorf("%s: %+v %t, want %+v %t", tt.name, got, asked, tt.want, tt.asked)
		}
	}
	if got := QuestionFor(addr("203.0.113.1"), up); got != (Question{}) {
		t.Errorf("an address behind a gateway is asked for on %+v", got)
	}
}

func TestWhereAnAddressMightBeAnnouncedDoesNotDependOnWhoMay(t *testing.T) {
	l := web(t)
	l.advertise("all", v1alpha1.L2AdvertisementSpec{NodeSelectors: selecting(corev1.LabelHostname, "n2")})
	l.settle()
	for _, n := range l.nodes {
		if got, _ := n.planner.Arrivals(addr(vip)); !slices.Equal(got, []string{"eth0"}) {
			t.Errorf("possible on %v", got)
		}
		if got, _ := n.planner.Arrivals(netip.MustParseAddr("192.168.10.201")); len(got) > 0 {
			t.Errorf("an address of no Service is possible on %v", got)
		}
	}
}
