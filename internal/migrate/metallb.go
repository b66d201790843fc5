package migrate

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/loadbalancer"
)

// metalLBGroup is the API group of MetalLB (https://metallb.io/apis/).
const metalLBGroup = "metallb.io"

// metalLB plans to move away from MetalLB.
func (b *builder) metalLB() {
	b.metalLBObjects()
	b.metalLBConfigMap()
	if len(b.plan.Objects) == 0 && len(b.plan.Remarks) == 0 {
		return
	}
	arguments := slices.Concat(b.arguments("metallb", "controller"), b.arguments("metallb", "speaker"))
	class, hasClass := flagValue(arguments, "lb-class")
	if ignore, _ := flagValue(arguments, "ignore-exclude-lb"); ignore == "true" {
		b.ignoreExclude = true
	}
	// The old name is known to all versions.
	b.requests = []string{string(loadbalancer.AnnotationMetalLBOldAddresses), string(loadbalancer.AnnotationMetalLBAddresses)}
	b.serve(func(of string) bool {
		return hasClass && of == class || !hasClass && strings.Contains(of, "metallb")
	}, !hasClass, nothing)
	b.share(sharingKey)
	b.stop = b.metalLBStop(hasClass)
}

// metalLBStop are the steps that end MetalLB, which serves Services of a class or such without one.
//
// Of a Service that was made anew, speakers with a class take no notice any more, since it has not that class (filterByLoadBalancerClass of
// internal/k8s/controllers). So they go on answering for its address as long as they run.
func (b *builder) metalLBStop(hasClass bool) []Step {
	const kubectl = "kubectl --namespace=metallb-system "
	steps := []Step{{
		Title:    "Stop MetalLB's controller first: while it runs, it takes the addresses of Services away when its pools go",
		Commands: []string{kubectl + "scale deployment controller --replicas=0 # with Helm: metallb-controller"},
	}}
	onLAN := len(b.of(metalLBGroup, "L2Advertisement")) > 0
	if onLAN && (b.uses(Recreate) || hasClass && !b.uses(ByFlag)) { // or all of them were moved before
		steps = append(steps, Step{
			Title: "Restart the speakers: they go on answering for Services that were made anew, as MetalLB takes no notice of one whose class goes away",
			Commands: []string{
				kubectl + "rollout restart daemonset speaker # with Helm: metallb-speaker",
				kubectl + "rollout status daemonset speaker # with Helm: metallb-speaker",
			},
		})
	}
	if onLAN {
		steps = append(steps, Step{
			Title:    "When Clarion announces all Services of layer 2, have the speakers announce nothing there: as they end, they would take addresses over from each other",
			Commands: []string{kubectl + "delete l2advertisements.metallb.io --all"},
		})
	}
	rest := Step{
		Title: "When Clarion announces all Services, remove the speakers, and then the rest of MetalLB",
		Commands: []string{
			kubectl + "delete daemonset speaker # with Helm: helm uninstall metallb",
			"kubectl delete namespace metallb-system",
		},
	}
	if leave := b.leaveNodes(leaveByDaemonSet("metallb-system", "speaker") + " # with Helm: metallb-speaker"); len(leave) > 0 {
		steps = append(steps, leave...)
		rest.Commands = append(rest.Commands, unlabel)
	}
	return append(steps, rest)
}

// metalLBObjects carries over MetalLB's custom resources.
func (b *builder) metalLBObjects() {
	carry := map[string]func(*unstructured.Unstructured){
		"IPAddressPool":    b.metalLBPool,
		"L2Advertisement":  b.metalLBL2Advertisement,
		"BGPAdvertisement": b.metalLBBGPAdvertisement,
		"BGPPeer":          b.metalLBPeer,
		"BFDProfile":       b.metalLBBFDProfile,
		"Community":        func(o *unstructured.Unstructured) { b.carry(o, fields{"communities": keep}) },
		"AddressPool":      b.metalLBAddressPool,
	}
	order := []string{"IPAddressPool", "AddressPool", "Community", "BFDProfile", "BGPPeer", "L2Advertisement", "BGPAdvertisement"}
	for _, kind := range order {
		for _, object := range b.of(metalLBGroup, kind) {
			carry[kind](&object)
		}
	}
	for _, kind := range b.kinds(metalLBGroup) {
		switch kind {
		case "ServiceL2Status", "ServiceBGPStatus", "ConfigurationState": // MetalLB writes them
		default:
			if carry[kind] == nil {
				b.remark(Lost, Ref{Kind: kind}, "is a kind of MetalLB that is not known here")
			}
		}
	}
	for _, object := range b.of("frrk8s.metallb.io", "FRRConfiguration") {
		b.remark(Lost, refOf(&object), "what FRR is told beside MetalLB is not carried over: Clarion speaks BGP itself, and imports no routes")
	}
	for _, configMap := range b.configMaps {
		ref := Ref{"ConfigMap", configMap.Namespace, configMap.Name}
		switch configMap.Name {
		case "bgpextras":
			b.remark(Lost, ref, "raw configuration of FRR is not carried over")
		case "metallb-excludel2":
			b.remark(Note, ref, "is not needed: Clarion answers on the interface by which the kernel would send to the address, or on spec.interfaces of the L2Advertisement")
		}
	}
	b.checkNames()
}

