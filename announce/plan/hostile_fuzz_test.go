package plan

import (
	"encoding/json"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Whatever another announcer writes of itself, an address that it does not name stays where it is.
func FuzzWhatAnotherAnnouncerWrites(f *testing.F) {
	f.Add(`{"layer2": {"addresses": [{"ip": "192.168.10.201", "epoch": 9223372036854775807, "interfaces": ["eth0"], "previousOwners": ["", "n1"]}]}}`)
	f.Add(`{"layer2": {"addresses": [{"ip": "x", "epoch": -1}, {"ip": "fe80::1%eth0"}, {"ip": "::ffff:10.0.0.1"}]}}`)
	f.Add(`{"layer2": {"interfaces": [{"name": "", "mac": "x", "prefixes": ["0.0.0.0/0", "x"]}], "conflicts": [{"ip": "192.168.10.201", "mac": ""}]}}`)
	f.Add(`{"conditions": [{"type": "KubeProxy", "status": "False", "reason": "NotServing"}, {"type": "Ready"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		var status v1alpha1.AnnouncerStatus
		if json.Unmarshal([]byte(text), &status) != nil || strings.Contains(text, vip) {
			return
		}
		l := newLAN(t, "n1", "n2")
		l.setPool(poolObject("lan", "192.168.10.0/24"))
		l.advertise("lan", v1alpha1.L2AdvertisementSpec{})
		l.setService(serviceObject("web", vip))
		l.setEndpoints(endpointsOn("web", "n1", "n2"))
		l.settle()
		owner := l.owner(vip)
		other := otherThan(l, owner)
		l.nodes[owner].view.SetAnnouncer(other, &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: other}, Status: status})
		for range 3 {
			if plan := l.plan(owner); len(plan.Layer2[netip.MustParseAddr(vip)]) == 0 {
				t.Fatalf("%s gave %s up", owner, vip)
			}
		}
	})
}

// Whatever another announcer tells of itself, an address that it does not name stays where it is, and nothing is kept that no Service has.
func FuzzWhatAnotherAnnouncerTells(f *testing.F) {
	f.Add(`[{"ip": "192.168.10.201", "epoch": 9223372036854775807, "planned": true}]`)
	f.Add(`[{"ip": "", "epoch": -1}, {"ip": "fe80::1%eth0", "epoch": 1}, {"ip": "::ffff:10.0.0.1", "epoch": 2, "recorded": true}]`)
	f.Add(`[{"epoch": 1}, {"ip": "192.168.10.202", "epoch": 1}, {"ip": "192.168.10.202", "epoch": 1}]`)
	f.Fuzz(func(t *testing.T, text string) {
		var told []Takeover
		if json.Unmarshal([]byte(text), &told) != nil || strings.Contains(text, vip) {
			return
		}
		l := newLAN(t, "n1", "n2")
		l.setPool(poolObject("lan", "192.168.10.0/24"))
		l.advertise("lan", v1alpha1.L2AdvertisementSpec{})
		l.setService(serviceObject("web", vip))
		l.setEndpoints(endpointsOn("web", "n1", "n2"))
		l.settle()
		owner := l.owner(vip)
		planner, other := l.nodes[owner].planner, otherThan(l, owner)
		for range 3 {
			if against := append(planner.ObserveTakeovers(other, told, l.now), planner.ObserveClaims(other, told, l.now)...); len(against) > 0 {
				t.Errorf("%q is contradicted by %v", text, against)
			}
			if plan := l.plan(owner); len(plan.Layer2[netip.MustParseAddr(vip)]) == 0 {
				t.Fatalf("%s gave %s up", owner, vip)
			}
		}
		if len(planner.told) > 0 {
			t.Errorf("%v is remembered", planner.told)
		}
	})
}

// Whatever is written into an object of BGP, what the others say goes on.
func FuzzWhatIsWrittenOfBGP(f *testing.F) {
	f.Add(uint8(0), `{"myASN": 0, "peerASN": -1, "peerAddress": "x", "nodeSelectors": [{"matchExpressions": [{"operator": "In"}]}]}`)
	f.Add(uint8(0), `{"myASN": 65001, "peerASN": 65000, "peerAddress": "192.168.10.9%eth0", "holdTime": "-1s", "bfdProfile": "/"}`)
	f.Add(uint8(1), `{"aggregationLength": 0, "aggregationLengthV6": 129, "communities": ["x", "65535:65281", "large:1:2:3"], "peers": [""]}`)
	f.Add(uint8(1), `{"localPref": 4294967295, "serviceSelectors": [{"matchLabels": {"/": "x"}}], "ipAddressPools": ["other"]}`)
	f.Add(uint8(2), `{"communities": [{"name": "tor", "value": "1:1:1:1"}]}`)
	f.Add(uint8(3), `{"receiveInterval": 0, "detectMultiplier": 256}`)
	f.Fuzz(func(t *testing.T, kind uint8, text string) {
		r := newRack()
		r.advertise("all", v1alpha1.BGPAdvertisementSpec{})
		r.plan()
		meta := metav1.ObjectMeta{Name: "hostile"}
		switch kind % 4 {
		case 0:
			o := &v1alpha1.BGPPeer{ObjectMeta: meta}
			if json.Unmarshal([]byte(text), &o.Spec) != nil {
				return
			}
			r.view.SetBGPPeer(o.Name, o)
		case 1:
			o := &v1alpha1.BGPAdvertisement{ObjectMeta: meta}
			if json.Unmarshal([]byte(text), &o.Spec) != nil {
				return
			}
			r.view.SetBGPAdvertisement(o.Name, o)
		case 2:
			o := &v1alpha1.Community{ObjectMeta: meta}
			if json.Unmarshal([]byte(text), &o.Spec) != nil {
				return
			}
			r.view.SetCommunity(o.Name, o)
		case 3:
			o := &v1alpha1.BFDProfile{ObjectMeta: meta}
			if json.Unmarshal([]byte(text), &o.Spec) != nil {
				return
			}
			r.view.SetBFDProfile(o.Name, o)
		}
		if got := r.plan().text(); !strings.Contains(got, "tor\n  192.168.10.1/32") {
			t.Errorf("what is left of tor:\n%s", got)
		}
	})
}
