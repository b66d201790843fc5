package plan

import (
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// edited is an object of each kind whose spec has been edited. The fields of the status are those that
// the cloud-controller-manager has written so far.
type edited[S any] struct {
	spec       S
	applied    *S
	generation int64
	judged     bool // this generation
}

func (e edited[S]) meta(name string) (metav1.ObjectMeta, []metav1.Condition) {
	ready := metav1.Condition{Type: v1alpha1.ConditionReady, ObservedGeneration: e.generation}
	if !e.judged {
		ready.ObservedGeneration--
	}
	return metav1.ObjectMeta{Name: name, UID: "1", Generation: e.generation}, []metav1.Condition{ready}
}

func (r *rack) editPeer(e edited[v1alpha1.BGPPeerSpec]) {
	o := &v1alpha1.BGPPeer{Spec: e.spec, Status: v1alpha1.BGPPeerStatus{AppliedSpec: e.applied}}
	o.ObjectMeta, o.Status.Conditions = e.meta("tor")
	r.view.SetBGPPeer("tor", o)
}

func (r *rack) editAdvertisement(e edited[v1alpha1.BGPAdvertisementSpec]) {
	o := &v1alpha1.BGPAdvertisement{Spec: e.spec, Status: v1alpha1.BGPAdvertisementStatus{AppliedSpec: e.applied}}
	o.ObjectMeta, o.Status.Conditions = e.meta("all")
	r.view.SetBGPAdvertisement("all", o)
}

func (r *rack) editL2(e edited[v1alpha1.L2AdvertisementSpec]) {
	o := &v1alpha1.L2Advertisement{Spec: e.spec, Status: v1alpha1.L2AdvertisementStatus{AppliedSpec: e.applied}}
	o.ObjectMeta, o.Status.Conditions = e.meta("all")
	r.view.SetL2Advertisement("all", o)
}

func (r *rack) editProfile(e edited[v1alpha1.BFDProfileSpec]) {
	o := &v1alpha1.BFDProfile{Spec: e.spec, Status: v1alpha1.BFDProfileStatus{AppliedSpec: e.applied}}
	o.ObjectMeta, o.Status.Conditions = e.meta("fast")
	r.view.SetBFDProfile("fast", o)
}

func (r *rack) editCommunity(e edited[v1alpha1.CommunitySpec]) {
	o := &v1alpha1.Community{Spec: e.spec, Status: v1alpha1.CommunityStatus{AppliedSpec: e.applied}}
	o.ObjectMeta, o.Status.Conditions = e.meta("names")
	r.view.SetCommunity("names", o)
}

// lifeOf edits an object through its life. says is what a plan makes of it: good, better or nothing,
// where nothing is what there is of one that was never valid.
type lifeOf[S any] struct {
	good, better, bad S
	edit              func(*rack, edited[S])
	problem           func(*rack) error
	// says is what follows from the object, as text.
	says                              func(*rack) string
	saysGood, saysBetter, saysNothing string
	wrong                             string // what is wrong with bad
}

func (l lifeOf[S]) test(t *testing.T) {
	r := newRack()
	step := func(r *rack, what string, e edited[S], want string) (planned bool) {
		t.Helper()
		r.view.layer2.all, r.view.routes.all = false, false
		l.edit(r, e)
		r.view.Settle()
		planned = r.view.layer2.all || r.view.routes.all
		if got := l.says(r); got != want {
			t.Errorf("%s: %s, want %s", what, got, want)
		}
		if problem := l.problem(r); (problem != nil) != (what[0] == '!') || problem != nil && !strings.Contains(problem.Error(), l.wrong) {
			t.Errorf("%s: %v, want %s", what, problem, l.wrong)
		}
		return planned
	}
	step(r, "a good version", edited[S]{l.good, nil, 1, false}, l.saysGood)
	if step(r, "!a mistake", edited[S]{l.bad, nil, 2, false}, l.saysGood) {
		t.Error("all is planned again because of a mistake")
	}
	step(r, "a better version", edited[S]{l.better, &l.good, 3, false}, l.saysBetter)
	step(r, "!a mistake of which only this process knows what was before", edited[S]{l.bad, &l.good, 4, false}, l.saysBetter)
	if step(r, "!the same, as recorded", edited[S]{l.bad, &l.better, 4, true}, l.saysBetter) {
		t.Error("all is planned again because what is in force is recorded")
	}
	step(r, "!what the others have, who have not seen the better version", edited[S]{l.bad, &l.good, 4, true}, l.saysGood)
	step(r, "mended", edited[S]{l.better, &l.good, 5, false}, l.saysBetter)

	r = newRack()
	step(r, "!a mistake, for a new process", edited[S]{l.bad, &l.good, 4, true}, l.saysGood)
	step(r, "!another one", edited[S]{l.bad, &l.good, 5, false}, l.saysGood)
	r = newRack()
	step(r, "!one that was never valid", edited[S]{l.bad, nil, 1, false}, l.saysNothing)
	step(r, "it is mended", edited[S]{l.good, nil, 2, false}, l.saysGood)
}

func l2Life(good, better, bad v1alpha1.L2AdvertisementSpec, nothing, wrong string) lifeOf[v1alpha1.L2AdvertisementSpec] {
	return lifeOf[v1alpha1.L2AdvertisementSpec]{
		good: good, better: better, bad: bad, edit: (*rack).editL2,
		problem: func(r *rack) error { return r.view.L2Advertisement("all").Problem },
		says: func(r *rack) string {
			a := r.view.l2Advertisements.inForce["all"]
			if a == nil {
				return "nothing"
			}
			return strings.Join(append(a.pools, a.interfaces...), " ")
		},
		saysGood: strings.Join(append(good.IPAddressPools, good.Interfaces...), " "), saysBetter: strings.Join(append(better.IPAddressPools, better.Interfaces...), " "),
		saysNothing: nothing, wrong: wrong,
	}
}

func TestAnL2AdvertisementThatBecomesWrongStaysInForce(t *testing.T) {
	type spec = v1alpha1.L2AdvertisementSpec
	good, better := spec{IPAddressPools: []string{"public"}}, spec{IPAddressPools: []string{"public"}, Interfaces: []string{"eth0"}}
	l2Life(good, better, spec{Interfaces: []string{"eth1", "eth[0"}}, "nothing", `spec.interfaces[1] "eth[0": syntax error in pattern`).test(t)
	l2Life(good, better, spec{IPAddressPools: []string{"public", "publik"}}, "public publik", "there is no IPAddressPool publik").test(t)
	l2Life(good, better, spec{NodeSelectors: []v1alpha1.LabelSelector{misspelt}}, "nothing", `spec.nodeSelectors[0]: "Inn" is not a valid label selector operator`).test(t)
	l2Life(good, better, spec{IPAddressPools: []string{"publik"}, ServiceSelectors: []v1alpha1.LabelSelector{{}, misspelt}}, "nothing",
		`spec.serviceSelectors[1]: "Inn" is not a valid label selector operator; there is no IPAddressPool publik`).test(t)
}

func TestABGPAdvertisementThatBecomesWrongStaysInForce(t *testing.T) {
	type spec = v1alpha1.BGPAdvertisementSpec
	for wrong, bad := range map[string]spec{
		"there is no BGPPeer tro":            {Peers: []string{"tro"}},
		"there is no IPAddressPool publik":   {IPAddressPools: []string{"publik"}},
		`no Community defines "cheep"`:       {Communities: []string{"cheep"}},
		"spec.ipAddressPoolSelectors[0]: \"": {IPAddressPoolSelectors: []v1alpha1.LabelSelector{misspelt}},
	} {
		lifeOf[spec]{
			good: spec{}, better: spec{MED: new(int64(7)), Peers: []string{"tor"}, Communities: []string{"no-export"}}, bad: bad,
			edit:     (*rack).editAdvertisement,
			problem:  func(r *rack) error { return r.view.BGPAdvertisement("all").Problem },
			says:     func(r *rack) string { return r.plan().text() },
			saysGood: "tor\n  192.168.10.1/32", saysBetter: "tor\n  192.168.10.1/32 med 7 65535:65281", saysNothing: "tor", wrong: wrong,
		}.test(t)
	}
}

func TestABGPPeerThatBecomesWrongKeepsItsSessions(t *testing.T) {
	type spec = v1alpha1.BGPPeerSpec
	good := spec{MyASN: 65001, PeerASN: new(int64(65000)), PeerAddress: "10.0.0.100"}
	better, zone, selector, profile := good, good, good, good
	better.PeerPort, zone.PeerAddress, selector.NodeSelectors, profile.BFDProfile = 1179, "fe80::1", []v1alpha1.LabelSelector{misspelt}, "fats"
	for wrong, bad := range map[string]spec{
		"needs an interface": zone, "spec.nodeSelectors[0]": selector, "there is no BFDProfile fats": profile,
	} {
		life := lifeOf[spec]{
			good: good, better: better, bad: bad, edit: (*rack).editPeer,
			problem: func(r *rack) error { return r.view.BGPPeer("tor").Problem },
			says: func(r *rack) string {
				session, is := r.plan().Peers[bgp.SessionKey{Peer: "tor"}]
				return map[bool]string{false: "none", true: "port " + map[uint16]string{0: "default", 1179: "1179"}[session.Port]}[is]
			},
			saysGood: "port default", saysBetter: "port 1179", saysNothing: "none", wrong: wrong,
		}
		if bad.BFDProfile != "" { // there is a session nevertheless
			life.saysNothing = "port default"
		}
		life.test(t)
	}
}

func TestABFDProfileThatBecomesWrongKeepsItsParameters(t *testing.T) {
	lifeOf[v1alpha1.BFDProfileSpec]{
		good: v1alpha1.BFDProfileSpec{TransmitInterval: 100}, better: v1alpha1.BFDProfileSpec{TransmitInterval: 50},
		bad:     v1alpha1.BFDProfileSpec{TransmitInterval: 10, EchoMode: true},
		edit:    (*rack).editProfile,
		problem: func(r *rack) error { return r.view.BFDProfile("fast").Problem },
		says: func(r *rack) string {
			r.peer("watched", func(s *v1alpha1.BGPPeerSpec) { s.BFDProfile = "fast" })
			settings := r.plan().BFD[bgp.SessionKey{Peer: "watched"}]
			return settings.Transmit.String() + settings.Refused
		},
		saysGood: "100ms", saysBetter: "50ms", saysNothing: "0sBFDProfile fast: spec.echoMode is not supported", wrong: "spec.echoMode is not supported",
	}.test(t)
}

func TestACommunityThatBecomesWrongKeepsItsValues(t *testing.T) {
	names := func(values ...string) (spec v1alpha1.CommunitySpec) {
		for i, value := range values {
			spec.Communities = append(spec.Communities, v1alpha1.CommunityAlias{Name: string(rune('a' + i)), Value: value})
		}
		return spec
	}
	lifeOf[v1alpha1.CommunitySpec]{
		good: names("65000:1", "65000:2"), better: names("65000:3", "65000:4"), bad: names("65000:5", "65000:66000"),
		edit:    (*rack).editCommunity,
		problem: func(r *rack) error { return r.view.Community("names").Problem },
		says: func(r *rack) string {
			r.advertise("a", v1alpha1.BGPAdvertisementSpec{Communities: []string{"a"}})
			return r.plan().text()
		},
		saysGood: "tor\n  192.168.10.1/32 65000:1", saysBetter: "tor\n  192.168.10.1/32 65000:3",
		saysNothing: "tor\n  192.168.10.1/32 65000:5", // what can be read counts
		wrong:       `spec.communities[1]: community "65000:66000": "66000" is not a number of 16 bits`,
	}.test(t)
}

func TestWhatIsNamedMayGoAndNothingGoesDown(t *testing.T) {
	r := newRack()
	r.community("names", "cheap", "65000:1")
	r.editProfile(edited[v1alpha1.BFDProfileSpec]{generation: 1})
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.BFDProfile = "fast" })
	r.view.SetPool("other", poolObject("other", "192.0.2.0/24"))
	r.peer("tor2", nil)
	spec := v1alpha1.BGPAdvertisementSpec{IPAddressPools: []string{"public", "other"}, Peers: []string{"tor", "tor2"}, Communities: []string{"cheap"}}
	r.editAdvertisement(edited[v1alpha1.BGPAdvertisementSpec]{spec: spec, generation: 1})
	const routes = "tor\n  192.168.10.1/32 65000:1"
	if got := r.plan().text(); got != routes+"\ntor2\n  192.168.10.1/32 65000:1" {
		t.Fatal(got)
	}
	applied := r.view.BGPAdvertisement("all").LastGood
	gone := func(r *rack) {
		t.Helper()
		r.view.SetCommunity("names", nil)
		r.view.SetBFDProfile("fast", nil)
		r.view.SetPool("other", nil)
		r.view.SetBGPPeer("tor2", nil)
		if got := r.plan().text(); got != routes {
			t.Error(got)
		}
		want := `no Community defines "cheap", nor is that a well-known one; there is no BGPPeer tor2; there is no IPAddressPool other`
		if state := r.view.BGPAdvertisement("all"); state.Problem == nil || state.Problem.Error() != want || !state.Used {
			t.Errorf("%+v, want %s", state, want)
		}
		if state := r.view.BGPPeer("tor"); state.Problem == nil || state.Problem.Error() != "there is no BFDProfile fast" || state.Reason() != v1alpha1.ReasonUnknownName {
			t.Errorf("%+v", state)
		}
	}
	gone(r)
	// A process that is started then knows the community from what is recorded.
	r = newRack()
	r.peer("tor", func(s *v1alpha1.BGPPeerSpec) { s.BFDProfile = "fast" })
	r.editAdvertisement(edited[v1alpha1.BGPAdvertisementSpec]{spec, applied, 1, true})
	gone(r)
}

func TestAnotherObjectOfTheSameNameIsNotTheOneBefore(t *testing.T) {
	r := newRack()
	r.editL2(edited[v1alpha1.L2AdvertisementSpec]{generation: 1})
	r.view.Settle()
	r.view.SetL2Advertisement("all", &v1alpha1.L2Advertisement{
		ObjectMeta: metav1.ObjectMeta{Name: "all", UID: "2"}, Spec: v1alpha1.L2AdvertisementSpec{Interfaces: []string{"["}},
	})
	r.view.Settle()
	if state := r.view.L2Advertisement("all"); state.Used || state.LastGood != nil {
		t.Errorf("%+v", state)
	}
}
