package plan

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestWhatAViewSaysOfWhatItKnowsAndOfWhatItDoesNot(t *testing.T) {
	v := NewView()
	web := types.NamespacedName{Namespace: "default", Name: "web"}
	v.SetService(web, serviceObject("web", vip))
	v.SetNode("n1", withAddresses("n1", 0))
	v.SetNode("n2", nodeObject("n2", notReady))
	v.SetAnnouncer("n1", announcerOn("n1"))
	for what, got := range map[string]bool{
		"HasNode n1":      v.HasNode("n1"),
		"HasNode n3":      !v.HasNode("n3"),
		"NodeReady n1":    v.NodeReady("n1"),
		"NodeReady n2":    !v.NodeReady("n2"),
		"NodeReady n3":    !v.NodeReady("n3"),
		"HasAddress":      v.HasAddress(addr(vip)),
		"HasAddress none": !v.HasAddress(addr("192.168.10.1")),
	} {
		if !got {
			t.Errorf("%s is wrong", what)
		}
	}
	for want, got := range map[string]any{
		"[192.168.10.222]":                      v.Service(web).Addresses(),
		"[] ":                                   fmt.Sprint(v.Service(types.NamespacedName{Name: "other"}).Addresses(), " "),
		"[192.168.10.11 fd00:10::11 10.1.1.11]": v.InternalIPs("n1"),
		"  []":                                  fmt.Sprint("  ", v.InternalIPs("n3")),
		"map[n2:[]]":                            v.NodesWithoutAnnouncer(),
	} {
		if fmt.Sprint(got) != want {
			t.Errorf("got %v, want %s", got, want)
		}
	}
}

func TestAnAdvertisementSaysOfWhatItSelectsNothing(t *testing.T) {
	v := NewView()
	v.SetPool("lan", poolObject("lan", "192.168.10.0/24"))
	v.SetNode("n1", nodeObject("n1"))
	v.SetService(types.NamespacedName{Namespace: "default", Name: "web"}, serviceObject("web", vip))
	type selection struct {
		pools                 []string
		ofPools, nodes, ofWeb []v1alpha1.LabelSelector
	}
	for _, tt := range []struct {
		name string
		selection
		want []string
	}{
		{"all", selection{}, nil},
		{"what there is", selection{[]string{"lan"}, nil, selecting(corev1.LabelHostname, "n1"), selecting("app", "web")}, nil},
		{"a pool by label", selection{nil, selecting("pool", "lan"), nil, nil}, nil},
		{"nothing", selection{nil, selecting("pool", "x"), selecting("x", "y"), selecting("app", "x")},
			[]string{"node", "IPAddressPool", "Service"}},
		{"no pool", selection{nil, selecting("pool", "x"), nil, nil}, []string{"IPAddressPool"}},
		{"no node", selection{nil, nil, selecting("x", "y"), nil}, []string{"node"}},
		{"no Service", selection{[]string{"lan"}, nil, nil, selecting("app", "x")}, []string{"Service"}},
	} {
		v.SetL2Advertisement("ad", &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{
			IPAddressPools: tt.pools, IPAddressPoolSelectors: tt.ofPools, NodeSelectors: tt.nodes, ServiceSelectors: tt.ofWeb}})
		v.SetBGPAdvertisement("ad", &v1alpha1.BGPAdvertisement{Spec: v1alpha1.BGPAdvertisementSpec{
			IPAddressPools: tt.pools, IPAddressPoolSelectors: tt.ofPools, NodeSelectors: tt.nodes, ServiceSelectors: tt.ofWeb}})
		v.Settle()
		for kind, got := range map[string][]string{"L2Advertisement": v.L2Remarks("ad"), "BGPAdvertisement": v.BGPRemarks("ad")} {
			if len(got) != len(tt.want) {
				t.Errorf("%s that selects %s: %q", kind, tt.name, got)
				continue
			}
			for i, of := range tt.want {
				if !strings.Contains(got[i], "selects no "+of) {
					t.Errorf("%s that selects %s: %q", kind, tt.name, got)
				}
			}
		}
	}
	empty := NewView()
	empty.SetL2Advertisement("all", &v1alpha1.L2Advertisement{})
	empty.SetBGPAdvertisement("all", &v1alpha1.BGPAdvertisement{})
	empty.Settle()
	if got := slices.Concat(empty.L2Remarks("all"), empty.BGPRemarks("all")); len(got) > 0 {
		t.Errorf("of one that does not select, where there is nothing: %q", got)
	}
	if got := slices.Concat(v.L2Remarks("other"), v.BGPRemarks("other")); len(got) > 0 {
		t.Errorf("of one that there is not: %q", got)
	}
}

