package e2e

import (
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// testAttributes has several advertisements set the attributes of one path.
func testAttributes(p *peering) {
	const names = "---\napiVersion: clarionlb.io/v1alpha1\nkind: Community\nmetadata: {name: names}\nspec: {communities: [{name: cheap, value: \"65001:200\"}]}\n"
	p.applyYAML(names + bgpAdvertisement("routed", "ipAddressPools: [routed]", "peers: [tor, inside, outside]",
		`communities: ["65001:1", cheap, "large:65001:1:2"]`, "localPref: 200", "med: 7", "prependAS: 2"))
	v4 := p.web[0]
	said := "65001 65001 65001, 0, 7, 65001:1 65001:200 65001:1:2"
	for _, route := range p.web {
		p.near.awaitAttributes(route, map[string]string{"192.168.10.11": said, "192.168.10.12": said})
	}
	inner, outer := "Local, 200, 7, 65001:1 65001:200 65001:1:2", "65041 65041 65041, 0, 7, 65001:1 65001:200 65001:1:2"
	p.far.awaitAttributes(v4, map[string]string{"192.168.10.11": inner, "192.168.10.12": inner, "fd00:10::11": outer})
	p.awaitReady("bgpadvertisement/routed", v1alpha1.ReasonValid, "")

	// A younger advertisement for the same address adds its communities. Its local preference
	// contradicts the older one and is ignored.
	p.applyYAML(bgpAdvertisement("younger", "ipAddressPools: [routed]", "peers: [inside, guarded]", `communities: ["65001:9"]`, "localPref: 50"))
	p.awaitReady("bgpadvertisement/younger", v1alpha1.ReasonContradicts, "is announced with the localPref of BGPAdvertisement routed, which is older")
	inner = "Local, 200, 7, 65001:1 65001:9 65001:200 65001:1:2"
	p.far.awaitAttributes(v4, map[string]string{"192.168.10.11": inner, "192.168.10.12": inner, "fd00:10::11": outer, "fd00:10::12": "65051, 0, 0, 65001:9"})

	// A mistake in one advertisement, or for one peer, leaves all others as they are.
	p.applyYAML(bgpAdvertisement("typo", "ipAddressPools: [routed]", "peers: [six]", "communities: [cheep]"))
	p.awaitReady("bgpadvertisement/typo", v1alpha1.ReasonUnknownName, `no Community defines "cheep"`)
	p.applyYAML(bgpAdvertisement("nobody", "ipAddressPools: [routed]", "peers: [source, nobody]"))
	p.awaitReady("bgpadvertisement/nobody", v1alpha1.ReasonUnknownName, "there is no BGPPeer nobody")
	p.near.awaitAttributes(v4, map[string]string{"192.168.10.11": said, "192.168.10.12": said, "192.168.10.111": "65031, 0, 0,"})
	p.applyYAML(strings.Replace(names, "cheap", "cheep", 1))
	p.awaitReady("bgpadvertisement/typo", v1alpha1.ReasonValid, "")
	// Where a name is gone, its value stays in force.
	p.awaitReady("bgpadvertisement/routed", v1alpha1.ReasonUnknownName, `no Community defines "cheap"`)
	p.near.awaitAttributes(v4, map[string]string{"192.168.10.11": said, "192.168.10.12": said, "fd00:10::11": "65011, 0, 0, 65001:200", "fd00:10::12": "65011, 0, 0, 65001:200", "192.168.10.111": "65031, 0, 0,"})

	// Without the older advertisement, all that the younger one says counts.
	p.kubectl("delete", "bgpadvertisement", "routed", "typo", "nobody")
	p.awaitReady("bgpadvertisement/younger", v1alpha1.ReasonValid, "")
	inner = "Local, 50, 0, 65001:9"
	p.far.awaitAttributes(v4, map[string]string{"192.168.10.11": inner, "192.168.10.12": inner, "fd00:10::12": "65051, 0, 0, 65001:9"})
	p.near.awaitAttributes(v4, map[string]string{})
	p.kubectl("delete", "bgpadvertisement", "younger")
	p.applyYAML(routedAdvertisement)
}

// testAggregates announces addresses as aggregates. A node announces an aggregate while it
// announces any address in it.
func testAggregates(p *peering) {
	p.applyYAML(pool("block", "198.51.100.0/28") + pool("small", "198.51.100.64/30") +
		bgpAdvertisement("blocks", "ipAddressPools: [block, small]", "aggregationLength: 28", "peers: [tor]"))
	in := func(pool string, policy corev1.ServiceExternalTrafficPolicy) func(*corev1.Service) {
		return all(annotate("clarionlb.io/address-pool", pool), trafficPolicy(policy))
	}
	block := netip.MustParsePrefix("198.51.100.0/28")
	const n1, n2 = "192.168.10.11", "192.168.10.12"
	place := func(node string) {
		p.t.Helper()
		p.kubectl("patch", "deployment/myapp", `--patch={"spec": {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "`+node+`"}}}}}`)
	}
	p.loadBalancer("everywhere", in("block", anyNode))
	p.loadBalancer("here", in("block", onlyLocal))
	p.near.awaitPathsFrom(block, n1, n2)
	p.near.awaitPathsFrom(hostRoute(p.awaitAddress("here")))
	place("n1")
	p.delete("everywhere")
	p.near.awaitPathsFrom(block, n1)
	place("n2")
	p.near.awaitPathsFrom(block, n2)
	p.awaitAnnounced("here", v1alpha1.ReasonAnnounced, p.awaitAddress("here").String()+" is announced by BGP from 1 node to 1 peer")

	p.loadBalancer("beyond", in("small", anyNode))
	p.awaitAnnounced("beyond", v1alpha1.ReasonNoNode, p.awaitAddress("beyond").String()+" is not announced: .*the aggregate reaches beyond the pool of this address.*")
	p.near.awaitPathsFrom(netip.MustParsePrefix("198.51.100.64/28"))
	p.delete("here", "beyond")
	p.near.awaitPathsFrom(block)
}
