package plan

import (
	"net/netip"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestContradictionsAreSaidOfTheYounger(t *testing.T) {
	r := newRack()
	r.advertise("b-first", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(1))})
	r.advertise("a-second", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(2))})
	r.advertise("elsewhere", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(3)), Peers: []string{"other"}})
	r.advertise("wider", v1alpha1.BGPAdvertisementSpec{LocalPref: new(int64(4)), AggregationLength: new(int32(24))})
	r.plan()
	got := r.planner.Contradictions()
	want := map[string][]Contradiction{"a-second": {{netip.MustParsePrefix("192.168.10.1/32"), "localPref", "b-first"}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("contradictions %v, want %v", got, want)
	}
	const sentence = "192.168.10.1/32 is announced with the localPref of BGPAdvertisement b-first, which is older"
	if got := got["a-second"][0].Sentence(); got != sentence {
		t.Errorf("got %q, want %q", got, sentence)
	}
}

func TestEveryAttributeOfWhichThereCanOnlyBeOneMayContradict(t *testing.T) {
	type spec = v1alpha1.BGPAdvertisementSpec
	for _, tt := range []struct {
		attribute      string
		older, younger spec
	}{
		{"localPref", spec{LocalPref: new(int64(1))}, spec{LocalPref: new(int64(2))}},
		{"med", spec{MED: new(int64(1))}, spec{MED: new(int64(2))}},
		{"prependAS", spec{PrependAS: new(int32(1))}, spec{PrependAS: new(int32(2))}},
		{"", spec{MED: new(int64(1))}, spec{MED: new(int64(1)), PrependAS: new(int32(2))}},
		{"", spec{Communities: []string{"65000:1"}}, spec{Communities: []string{"65000:2"}}},
	} {
		r := newRack()
		r.advertise("older", tt.older)
		r.advertise("younger", tt.younger)
		r.plan()
		got := ""
		for _, c := range r.planner.Contradictions()["younger"] {
			got += c.Attribute
		}
		if got != tt.attribute {
			t.Errorf("%+v and %+v contradict in %q, want %q", tt.older, tt.younger, got, tt.attribute)
		}
	}
}

func TestAdvertisementsThatSelectDifferentNodesDoNotContradict(t *testing.T) {
	r := newRack()
	r.advertise("a", v1alpha1.BGPAdvertisementSpec{MED: new(int64(1)), NodeSelectors: selecting(corev1.LabelHostname, "n1")})
	r.advertise("b", v1alpha1.BGPAdvertisementSpec{MED: new(int64(2)), NodeSelectors: selecting(corev1.LabelHostname, "n2")})
	r.plan()
	if got := r.planner.Contradictions(); len(got) > 0 {
		t.Errorf("contradictions %v", got)
	}
}

func TestAllThatContradictsIsNamed(t *testing.T) {
	r := newRack()
	r.peer("tor2", nil)
	type spec = v1alpha1.BGPAdvertisementSpec
	r.advertise("a", spec{MED: new(int64(1)), LocalPref: new(int64(1)), Peers: []string{"tor"}})
	r.advertise("b", spec{MED: new(int64(2)), PrependAS: new(int32(1))})
	r.advertise("c", spec{MED: new(int64(3)), LocalPref: new(int64(3)), PrependAS: new(int32(1))})
	r.advertise("d", spec{MED: new(int64(1)), Peers: []string{"tor"}}) // as a says, which holds
	r.plan()
	got := map[string]string{}
	for name, contradictions := range r.planner.Contradictions() {
		for _, c := range contradictions {
			got[name] += c.Attribute + " of " + c.Older + "; "
		}
	}
	want := map[string]string{"b": "med of a; ", "c": "localPref of a; med of a; med of b; "}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("contradictions %v, want %v", got, want)
	}
}