func TestWhetherPlansNeedKnowOfAChangeOfEndpoints(t *testing.T) {
	web := NewEndpoints(endpointsOn("web", "n1", "n2"))
	for _, tt := range []struct {
		name             string
		other            *Endpoints
		equal, sameNodes bool
	}{
		{"the same", NewEndpoints(endpointsOn("web", "n2", "n1")), true, true},
		{"more on one node", NewEndpoints(endpointsOn("web", "n1", "n2", "n2")), false, true},
		{"on another node", NewEndpoints(endpointsOn("web", "n1", "n3")), false, false},
		{"of the other family", NewEndpoints(endpoints6On("web", "n1", "n2")), false, false},
		{"of another Service", NewEndpoints(endpointsOn("dns", "n1", "n2")), false, true},
		{"one that terminates", func() *Endpoints {
			s := endpointsOn("web", "n1", "n2")
			s.Endpoints[0].Conditions = terminating
			return NewEndpoints(s)
		}(), false, false},
	} {
		if got := web.Equal(tt.other); got != tt.equal {
			t.Errorf("%s: equal %t", tt.name, got)
		}
		if got := web.onSameNodes(tt.other); got != tt.sameNodes {
			t.Errorf("%s: on the same nodes %t", tt.name, got)
		}
	}
}

func TestEndpointsOfAServiceThatIsForgottenAreGone(t *testing.T) {
	v := NewView()
	for _, name := range []string{"web", "dns"} {
		v.SetEndpointSlice(types.NamespacedName{Namespace: "default", Name: name + "-x"}, endpointsOn(name, "n1"))
	}
	v.ForgetEndpoints(types.NamespacedName{Namespace: "default", Name: "web"})
	v.ForgetEndpoints(types.NamespacedName{Namespace: "default", Name: "unknown"})
	for name, want := range map[string]bool{"web-x": false, "dns-x": true} {
		if _, known := v.SliceOwner(types.NamespacedName{Namespace: "default", Name: name}); known != want {
			t.Errorf("%s is known: %t", name, known)
		}
	}
}

func TestWhatHelpsAgainstAnInterfaceThatIsNotThere(t *testing.T) {
	if got := (Layer2Verdict{Asked: "eth7", Reason: NoInterface}).Remedy(); !strings.Contains(got, "correct spec.interfaces") {
		t.Errorf("asked for one: %q", got)
	}
	if got := (Layer2Verdict{Reason: NoInterface}).Remedy(); got != NoInterface.Remedy() || got == "" {
		t.Errorf("asked for none: %q", got)
	}
}

func TestNobodyKeepsWhoHasWrittenWhatOfAnObject(t *testing.T) {
	node := nodeObject("n1")
	node.ManagedFields = []metav1.ManagedFieldsEntry{{Manager: "kubelet"}}
	transform := TransformFor("n1")
	for _, object := range []any{
		node,
		&v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{ManagedFields: []metav1.ManagedFieldsEntry{{Manager: "kubectl"}}}},
	} {
		out, err := transform(object)
		if err != nil {
			t.Fatal(err)
		}
		if fields := out.(metav1.Object).GetManagedFields(); len(fields) > 0 {
			t.Errorf("%T: %v", out, fields)
		}
	}
	if out, err := transform("no object"); out != "no object" || err != nil {
		t.Errorf("%v, %v", out, err)
	}
}
