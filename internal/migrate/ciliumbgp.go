package migrate

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// ciliumBGP carries over the BGP control plane's version 2 (https://docs.cilium.io/en/stable/network/bgp-control-plane/).
func (b *builder) ciliumBGP() {
	peers := map[string][]string{} // names of BGPPeers, by that of their CiliumBGPPeerConfig
	for _, config := range b.of(ciliumGroup, "CiliumBGPClusterConfig") {
		b.ciliumCluster(&config, peers)
	}
	for _, advertisement := range b.of(ciliumGroup, "CiliumBGPAdvertisement") {
		b.ciliumAdvertisement(&advertisement, peers)
	}
	for _, kind := range []string{"CiliumBGPPeeringPolicy", "CiliumBGPNodeConfigOverride"} {
		for _, object := range b.of(ciliumGroup, kind) {
			b.remark(Lost, refOf(&object), "is not carried over: write BGPPeers for it")
		}
	}
}

func (b *builder) ciliumCluster(config *unstructured.Unstructured, peers map[string][]string) {
	from := refOf(config)
	selector, _, _ := unstructured.NestedMap(config.Object, "spec", "nodeSelector")
	instances, _, _ := unstructured.NestedSlice(config.Object, "spec", "bgpInstances")
	for _, instance := range instances {
		instance, _ := instance.(map[string]any)
		local, hasLocal := numberOf(instance["localASN"])
		list, _ := instance["peers"].([]any)
		for _, peer := range list {
			peer, _ := peer.(map[string]any)
			name := objectName(fmt.Sprintf("%s-%v-%v", config.GetName(), instance["name"], peer["name"]))
			if !hasLocal {
				b.remark(Lost, from, "peer %s is left out: its instance has no localASN", name)
				continue
			}
			spec := map[string]any{"myASN": local}
			if len(selector) > 0 {
				spec["nodeSelectors"] = []any{selector}
			}
			if remote, _ := numberOf(peer["peerASN"]); remote > 0 {
				spec["peerASN"] = remote
			} else {
				spec["dynamicASN"] = "external"
				b.remark(Note, from, "peer %s accepts any peerASN: here, any but that of the nodes (dynamicASN: external)", name)
			}
			if !b.ciliumPeerAddress(from, name, peer, spec) {
				continue
			}
			reference, _ := peer["peerConfigRef"].(map[string]any)
			of, _ := reference["name"].(string)
			peers[of] = append(peers[of], name)
			b.ciliumPeerConfig(of, spec)
			b.add("BGPPeer", name, from, nil, spec)
		}
	}
}

// ciliumLeaves are commands that have Cilium give up its sessions on nodes with movedLabel.
func (b *builder) ciliumLeaves() (commands []string) {
	for _, config := range b.of(ciliumGroup, "CiliumBGPClusterConfig") {
		expressions, _, _ := unstructured.NestedSlice(config.Object, "spec", "nodeSelector", "matchExpressions")
		expressions = slices.DeleteFunc(expressions, func(e any) bool { // a plan that was begun with has added it
			given, _ := e.(map[string]any)
			return given["key"] == movedLabel
		})
		commands = append(commands, fmt.Sprintf("kubectl patch ciliumbgpclusterconfig %s --type=merge --patch='%s'", config.GetName(), jsonOf(map[string]any{
			"spec": map[string]any{"nodeSelector": map[string]any{"matchExpressions": append(expressions, notMoved)}},
		})))
	}
	return commands
}

// ciliumPeerAddress says where the router is; false if that cannot be said.
func (b *builder) ciliumPeerAddress(from Ref, name string, peer, spec map[string]any) bool {
	if address, _ := peer["peerAddress"].(string); address != "" {
		spec["peerAddress"] = address
		return isAddress(address)
	}
	discovery, _ := peer["autoDiscovery"].(map[string]any)
	nested := func(part, field string) string {
		inner, _ := discovery[part].(map[string]any)
		text, _ := inner[field].(string)
		return text
	}
	switch discovery["mode"] {
	case "DefaultGateway":
		spec["defaultGateway"] = strings.Replace(nested("defaultGateway", "addressFamily"), "ipv", "IPv", 1)
	case "Unnumbered":
		spec["interface"] = nested("unnumbered", "interface")
	default:
		b.remark(Lost, from, "peer %s is left out: it has no address", name)
		return false
	}
	return true
}

