package announced

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// misspelt is a selector that cannot be read.
var misspelt = []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "a", Operator: "Inn"}}}}

// configuration has an object of each kind whose spec can be wrong.
type configuration struct {
	l2          *v1alpha1.L2Advertisement
	peer        *v1alpha1.BGPPeer
	bgp         *v1alpha1.BGPAdvertisement
	community   *v1alpha1.Community
	profile     *v1alpha1.BFDProfile
	nextVersion int64
}

func validConfiguration() *configuration {
	named := metav1.ObjectMeta{Name: "a", UID: "1"}
	return &configuration{
		l2:        &v1alpha1.L2Advertisement{ObjectMeta: named, Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"pool"}}},
		peer:      &v1alpha1.BGPPeer{ObjectMeta: named, Spec: v1alpha1.BGPPeerSpec{MyASN: 65001, PeerASN: new(int64(65000)), PeerAddress: "192.0.2.1", BFDProfile: "a"}},
		bgp:       &v1alpha1.BGPAdvertisement{ObjectMeta: named, Spec: v1alpha1.BGPAdvertisementSpec{Communities: []string{"cheap"}}},
		community: &v1alpha1.Community{ObjectMeta: named, Spec: v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: "cheap", Value: "65000:1"}}}},
		profile:   &v1alpha1.BFDProfile{ObjectMeta: named, Spec: v1alpha1.BFDProfileSpec{TransmitInterval: 100}},
	}
}

// breakAll has a mistake edited into every object.
func (c *configuration) breakAll() {
	c.l2.Spec = v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"pool", "publik"}, Interfaces: []string{"eth[0"}}
	c.peer.Spec.NodeSelectors = misspelt
	c.bgp.Spec.Peers = []string{"nobody"}
	c.community.Spec.Communities = append(c.community.Spec.Communities, v1alpha1.CommunityAlias{Name: "far", Value: "65000:70000"})
	c.profile.Spec = v1alpha1.BFDProfileSpec{EchoMode: true}
}

// write writes the specs to the API, as new versions.
func (w *world) write(c *configuration, create bool) {
	w.Helper()
	c.nextVersion++
	api, errs := w.clarion.ClarionV1alpha1(), []error{}
	for _, m := range []*metav1.ObjectMeta{&c.l2.ObjectMeta, &c.peer.ObjectMeta, &c.bgp.ObjectMeta, &c.community.ObjectMeta, &c.profile.ObjectMeta} {
		m.Generation = c.nextVersion
	}
	add := func(_ any, err error) { errs = append(errs, err) }
	if create {
		add(api.L2Advertisements().Create(w.ctx, c.l2, metav1.CreateOptions{}))
		add(api.BGPPeers().Create(w.ctx, c.peer, metav1.CreateOptions{}))
		add(api.BGPAdvertisements().Create(w.ctx, c.bgp, metav1.CreateOptions{}))
		add(api.Communities().Create(w.ctx, c.community, metav1.CreateOptions{}))
		add(api.BFDProfiles().Create(w.ctx, c.profile, metav1.CreateOptions{}))
	} else {
		add(api.L2Advertisements().Update(w.ctx, c.l2, metav1.UpdateOptions{}))
		add(api.BGPPeers().Update(w.ctx, c.peer, metav1.UpdateOptions{}))
		add(api.BGPAdvertisements().Update(w.ctx, c.bgp, metav1.UpdateOptions{}))
		add(api.Communities().Update(w.ctx, c.community, metav1.UpdateOptions{}))
		add(api.BFDProfiles().Update(w.ctx, c.profile, metav1.UpdateOptions{}))
	}
	for _, err := range errs {
		if err != nil {
			w.Fatal(err)
		}
	}
	w.after(time.Minute)
}

// read reads the objects from the API.
func (w *world) read(c *configuration) {
	w.Helper()
	api, errs := w.clarion.ClarionV1alpha1(), [5]error{}
	c.l2, errs[0] = api.L2Advertisements().Get(w.ctx, "a", metav1.GetOptions{})
	c.peer, errs[1] = api.BGPPeers().Get(w.ctx, "a", metav1.GetOptions{})
	c.bgp, errs[2] = api.BGPAdvertisements().Get(w.ctx, "a", metav1.GetOptions{})
	c.community, errs[3] = api.Communities().Get(w.ctx, "a", metav1.GetOptions{})
	c.profile, errs[4] = api.BFDProfiles().Get(w.ctx, "a", metav1.GetOptions{})
	for _, err := range errs {
		if err != nil {
			w.Fatal(err)
		}
	}
}

// ready has what the objects say, by kind.
func (c *configuration) ready() map[string]string {
	said := map[string]string{}
	for kind, conditions := range map[string][]metav1.Condition{
		"L2Advertisement": c.l2.Status.Conditions, "BGPPeer": c.peer.Status.Conditions, "BGPAdvertisement": c.bgp.Status.Conditions,
		"Community": c.community.Status.Conditions, "BFDProfile": c.profile.Status.Conditions,
	} {
		if ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); ready != nil && ready.ObservedGeneration == c.nextVersion {
			said[kind] = string(ready.Status) + " " + ready.Reason + ": " + ready.Message
		}
	}
	return said
}

