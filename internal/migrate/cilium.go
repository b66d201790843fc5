package migrate

import (
	"cmp"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/loadbalancer"
)

// What Cilium reads and writes (https://docs.cilium.io/en/stable/network/lb-ipam/).
const (
	ciliumGroup         = "cilium.io"
	ciliumSharingKey    = "lbipam.cilium.io/sharing-key"
	ciliumSharingAcross = "lbipam.cilium.io/sharing-cross-namespace"
	ciliumServiceName   = "io.kubernetes.service.name"
	ciliumServiceSpace  = "io.kubernetes.service.namespace"
)

// ciliumAddresses are the spellings of the addresses that a Service asks for.
var ciliumAddresses = []string{"lbipam.cilium.io/ips", "io.cilium/lb-ipam-ips"}

// cilium plans to move away from Cilium's LB IPAM, L2 announcements and BGP control plane. Cilium stays the network plugin.
func (b *builder) cilium() {
	for _, pool := range b.of(ciliumGroup, "CiliumLoadBalancerIPPool") {
		b.ciliumPool(&pool)
	}
	for _, policy := range b.of(ciliumGroup, "CiliumL2AnnouncementPolicy") {
		b.ciliumPolicy(&policy)
	}
	b.ciliumBGP()
	if len(b.plan.Objects) == 0 && len(b.plan.Remarks) == 0 {
		return
	}
	b.requests = ciliumAddresses
	b.serve(func(class string) bool {
		return class == "io.cilium/l2-announcer" || class == "io.cilium/bgp-control-plane"
	}, true,
		func(service *corev1.Service) map[string]string {
			wish := ""
			for _, name := range ciliumAddresses {
				wish = cmp.Or(wish, service.Annotations[name])
			}
			if list := strings.Split(wish, ","); !onePerFamily(list) {
				b.remark(Blocking, serviceRef(service), "asks for %s: with Clarion, a Service has one address of a family", wish)
				wish = ""
			}
			return annotated(string(loadbalancer.AnnotationAddresses), wish, string(loadbalancer.AnnotationSharing), service.Annotations[ciliumSharingKey])
		})
	b.nameAnnotations("lbipam.cilium.io/", append(ciliumAddresses, ciliumSharingKey, ciliumSharingAcross)...)
	b.share(func(service *corev1.Service) string { return service.Annotations[ciliumSharingKey] })
	b.remark(Note, Ref{}, "Clarion announces, and Cilium goes on to forward: with kubeProxyReplacement it serves every address in the status of a Service")
	b.stop = b.ciliumStop()
}

// ciliumStop are the steps by which Cilium hands out and announces addresses no more.
func (b *builder) ciliumStop() []Step {
	steps := b.leaveNodes(b.ciliumLeaves()...)
	off := "helm upgrade cilium cilium/cilium --namespace=kube-system --reuse-values --set l2announcements.enabled=false --set defaultLBServiceIPAM=none"
	rest := Step{
		Title:    "When Clarion announces all Services, switch off in Cilium what hands out and announces their addresses. Only then remove its pools: while LB IPAM runs, it takes the addresses of a pool that goes",
		Commands: []string{off + " --set bgpControlPlane.enabled=false", "kubectl delete ciliumloadbalancerippools,ciliuml2announcementpolicies --all"},
	}
	if b.sessionsStay {
		rest.Title += ". Take LoadBalancerIP out of its CiliumBGPAdvertisements"
		rest.Commands[0] = off
	}
	if len(steps) > 0 {
		rest.Commands = append(rest.Commands, unlabel)
	}
	return append(steps, rest)
}

func (b *builder) ciliumPool(pool *unstructured.Unstructured) {
	from, spec := refOf(pool), map[string]any{}
	var addresses, exclude []any
	given, _, _ := unstructured.NestedMap(pool.Object, "spec")
	for _, field := range []string{"blocks", "cidrs"} {
		blocks, _ := given[field].([]any)
		for _, block := range blocks {
			block, _ := block.(map[string]any)
			text := func(name string) string { value, _ := block[name].(string); return value }
			entry := text("cidr")
			if entry == "" {
				if entry = text("start"); text("stop") != "" && text("stop") != entry {
					entry += "-" + text("stop")
				}
			} else if given["allowFirstLastIPs"] == "No" {
				exclude = append(exclude, ends(entry)...)
			}
			addresses = append(addresses, b.disjoint(from, []string{entry})...)
		}
	}
	if len(addresses) == 0 {
		b.remark(Lost, from, "has no addresses that can be read, and is left out")
		return
	}
	spec["addresses"] = addresses
	if len(exclude) > 0 {
		spec["exclude"] = exclude
	}
	if given["disabled"] == true {
		spec["autoAssign"] = false
		b.remark(Note, from, "is disabled: its pool is only for Services that ask for it")
	}
	if selector, is := given["serviceSelector"].(map[string]any); is {
		if allocation := b.ciliumAllocation(from, selector); len(allocation) > 0 {
			spec["serviceAllocation"] = allocation
		}
	}
	b.add("IPAddressPool", pool.GetName(), from, ownLabels(pool.GetLabels()), spec)
}