// peerConfig is a CiliumBGPPeerConfig; nil if there is none of that name.
func (b *builder) peerConfig(name string) *unstructured.Unstructured {
	for _, config := range b.of(ciliumGroup, "CiliumBGPPeerConfig") {
		if config.GetName() == name {
			return &config
		}
	}
	return nil
}

// ciliumPeerConfig adds what a CiliumBGPPeerConfig says of a session.
func (b *builder) ciliumPeerConfig(name string, spec map[string]any) {
	config := b.peerConfig(name)
	if config == nil {
		return
	}
	from := refOf(config)
	given, _, _ := unstructured.NestedMap(config.Object, "spec")
	number := func(fields ...string) int64 {
		value, _, _ := unstructured.NestedFieldNoCopy(given, fields...)
		n, _ := numberOf(value)
		return n
	}
	if port := number("transport", "peerPort"); port > 0 {
		spec["peerPort"] = port
	}
	hold, keepalive := number("timers", "holdTimeSeconds"), number("timers", "keepAliveTimeSeconds")
	if hold > 0 {
		spec["holdTime"] = strconv.FormatInt(hold, 10) + "s"
	}
	if keepalive > 0 {
		keepaliveTime(b, from, spec, strconv.FormatInt(keepalive, 10)+"s")
	}
	if retry := number("timers", "connectRetryTimeSeconds"); retry > 0 {
		spec["connectTime"] = strconv.FormatInt(min(max(retry, 2), 65535), 10) + "s"
	}
	if number("ebgpMultihop") > 1 && spec["myASN"] != spec["peerASN"] {
		spec["ebgpMultiHop"] = true
	}
	if enabled, _, _ := unstructured.NestedBool(given, "gracefulRestart", "enabled"); enabled {
		spec["enableGracefulRestart"] = true
	}
	if secret, _ := given["authSecretRef"].(string); secret != "" {
		spec["passwordSecret"] = map[string]any{"name": secret}
		b.ciliumSecret(from, secret)
	}
	var families []any
	list, _ := given["families"].([]any)
	for _, family := range list {
		family, _ := family.(map[string]any)
		if afi, _ := family["afi"].(string); family["safi"] == "unicast" && (afi == "ipv4" || afi == "ipv6") {
			families = append(families, strings.Replace(afi, "ipv", "IPv", 1))
		}
	}
	if len(families) > 0 {
		spec["addressFamilies"] = families
	}
}

// ciliumSecret plans the copy of a Secret, which Cilium has in a namespace that its configuration names.
func (b *builder) ciliumSecret(from Ref, name string) {
	for _, key := range slices.SortedFunc(maps.Keys(b.secrets), func(a, c types.NamespacedName) int { return strings.Compare(a.String(), c.String()) }) {
		if password := b.secrets[key].Data[corev1.BasicAuthPasswordKey]; key.Name == name && len(password) > 0 {
			b.addSecret(name, string(password))
			return
		}
	}
	b.remark(Note, from, "its Secret %s is not at hand: make one of the same password in namespace clarion-bgp", name)
}

func (b *builder) ciliumAdvertisement(advertisement *unstructured.Unstructured, peers map[string][]string) {
	from := refOf(advertisement)
	list, _, _ := unstructured.NestedSlice(advertisement.Object, "spec", "advertisements")
	to := b.advertisedTo(labels.Set(advertisement.GetLabels()), peers)
	for i, item := range list {
		item, _ := item.(map[string]any)
		if item["advertisementType"] != "Service" {
			b.keepSessions(from, fmt.Sprint(item["advertisementType"]))
			continue
		}
		service, _ := item["service"].(map[string]any)
		kinds := stringsOf(service["addresses"])
		for _, kind := range kinds {
			if kind != "LoadBalancerIP" {
				b.keepSessions(from, "addresses of kind "+kind)
			}
		}
		switch {
		case !slices.Contains(kinds, "LoadBalancerIP"):
			continue
		case len(to) == 0:
			b.remark(Note, from, "is left out: no peer's families select it")
			continue
		case item["selector"] == nil:
			b.remark(Note, from, "is left out: it selects no Service")
			continue
		}
		name := advertisement.GetName()
		if i > 0 {
			name = fmt.Sprintf("%s-%d", name, i+1)
		}
		b.add("BGPAdvertisement", name, from, nil, b.ciliumRoute(from, item, service, to))
	}
}