func (b *builder) metalLBPool(object *unstructured.Unstructured) {
	b.carry(object, fields{
		"addresses": func(b *builder, from Ref, spec map[string]any, value any) {
			spec["addresses"] = b.entries(from, stringsOf(value))
		},
		"autoAssign": keep, "avoidBuggyIPs": keep, "serviceAllocation": keep,
	})
}

// metalLBAddressPool carries over the kind of before MetalLB 0.14, which says itself how its addresses are announced.
func (b *builder) metalLBAddressPool(object *unstructured.Unstructured) {
	spec, _, _ := unstructured.NestedMap(object.Object, "spec")
	text := func(name string) string { value, _ := spec[name].(string); return value }
	b.addOldPool(refOf(object), object.GetName(), text("protocol"), stringsOf(spec["addresses"]), spec["autoAssign"], nil)
	advertisements, _ := spec["bgpAdvertisements"].([]any)
	for i, advertisement := range advertisements {
		fields, _ := advertisement.(map[string]any)
		b.addOldAdvertisement(refOf(object), object.GetName(), i, map[string]any{
			"aggregationLength": fields["aggregationLength"], "aggregationLengthV6": fields["aggregationLengthV6"],
			"localPref": fields["localPref"], "communities": fields["communities"],
		})
	}
	if text("protocol") == "bgp" && len(advertisements) == 0 {
		b.addOldAdvertisement(refOf(object), object.GetName(), 0, nil)
	}
}

var advertised = fields{
	"ipAddressPools": keep, "ipAddressPoolSelectors": keep, "nodeSelectors": keep, "serviceSelectors": keep,
}

func (b *builder) metalLBL2Advertisement(object *unstructured.Unstructured) {
	b.carry(object, advertised.and(fields{
		"preferredNodeSelectors": keep,
		"interfaces": func(_ *builder, _ Ref, spec map[string]any, value any) {
			var patterns []any
			for _, name := range stringsOf(value) {
				patterns = append(patterns, patternOf(name))
			}
			spec["interfaces"] = patterns
		},
	}))
}

func (b *builder) metalLBBGPAdvertisement(object *unstructured.Unstructured) {
	b.carry(object, advertised.and(fields{
		"aggregationLength": keep, "aggregationLengthV6": keep, "communities": keep, "peers": keep,
		"localPref": func(_ *builder, _ Ref, spec map[string]any, value any) {
			if number, is := numberOf(value); is && number > 0 { // 0 is MetalLB's way of saying none
				spec["localPref"] = number
			}
		},
	}))
}

func (b *builder) metalLBBFDProfile(object *unstructured.Unstructured) {
	b.carry(object, fields{
		"receiveInterval": keep, "transmitInterval": keep, "detectMultiplier": keep, "minimumTtl": keep, "passiveMode": keep,
		"echoMode": func(b *builder, from Ref, _ map[string]any, value any) {
			if value == true {
				b.remark(Lost, from, "echoMode is left out: Clarion has none, and detects within transmitInterval and detectMultiplier all the same")
			}
		},
		"echoInterval": drop,
	})
}

// checkNames has a remark for each pool, peer or BFDProfile that is named and is not there. MetalLB ignores such names.
func (b *builder) checkNames() {
	there := map[string]bool{}
	for _, object := range b.plan.Objects {
		there[object.GetKind()+" "+object.GetName()] = true
	}
	for _, object := range b.plan.Objects {
		for field, kind := range map[string]string{"ipAddressPools": "IPAddressPool", "peers": "BGPPeer", "bfdProfile": "BFDProfile"} {
			spec := object.Object["spec"].(map[string]any)
			names := stringsOf(spec[field])
			if name, is := spec[field].(string); is {
				names = []string{name}
			}
			for _, name := range names {
				if !there[kind+" "+name] {
					b.remark(Note, refOf(&object), "names %s %s, which there is not", kind, name)
				}
			}
		}
	}
}

// metalLBSecret plans the copy of a Secret with a password.
func (b *builder) metalLBSecret(from Ref, name string) {
	for _, secret := range b.secrets {
		if secret.Name == name && secret.Namespace == from.Namespace {
			b.addSecret(name, string(secret.Data[corev1.BasicAuthPasswordKey]))
			return
		}
	}
	b.remark(Note, from, "its Secret %s is not at hand: make one of the same content in namespace clarion-bgp", name)
}
