package plan

import (
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestAStatusThatIsWrittenHasNothingPlannedAnew(t *testing.T) {
	object := func(change func(*v1alpha1.BGPPeer)) *v1alpha1.BGPPeer {
		p := &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: "tor", UID: "1", Generation: 3, Labels: map[string]string{"rack": "a"}}}
		change(p)
		return p
	}
	before := object(func(*v1alpha1.BGPPeer) {})
	for name, tt := range map[string]struct {
		change func(*v1alpha1.BGPPeer)
		want   bool
	}{
		"status":      {func(p *v1alpha1.BGPPeer) { p.ResourceVersion, p.Status.Established = "2", 5 }, false},
		"annotations": {func(p *v1alpha1.BGPPeer) { p.Annotations = map[string]string{"note": "x"} }, false},
		"spec":        {func(p *v1alpha1.BGPPeer) { p.Generation, p.Spec.MyASN = 4, 65002 }, true},
		"labels":      {func(p *v1alpha1.BGPPeer) { p.Labels = map[string]string{"rack": "b"} }, true},
		"another one": {func(p *v1alpha1.BGPPeer) { p.UID = "2" }, true},
	} {
		if got := Concerns(before, object(tt.change)); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestOfTheStatusOfAPoolOnlyWhetherItIsInUseMatters(t *testing.T) {
	before := poolObject("lan", "192.168.10.0/24")
	for name, tt := range map[string]struct {
		change func(*v1alpha1.IPAddressPool)
		want   bool
	}{
		"counts": {func(p *v1alpha1.IPAddressPool) { p.Status.IPv4 = &v1alpha1.AddressCounts{Total: 256} }, false},
		"in use": {func(p *v1alpha1.IPAddressPool) { setReady(p, v1alpha1.ReasonValid) }, true},
		"unused": {func(p *v1alpha1.IPAddressPool) { setReady(p, v1alpha1.ReasonOverlaps) }, false},
	} {
		after := before.DeepCopy()
		tt.change(after)
		if got := Concerns(before, after); got != tt.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
