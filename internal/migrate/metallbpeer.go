package migrate

import (
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// The limits of a session's times, which CRDs have too. MetalLB's are wider.
const (
	leastHoldTime    = 3 * time.Second
	leastConnectTime = 2 * time.Second
)

// metalLBPeer carries a BGPPeer over, of either version.
func (b *builder) metalLBPeer(object *unstructured.Unstructured) {
	from := refOf(object)
	if vrf, _, _ := unstructured.NestedString(object.Object, "spec", "vrf"); vrf != "" {
		b.remark(Lost, from, "is left out: its sessions are in VRF %s, and those of Clarion are in the main routing table of the node", vrf)
		return
	}
	given, _, _ := unstructured.NestedMap(object.Object, "spec")
	internal := given["peerASN"] == given["myASN"] || given["dynamicASN"] == "internal"
	b.carry(object, fields{
		"peerAddress": keep, "interface": keep, "peerPort": keep, "routerID": keep, "nodeSelectors": keep,
		"bfdProfile": keep, "dynamicASN": keep, "enableGracefulRestart": keep,
		"myASN": func(_ *builder, _ Ref, spec map[string]any, value any) {
			if spec["myASN"] == nil { // localASN goes before
				spec["myASN"] = value
			}
		},
		"localASN": func(b *builder, from Ref, spec map[string]any, value any) {
			if number, _ := numberOf(value); number > 0 {
				spec["myASN"] = number
				b.remark(Note, from, "localASN %d becomes myASN: with Clarion every BGPPeer may have its own", number)
			}
		},
		"peerASN": func(_ *builder, _ Ref, spec map[string]any, value any) {
			if number, _ := numberOf(value); number > 0 {
				spec["peerASN"] = number
			}
		},
		"sourceAddress": func(b *builder, from Ref, spec map[string]any, value any) {
			if name, _ := given["interface"].(string); name != "" {
				b.remark(Lost, from, "sourceAddress is left out: sessions of an interface are between link-local addresses")
				return
			}
			spec["sourceAddress"] = value
		},
		"ebgpMultiHop": func(b *builder, from Ref, spec map[string]any, value any) {
			if value == true && internal {
				b.remark(Note, from, "ebgpMultiHop is left out: the session is internal")
			} else if value == true {
				spec["ebgpMultiHop"] = true
			}
		},
		"holdTime":      holdTime,
		"keepaliveTime": keepaliveTime,
		"connectTime": func(b *builder, from Ref, spec map[string]any, value any) {
			setTime(b, from, spec, "connectTime", max(durationOf(value), leastConnectTime), value)
		},
		"password": func(b *builder, from Ref, spec map[string]any, value any) {
			if text, _ := value.(string); text != "" {
				b.addSecret(from.Name, text)
				spec["passwordSecret"] = map[string]any{"name": from.Name}
				b.remark(Note, from, "its password goes into Secret clarion-bgp/%s", from.Name)
			}
		},
		"passwordSecret": func(b *builder, from Ref, spec map[string]any, value any) {
			reference, _ := value.(map[string]any)
			if name, _ := reference["name"].(string); name != "" {
				spec["passwordSecret"] = map[string]any{"name": name}
				b.metalLBSecret(from, name)
			}
		},
		"disableMP":              drop,
		"dualStackAddressFamily": drop, // sessions carry what the router carries
	})
}

// holdTime carries the time over after which a silent router is given up. 0 is never, which there is not here.
func holdTime(b *builder, from Ref, spec map[string]any, value any) {
	given := durationOf(value)
	if given == 0 {
		b.remark(Note, from, "holdTime 0s becomes 90s: without one nobody notices that a node has died")
		return
	}
	setTime(b, from, spec, "holdTime", max(given, leastHoldTime), value)
}

// keepaliveTime is at most a third of the hold time (RFC 4271, section 10), which is known by now.
func keepaliveTime(b *builder, from Ref, spec map[string]any, value any) {
	given, hold := durationOf(value), 90*time.Second
	if text, is := spec["holdTime"].(string); is {
		hold = durationOf(text)
	} else if given > hold/3 { // MetalLB makes the hold time of it
		hold = 3 * given
		spec["holdTime"] = hold.String()
	}
	setTime(b, from, spec, "keepaliveTime", max(min(given, (hold/3).Truncate(time.Second)), time.Second), value)
}

// setTime sets a time in whole seconds, with a remark if it is not the one that was given.
func setTime(b *builder, from Ref, spec map[string]any, name string, to time.Duration, given any) {
	to = to.Truncate(time.Second)
	if to != durationOf(given) {
		b.remark(Note, from, "%s %v becomes %s", name, given, to)
	}
	spec[name] = to.String()
}

// durationOf is a duration as the API writes it; 0 for one that cannot be read.
func durationOf(value any) time.Duration {
	text, _ := value.(string)
	duration, _ := time.ParseDuration(text)
	return duration
}
