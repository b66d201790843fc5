package e2e

import (
	"strings"
)

// testMetalLBManifests applies manifests of MetalLB with nothing but their API group changed.
func testMetalLBManifests(d *deployment) {
	d.applyYAML(strings.ReplaceAll(metalLB, "apiVersion: metallb.io/v1beta", "apiVersion: clarionlb.io/v1alpha"))
}

// testRefusedManifests applies manifests each of which has one mistake.
func testRefusedManifests(d *deployment) {
	const peer, advertisement = torPeer + "  peerAddress: 192.168.10.1\n", routedAdvertisement
	for text, want := range map[string]string{
		torPeer:                                                                   "exactly one of peerAddress, interface and defaultGateway is needed",
		peer + "  interface: eth0\n":                                              "exactly one of peerAddress, interface and defaultGateway is needed",
		peer + "  dynamicASN: external\n":                                         "exactly one of peerASN and dynamicASN is needed",
		peer + "  sourceAddress: 2001:db8::1\n":                                   "must be of one IP family",
		peer + "  keepaliveTime: 4s\n":                                            "keepaliveTime must not be longer than a third of holdTime",
		peer + "  keepaliveTime: 1500ms\n":                                        "must be whole seconds",
		peer + "  ebgpMultiHop: true\n  ttlSecurityHops: 1\n":                     "exclude each other",
		peer + "  routerID: 0.0.0.0\n":                                            "must be an IPv4 address other than 0.0.0.0",
		strings.Replace(peer, "192.168.10.1", "router", 1):                        "must be an IP address",
		strings.Replace(peer, "65000", "65001", 1) + "  ebgpMultiHop: true\n":     "ebgpMultiHop is for external peers",
		advertisement + "  aggregationLength: 24\n  serviceSelectors: [{}]\n":     "serviceSelectors can only be used without aggregation",
		advertisement + "  aggregationLengthV6: 129\n":                            "less than or equal to 128",
		strings.Replace(fastProfile, "Multiplier: 3", "Multiplier: 1", 1):         "greater than or equal to 2",
		advertisement + "  aggregationLength: 24\n  linkBandwidth: PerEndpoint\n": "linkBandwidth can only be used without aggregation",
		// A field that other products have and Clarion does not have is refused, not ignored.
		peer + "  vrf: red\n": `unknown field "spec.vrf"`,
		peer + "  passwordSecret: {name: tor, namespace: metallb-system}\n":                                                             `unknown field "spec.passwordSecret.namespace"`,
		"apiVersion: clarionlb.io/v1alpha1\nkind: Community\nmetadata: {name: a}\nspec: {communities: [{name: b, value: 1}]}\n":         "spec.communities[0].value",
		"apiVersion: clarionlb.io/v1alpha1\nkind: Community\nmetadata: {name: a}\nspec: {communities: [{name: b:c, value: \"1:1\"}]}\n": "must not contain a colon",
	} {
		if err := d.ApplyYAML(d.ctx, text); err == nil || !strings.Contains(err.Error(), want) {
			d.t.Errorf("%s\nwas answered with %v, want %q", text, err, want)
		}
	}
}

// metalLB has all fields that MetalLB and Clarion share. No node has the label that it selects.
const metalLB = `
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: carried, namespace: metallb-system}
spec:
  myASN: 64500
  peerASN: 64501
  peerAddress: 10.0.0.1
  peerPort: 1179
  sourceAddress: 10.0.0.2
  holdTime: 90s
  keepaliveTime: 30s
  connectTime: 10s
  routerID: 10.10.10.10
  nodeSelectors: [{matchLabels: {rack: a}}]
  passwordSecret: {name: tor}
  ebgpMultiHop: true
  enableGracefulRestart: true
  bfdProfile: carried
---
apiVersion: metallb.io/v1beta1
kind: BFDProfile
metadata: {name: carried, namespace: metallb-system}
spec:
  receiveInterval: 300
  transmitInterval: 300
  detectMultiplier: 3
  echoInterval: 50
  echoMode: false
  passiveMode: false
  minimumTtl: 254
---
apiVersion: metallb.io/v1beta1
kind: BGPPeer
metadata: {name: unnumbered, namespace: metallb-system}
spec:
  myASN: 64500
  dynamicASN: external
  interface: eth0
  nodeSelectors: [{matchLabels: {rack: a}}]
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: carried, namespace: metallb-system}
spec:
  ipAddressPools: [carried]
  ipAddressPoolSelectors: [{matchLabels: {zone: a}}]
  nodeSelectors: [{matchLabels: {rack: a}}]
  aggregationLength: 32
  aggregationLengthV6: 128
  localPref: 100
  communities: [vpn-only, "65535:65282", "large:64500:1:2"]
  peers: [carried]
  serviceSelectors: [{matchLabels: {app: web}}]
---
apiVersion: metallb.io/v1beta1
kind: Community
metadata: {name: carried, namespace: metallb-system}
spec:
  communities: [{name: vpn-only, value: "1234:1"}]
`
