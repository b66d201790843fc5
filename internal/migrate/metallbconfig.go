package migrate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

// oldConfig is what MetalLB read from the key "config" of a ConfigMap before version 0.13
// (https://metallb.universe.tf/v0.12.1/configuration/).
type oldConfig struct {
	Peers          []map[string]any  `json:"peers"`
	BGPCommunities map[string]string `json:"bgp-communities"`
	AddressPools   []struct {
		Name              string           `json:"name"`
		Protocol          string           `json:"protocol"`
		Addresses         []string         `json:"addresses"`
		AutoAssign        any              `json:"auto-assign"`
		AvoidBuggyIPs     any              `json:"avoid-buggy-ips"`
		BGPAdvertisements []map[string]any `json:"bgp-advertisements"`
	} `json:"address-pools"`
	BFDProfiles []map[string]any `json:"bfd-profiles"`
}

// metalLBConfigMap carries over the ConfigMap of old. Its words are those of the custom resources, with hyphens.
func (b *builder) metalLBConfigMap() {
	for _, configMap := range b.configMaps {
		text, is := configMap.Data["config"]
		if !is || configMap.Name != "config" && configMap.Name != "metallb-config" && !strings.Contains(configMap.Namespace, "metallb") {
			continue
		}
		ref := Ref{"ConfigMap", configMap.Namespace, configMap.Name}
		var config oldConfig
		if err := yaml.UnmarshalStrict([]byte(text), &config); err != nil {
			b.remark(Lost, ref, "cannot be read: %v", err)
			continue
		}
		b.oldConfig(ref, &config)
	}
}

func (b *builder) oldConfig(ref Ref, config *oldConfig) {
	for _, pool := range config.AddressPools {
		b.addOldPool(ref, pool.Name, pool.Protocol, pool.Addresses, pool.AutoAssign, pool.AvoidBuggyIPs)
	}
	if len(config.BGPCommunities) > 0 {
		var list []any
		for _, name := range slices.Sorted(maps.Keys(config.BGPCommunities)) {
			list = append(list, map[string]any{"name": name, "value": config.BGPCommunities[name]})
		}
		b.add("Community", "metallb", ref, nil, map[string]any{"communities": list})
	}
	for _, profile := range config.BFDProfiles {
		name, _ := profile["name"].(string)
		delete(profile, "name")
		b.metalLBBFDProfile(b.oldObject(ref, "BFDProfile", name, profile))
	}
	for i, peer := range config.Peers {
		b.metalLBPeer(b.oldObject(ref, "BGPPeer", oldPeerName(i, peer), peer))
	}
	for _, pool := range config.AddressPools {
		for i, advertisement := range pool.BGPAdvertisements {
			b.addOldAdvertisement(ref, pool.Name, i, b.oldObject(ref, "", "", advertisement).Object["spec"].(map[string]any))
		}
		if pool.Protocol == "bgp" && len(pool.BGPAdvertisements) == 0 {
			b.addOldAdvertisement(ref, pool.Name, 0, nil)
		}
	}
}

// oldPeerName is a name for a peer, which has none, by its address.
func oldPeerName(i int, peer map[string]any) string {
	address, _ := peer["peer-address"].(string)
	if _, err := netip.ParseAddr(address); err != nil {
		return fmt.Sprintf("peer-%d", i+1)
	}
	return "peer-" + strings.Trim(strings.NewReplacer(".", "-", ":", "-").Replace(address), "-")
}

// addOldPool plans a pool that says itself by which protocol its addresses are announced.
func (b *builder) addOldPool(from Ref, name, protocol string, addresses []string, autoAssign, avoidBuggyIPs any) {
	spec := map[string]any{"addresses": b.entries(from, addresses)}
	if autoAssign != nil {
		spec["autoAssign"] = autoAssign
	}
	if avoidBuggyIPs != nil {
		spec["avoidBuggyIPs"] = avoidBuggyIPs
	}
	b.add("IPAddressPool", name, from, nil, spec)
	if protocol == "layer2" {
		b.add("L2Advertisement", name, from, nil, map[string]any{"ipAddressPools": []any{name}})
	}
}

// addOldAdvertisement plans the BGPAdvertisement of such a pool with this number.
func (b *builder) addOldAdvertisement(from Ref, pool string, i int, fields map[string]any) {
	name := pool
	if i > 0 {
		name = fmt.Sprintf("%s-%d", pool, i+1)
	}
	spec := map[string]any{"ipAddressPools": []any{pool}}
	for field, value := range fields {
		if value != nil {
			spec[field] = value
		}
	}
	advertisement := &unstructured.Unstructured{Object: map[string]any{"kind": "BGPAdvertisement", "spec": spec}}
	advertisement.SetName(name)
	b.metalLBBGPAdvertisement(advertisement)
}

// oldWords are those that are not the custom resources' with hyphens.
var oldWords = map[string]string{
	"myAsn": "myASN", "peerAsn": "peerASN", "routerId": "routerID", "localpref": "localPref", "ebgpMultihop": "ebgpMultiHop",
	"aggregationLengthV6": "aggregationLengthV6",
}

// oldObject makes a custom resource of a part of the ConfigMap.
func (b *builder) oldObject(from Ref, kind, name string, part map[string]any) *unstructured.Unstructured {
	object := &unstructured.Unstructured{Object: map[string]any{"kind": kind, "spec": camelCase(part)}}
	object.SetName(name)
	object.SetNamespace(from.Namespace)
	return object
}

// camelCase has the names of fields as custom resources write them. Labels are left alone.
func camelCase(value any) any {
	switch value := value.(type) {
	case map[string]any:
		fields := map[string]any{}
		for name, field := range value {
			words := strings.Split(name, "-")
			for i := range words[1:] {
				words[i+1] = strings.ToUpper(words[i+1][:min(1, len(words[i+1]))]) + words[i+1][min(1, len(words[i+1])):]
			}
			key := strings.Join(words, "")
			if known, is := oldWords[key]; is {
				key = known
			}
			if key != "matchLabels" {
				field = camelCase(field)
			}
			fields[key] = field
		}
		return fields
	case []any:
		for i, item := range value {
			value[i] = camelCase(item)
		}
	}
	return value
}
