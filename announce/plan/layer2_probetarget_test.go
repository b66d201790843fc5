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
		{"on a network in common", owner, up, ProbeTarget{Name: owner, Node: Question{node, "eth0", "", ""}, Announced: Question{addr(vip), "eth0", "", ""}}, true},
		{"not without a network in common", owner, nil, ProbeTarget{Name: owner}, true},
		{"not one on which nothing depends", asker, up, ProbeTarget{}, false},
		{"not one that is not known", "n9", up, ProbeTarget{}, false},
	} {
		if got, asked := p.ProbeTarget(tt.member, tt.up); got != tt.want || asked != tt.asked {
			t.Errorf("%s: %+v %t, want %+v %t", tt.name, got, asked, tt.want, tt.asked)
		}
	}
	// Whoever answers with another hardware address than those that it has recorded is not the member.
	recorded := l.api[owner].DeepCopy()
	recorded.Status.Layer2.Interfaces = append(recorded.Status.Layer2.Interfaces,
		v1alpha1.Layer2Interface{Name: "eth1", MAC: "52:54:00:00:00:02"}, v1alpha1.Layer2Interface{Name: "eth2", MAC: "52:54:00:00:00:01"})
	l.nodes[asker].view.SetAnnouncer(owner, recorded)
	const macs = "52:54:00:00:00:01,52:54:00:00:00:02"
	got, _ := p.ProbeTarget(owner, up)
	if got.Node.MACs != macs || got.Announced.MACs != macs {
		t.Errorf("asked for %+v", got)
	}
	if got.Node.MAC != "" {
		t.Errorf("asked at %s, and nothing says that it is there", got.Node.MAC)
	}
	recorded = recorded.DeepCopy()
	recorded.Status.Layer2.Interfaces[2].Prefixes = []string{up[0].Prefixes[0].String()}
	l.nodes[asker].view.SetAnnouncer(owner, recorded)
	if got, _ = p.ProbeTarget(owner, up); got.Node.MAC != "52:54:00:00:00:01" || got.Announced.MAC != "52:54:00:00:00:01" {
		t.Errorf("asked at %q and %q, not where it is in the same LAN", got.Node.MAC, got.Announced.MAC)
	}
	if q := got.Node; !q.Accepts("52:54:00:00:00:02") || q.Accepts("52:54:00:00:00:03") {
		t.Error("another hardware address than the recorded ones counts")
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