// applied is what is recorded of the objects.
func (c *configuration) applied() []any {
	return []any{c.l2.Status.AppliedSpec, c.peer.Status.AppliedSpec, c.bgp.Status.AppliedSpec, c.community.Status.AppliedSpec, c.profile.Status.AppliedSpec}
}

func TestAnObjectThatBecomesWrongSaysSoAndIsRecordedAsItWas(t *testing.T) {
	theirs, ours := served(nil)
	c := validConfiguration()
	good := validConfiguration()
	good.bgp.Spec.Communities = []string{"65000:1"} // what the name stood for
	want := []any{&good.l2.Spec, &good.peer.Spec, &good.bgp.Spec, &good.community.Spec, &good.profile.Spec}
	wrong := map[string]string{
		"L2Advertisement":  `False Invalid: spec.interfaces[0] "eth[0": syntax error in pattern; there is no IPAddressPool publik` + stays,
		"BGPPeer":          `False Invalid: spec.nodeSelectors[0]: "Inn" is not a valid label selector operator` + stays,
		"BGPAdvertisement": "False UnknownName: there is no BGPPeer nobody" + stays,
		"Community":        `False Invalid: spec.communities[1]: community "65000:70000": "70000" is not a number of 16 bits` + stays,
		"BFDProfile":       "False Unsupported: spec.echoMode is not supported" + stays,
	}
	withController(t, theirs, ours, func(w *world) {
		w.elect()
		w.write(c, true)
		w.read(c)
		for kind, said := range c.ready() {
			if kind != "BGPPeer" && !strings.HasPrefix(said, "True Valid: ") {
				t.Errorf("%s: %s", kind, said)
			}
		}
		if !reflect.DeepEqual(c.applied(), want) {
			t.Errorf("recorded %+v, want %+v", c.applied(), want)
		}
		c.breakAll()
		w.write(c, false)
		w.read(c)
		if got := c.ready(); !reflect.DeepEqual(got, wrong) || !reflect.DeepEqual(c.applied(), want) {
			t.Errorf("%q\nwant %q\nrecorded %+v", got, wrong, c.applied())
		}
		if got := w.controller.evaluator.view.L2Advertisement("a").LastGood; !reflect.DeepEqual(got, want[0]) {
			t.Errorf("in force is %+v", got)
		}
	})
	// The cloud-controller-manager is restarted, and finds the same; another mistake changes nothing.
	withController(t, theirs, append(ours, c.l2, c.peer, c.bgp, c.community, c.profile), func(w *world) {
		w.elect()
		w.after(time.Minute)
		if w.read(c); !reflect.DeepEqual(c.ready(), wrong) || !reflect.DeepEqual(c.applied(), want) {
			t.Errorf("after a restart %q\nwant %q\nrecorded %+v", c.ready(), wrong, c.applied())
		}
		c.l2.Spec.Interfaces = []string{"["}
		w.write(c, false)
		if w.read(c); !reflect.DeepEqual(c.applied(), want) {
			t.Errorf("after another mistake recorded %+v", c.applied())
		}
		c.l2.Spec = v1alpha1.L2AdvertisementSpec{Interfaces: []string{"eth0"}}
		w.write(c, false)
		if w.read(c); !reflect.DeepEqual(c.l2.Status.AppliedSpec, &c.l2.Spec) || c.ready()["L2Advertisement"] != "True Valid: The L2Advertisement is in use." {
			t.Errorf("mended, %q is recorded as %+v", c.ready(), c.l2.Status.AppliedSpec)
		}
	})
}

func TestAnAdvertisementSaysWhatItSelectsNothingOf(t *testing.T) {
	s := routed(t)
	none := []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"no": "such"}}}
	s.setL2Advertisement("a", &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{NodeSelectors: none, IPAddressPoolSelectors: none}})
	s.bgpAdvertise("b", v1alpha1.BGPAdvertisementSpec{ServiceSelectors: none})
	s.evaluate(s.now)
	for got, want := range map[string]string{
		s.l2AdvertisementCondition("a").Message:    "The L2Advertisement is in use. It selects no node at present. It selects no IPAddressPool at present.",
		s.advertisementCondition("b", nil).Message: "The BGPAdvertisement is in use. It selects no Service that has an address at present.",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestOneThatWasNeverValidSaysWhatIsUsedOfIt(t *testing.T) {
	s := routed(t)
	s.setL2Advertisement("a", &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{IPAddressPools: []string{"pool", "publik"}}})
	s.setL2Advertisement("b", &v1alpha1.L2Advertisement{Spec: v1alpha1.L2AdvertisementSpec{NodeSelectors: misspelt}})
	s.evaluate(s.now)
	for name, want := range map[string]string{
		"a": "there is no IPAddressPool publik; what can be used of it is in use",
		"b": `spec.nodeSelectors[0]: "Inn" is not a valid label selector operator; the L2Advertisement selects nothing`,
	} {
		if c := s.l2AdvertisementCondition(name); c.Message != want || c.Status != metav1.ConditionFalse {
			t.Errorf("%+v, want %s", c, want)
		}
	}
	if got := recorded(s.view.L2Advertisement("b"), &v1alpha1.L2AdvertisementSpec{}); got == nil {
		t.Error("what another version of the program found good is forgotten")
	}
}
