package why

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

func TestObjectsOfConfigurationAreFoundByWhatKubectlTakes(t *testing.T) {
	s := example(t).State()
	for _, name := range []string{"bgppeer/tor", "bgppeers.clarionlb.io/tor", "BGPP/tor", "ipap/public", "l2advertisement/lan", "bgpadv/routed", "announcer/n1"} {
		if r, err := Find(s, "default", name); err != nil || r.Summary == "" {
			t.Errorf("%s: %+v, %v", name, r, err)
		}
	}
	if _, err := Find(s, "default", "bgppeer/tro"); err == nil || !strings.Contains(err.Error(), "there is no BGPPeer tro") {
		t.Errorf("got %v", err)
	}
	mistaken := changed(t, func(s *snapshot.Snapshot) { // a namespace may be called like a kind
		s.Services = append(s.Services, &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "pool", Name: "public"}})
	})
	if r, err := Find(mistaken, "default", "pool/public"); err != nil || r.Kind != "Service" {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestWhatIsInForceInPlaceOfAnEditIsShown(t *testing.T) {
	s := changed(t, func(s *snapshot.Snapshot) {
		pool := snapshot.Find(s.IPAddressPools, "", "public")
		pool.Status.AppliedSpec = pool.Spec.DeepCopy()
		pool.Spec.Addresses = []string{"nonsense"}
		advertisement := snapshot.Find(s.L2Advertisements, "", "lan")
		advertisement.Status.AppliedSpec = advertisement.Spec.DeepCopy()
		advertisement.Spec.IPAddressPools = []string{"publik"}
	})
	for _, name := range []string{"ipaddresspool/public", "l2advertisement/lan"} {
		r, err := Find(s, "", name)
		if err != nil || r.OK {
			t.Fatalf("%+v, %v", r, err)
		}
		found := false
		for _, l := range r.Links {
			found = found || l.Name == "in force" && strings.Contains(l.Sentence, `an earlier version: {`)
			if l.Name == "Ready=False" && l.Remedy == "" {
				t.Errorf("%s has no remedy", name)
			}
		}
		if !found {
			t.Errorf("%s: %+v", name, r.Links)
		}
	}
	for _, name := range []string{"bgppeer/tor", "bgpadvertisement/routed"} {
		r, _ := Find(s, "", name)
		for _, l := range r.Links {
			if l.Name == "in force" || l.Name == v1alpha1.ConditionReady+"=False" {
				t.Errorf("%s: %+v", name, l)
			}
		}
	}
}