// ciliumRoute is the spec of a BGPAdvertisement.
func (b *builder) ciliumRoute(from Ref, item, service map[string]any, to []string) map[string]any {
	spec := map[string]any{"peers": anySlice(to)}
	for field, name := range map[string]string{"aggregationLengthIPv4": "aggregationLength", "aggregationLengthIPv6": "aggregationLengthV6"} {
		if length, _ := numberOf(service[field]); length > 0 {
			spec[name] = length
		}
	}
	selectors := b.selectors(from, item["selector"])
	_, aggregates := spec["aggregationLength"]
	_, aggregates6 := spec["aggregationLengthV6"]
	if selectors != nil && (aggregates || aggregates6) {
		b.remark(Lost, from, "its selector is left out: what is aggregated is selected by pools here")
	} else if selectors != nil {
		spec["serviceSelectors"] = selectors
	}
	attributes, _ := item["attributes"].(map[string]any)
	if preference, is := numberOf(attributes["localPreference"]); is {
		spec["localPref"] = preference
	}
	given, _ := attributes["communities"].(map[string]any)
	var communities []any
	for _, standard := range stringsOf(given["standard"]) {
		if number, err := strconv.ParseUint(standard, 10, 32); err == nil {
			standard = fmt.Sprintf("%d:%d", number>>16, number&0xffff)
		}
		communities = append(communities, standard)
	}
	for _, name := range stringsOf(given["wellKnown"]) {
		if value, is := wellKnown[name]; is {
			communities = append(communities, value)
		} else {
			b.remark(Lost, from, "community %s is not carried over", name)
		}
	}
	for _, large := range stringsOf(given["large"]) {
		communities = append(communities, "large:"+large)
	}
	if len(communities) > 0 {
		spec["communities"] = communities
	}
	return spec
}

// wellKnown are Cilium's names of communities (RFC 1997, RFC 8326, RFC 7999 and the IANA registry).
var wellKnown = map[string]string{
	"internet": "0:0", "planned-shut": "graceful-shutdown", "accept-own": "65535:1", "llgr-stale": "65535:6", "no-llgr": "no-llgr",
	"blackhole": "blackhole", "no-export": "no-export", "no-advertise": "no-advertise", "no-export-subconfed": "no-export-subconfed",
	"no-peer": "no-peer", "route-filter-translated-v4": "65535:2", "route-filter-v4": "65535:3", "route-filter-translated-v6": "65535:4",
	"route-filter-v6": "65535:5",
}

// advertisedTo are the BGPPeers for which the families of their CiliumBGPPeerConfig select an advertisement by its labels.
func (b *builder) advertisedTo(of labels.Set, peers map[string][]string) []string {
	var names []string
	for _, config := range slices.Sorted(maps.Keys(peers)) {
		object := b.peerConfig(config)
		if object == nil {
			continue
		}
		families, _, _ := unstructured.NestedSlice(object.Object, "spec", "families")
		if slices.ContainsFunc(families, func(family any) bool {
			given, _, _ := unstructured.NestedMap(family.(map[string]any), "advertisements")
			var selector metav1.LabelSelector
			if given == nil || runtime.DefaultUnstructuredConverter.FromUnstructured(given, &selector) != nil {
				return false
			}
			parsed, err := metav1.LabelSelectorAsSelector(&selector)
			return err == nil && parsed.Matches(of)
		}) {
			names = append(names, peers[config]...)
		}
	}
	slices.Sort(names)
	return names
}

// objectName makes a text one that objects may have for a name.
func objectName(text string) string {
	name := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '.' {
			return r
		}
		return '-'
	}, strings.ToLower(text))
	return strings.Trim(name, "-.")
}