// ciliumAllocation takes a selector of Services apart: what it says of their namespace is said by its name here.
func (b *builder) ciliumAllocation(from Ref, selector map[string]any) map[string]any {
	allocation := map[string]any{}
	namespaces, rest := b.withoutService(from, selector)
	if len(namespaces) > 0 {
		allocation["namespaces"] = anySlice(namespaces)
	}
	if len(rest) > 0 {
		allocation["serviceSelectors"] = []any{rest}
	}
	return allocation
}

// withoutService returns the namespaces that a selector of Cilium allows, and the selector without the labels that Cilium makes up
// of a Service's name and namespace.
func (b *builder) withoutService(from Ref, selector map[string]any) (namespaces []string, rest map[string]any) {
	rest = map[string]any{}
	labels := map[string]any{}
	given, _ := selector["matchLabels"].(map[string]any)
	for key, value := range given {
		text, _ := value.(string)
		switch strings.TrimPrefix(key, "k8s:") {
		case ciliumServiceSpace:
			namespaces = append(namespaces, text)
		case ciliumServiceName:
			b.remark(Lost, from, "selects the Service %s by its name: keep the address for it by an IPAddressReservation", text)
		default:
			labels[strings.TrimPrefix(key, "k8s:")] = value
		}
	}
	var kept []any
	expressions, _ := selector["matchExpressions"].([]any)
	for _, expression := range expressions {
		e, _ := expression.(map[string]any)
		switch {
		case e["key"] == ciliumServiceSpace && e["operator"] == "In":
			namespaces = append(namespaces, stringsOf(e["values"])...)
		case e["key"] == ciliumServiceSpace, e["key"] == ciliumServiceName:
			b.remark(Lost, from, "a requirement on %s is not carried over", e["key"])
		default:
			kept = append(kept, expression)
		}
	}
	if len(labels) > 0 {
		rest["matchLabels"] = labels
	}
	if len(kept) > 0 {
		rest["matchExpressions"] = kept
	}
	slices.Sort(namespaces)
	return namespaces, rest
}

// selectors is a list of one selector of Services for an advertisement, which does not know namespaces; none for one that
// selects all.
func (b *builder) selectors(from Ref, selector any) []any {
	given, _ := selector.(map[string]any)
	namespaces, rest := b.withoutService(from, given)
	if len(namespaces) > 0 {
		b.remark(Lost, from, "selects by namespace: an advertisement here selects Services by labels, or pools, and pools have namespaces")
	}
	if len(rest) == 0 {
		return nil
	}
	return []any{rest}
}

func (b *builder) ciliumPolicy(policy *unstructured.Unstructured) {
	from, spec := refOf(policy), map[string]any{}
	given, _, _ := unstructured.NestedMap(policy.Object, "spec")
	if given["externalIPs"] == true {
		b.remark(Lost, from, "announces spec.externalIPs, which Clarion does not: see kubectl clarion migrate external-ips")
	}
	if given["loadBalancerIPs"] != true {
		b.remark(Note, from, "announces no addresses of load balancers, and is left out")
		return
	}
	if selectors := b.selectors(from, given["serviceSelector"]); selectors != nil {
		spec["serviceSelectors"] = selectors
	}
	if selector, is := given["nodeSelector"].(map[string]any); is && len(selector) > 0 {
		spec["nodeSelectors"] = []any{selector}
	}
	var patterns []any
	for _, expression := range stringsOf(given["interfaces"]) {
		pattern, ok := patternOfExpression(expression)
		if !ok {
			b.remark(Lost, from, "interfaces are left out: the regular expression %q cannot be said as a pattern. Every node uses the interface by which its kernel would send", expression)
			patterns = nil
			break
		}
		patterns = append(patterns, pattern)
	}
	if len(patterns) > 0 {
		spec["interfaces"] = patterns
	}
	b.add("L2Advertisement", policy.GetName(), from, ownLabels(policy.GetLabels()), spec)
}

// plainExpression is a regular expression of names of interfaces of which each part is a letter, a class or anything.
var plainExpression = regexp.MustCompile(`^\^?((?:[A-Za-z0-9_@-]|\\\.|\[[A-Za-z0-9-]+\][+*]?|\.\*|\.\+)+)\$?$`)

// patternOfExpression says a regular expression as a pattern, which may match more at its end.
func patternOfExpression(expression string) (string, bool) {
	match := plainExpression.FindStringSubmatch(expression)
	if match == nil {
		return "", false
	}
	pattern := regexp.MustCompile(`\[[^]]+\]\*`).ReplaceAllString(match[1], "*")
	pattern = regexp.MustCompile(`(\[[^]]+\])\+`).ReplaceAllString(pattern, "$1*")
	return strings.NewReplacer(`.*`, `*`, `.+`, `?*`, `\.`, `.`).Replace(pattern), true
}

// isAddress says whether a text is an address.
func isAddress(text string) bool {
	_, err := netip.ParseAddr(text)
	return err == nil
}
