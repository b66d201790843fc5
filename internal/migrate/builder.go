package migrate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// builder makes a Plan.
type builder struct {
	*input
	options Options
	plan    *Plan
	// served are the Services that the other load balancer serves.
	served []*corev1.Service
	// classes are those of its Services, and ignoreExclude says that it announces from nodes that a label excludes.
	classes       []string
	ignoreExclude bool
	// requests are the annotations by which Services ask the other load balancer for addresses, the usual one first.
	requests []string
	// sessionsStay says that the other load balancer keeps its sessions with routers.
	sessionsStay bool
	// stop are the steps that end the other load balancer.
	stop []Step
}

func (b *builder) remark(severity Severity, object Ref, format string, args ...any) {
	b.plan.Remarks = append(b.plan.Remarks, Remark{object, severity, fmt.Sprintf(format, args...)})
}

// add plans an object of Clarion. Where two would have one name, the second is left out with a remark.
func (b *builder) add(kind, name string, from Ref, labels map[string]string, spec map[string]any) {
	for _, object := range b.plan.Objects {
		if object.GetKind() == kind && object.GetName() == name {
			b.remark(Blocking, from, "there are two that would become %s %s: rename one", kind, name)
			return
		}
	}
	object := unstructured.Unstructured{Object: map[string]any{
		"apiVersion": v1alpha1.SchemeGroupVersion.String(),
		"kind":       kind,
		"metadata":   map[string]any{"name": name},
		"spec":       spec,
	}}
	if len(labels) > 0 {
		object.SetLabels(labels)
	}
	b.plan.Objects = append(b.plan.Objects, object)
}

// addSecret plans the Secret of a password that a BGPPeer names.
func (b *builder) addSecret(name, password string) {
	if slices.ContainsFunc(b.plan.Secrets, func(s corev1.Secret) bool { return s.Name == name }) {
		return
	}
	b.plan.Secrets = append(b.plan.Secrets, corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{Namespace: v1alpha1.PasswordNamespace, Name: name},
		Type:       corev1.SecretTypeBasicAuth,
		// The API server wants a user name, or a password, in Secrets of this type.
		Data: map[string][]byte{corev1.BasicAuthPasswordKey: []byte(password)},
	})
}

// pools are the planned IPAddressPools with their ranges.
func (b *builder) pools() map[string][]loadbalancer.Range {
	all := map[string][]loadbalancer.Range{}
	for _, object := range b.plan.Objects {
		if object.GetKind() != "IPAddressPool" {
			continue
		}
		entries, _, _ := unstructured.NestedStringSlice(object.Object, "spec", "addresses")
		for _, entry := range entries {
			if r, err := loadbalancer.ParseRange(entry); err == nil {
				all[object.GetName()] = append(all[object.GetName()], r)
			}
		}
	}
	return all
}

// poolOf is the planned pool that has an address; "" if none has.
func (b *builder) poolOf(address string) string {
	addr, err := netip.ParseAddr(address)
	if err != nil {
		return ""
	}
	pools := b.pools()
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		if slices.ContainsFunc(pools[name], func(r loadbalancer.Range) bool { return r.Contains(addr) }) {
			return name
		}
	}
	return ""
}

// setInPool changes a field of the spec of a planned pool.
func (b *builder) setInPool(name, field string, value any) {
	for _, object := range b.plan.Objects {
		if object.GetKind() == "IPAddressPool" && object.GetName() == name {
			object.Object["spec"].(map[string]any)[field] = value
		}
	}
}

// entries takes those of a pool that can be read. Of the others there is a remark.
func (b *builder) entries(from Ref, list []string) []any {
	var good []any
	for _, entry := range list {
		entry = strings.TrimSpace(entry)
		if _, err := loadbalancer.ParseRange(entry); err != nil {
			b.remark(Lost, from, "entry %q is left out: %v", entry, err)
			continue
		}
		good = append(good, entry)
	}
	return good
}

// checkAddresses has a remark for each address of a Service that would be lost.
func (b *builder) checkAddresses() {
	for _, move := range b.plan.Moves {
		ref := Ref{"Service", move.Service.Namespace, move.Service.Name}
		for _, address := range move.Addresses {
			if node := b.nodeWith(address); node != "" {
				b.remark(Blocking, ref, "%s is an address of node %s, which no load balancer can have", address, node)
			} else if b.poolOf(address) == "" {
				b.remark(Blocking, ref, "%s is in no pool: add it to one, or to --pool", address)
			}
		}
	}
	sortRemarks(b.plan.Remarks)
}

// share has the pools of addresses that Services of several namespaces share allow that.
func (b *builder) share(keyOf func(*corev1.Service) string) {
	namespaces, everywhere := map[string]map[string]bool{}, map[string]map[string]bool{}
	note := func(in map[string]map[string]bool, what, namespace string) {
		if in[what] == nil {
			in[what] = map[string]bool{}
		}
		in[what][namespace] = true
	}
	for _, service := range b.served {
		key := keyOf(service)
		if key == "" {
			continue
		}
		addresses := addressesOf(service)
		for _, address := range addresses {
			note(namespaces, address, service.Namespace)
		}
		if len(addresses) == 0 {
			note(everywhere, key, service.Namespace)
		}
	}
	for _, address := range slices.Sorted(maps.Keys(namespaces)) {
		if pool := b.poolOf(address); len(namespaces[address]) > 1 && pool != "" {
			b.setInPool(pool, "sharing", string(v1alpha1.SharingCluster))
			b.remark(Note, Ref{Kind: "IPAddressPool", Name: pool}, "gets sharing: Cluster, since namespaces %s share %s",
				strings.Join(slices.Sorted(maps.Keys(namespaces[address])), ", "), address)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(everywhere)) {
		if len(everywhere[key]) > 1 {
			b.remark(Note, Ref{}, "namespaces %s use sharing key %q and have no address yet: they share one only of a pool with sharing: Cluster",
				strings.Join(slices.Sorted(maps.Keys(everywhere[key])), ", "), key)
		}
	}
}

// sharingKey is the key of a Service in the spellings that Clarion reads.
func sharingKey(service *corev1.Service) string {
	for _, name := range []loadbalancer.Annotation{loadbalancer.AnnotationSharing, loadbalancer.AnnotationMetalLBSharing, loadbalancer.AnnotationMetalLBOldSharing} {
		if key := service.Annotations[string(name)]; key != "" {
			return key
		}
	}
	return ""
}

// patternOf has a pattern match the name of an interface and nothing else.
func patternOf(name string) string {
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(name)
}

func anySlice[T any](list []T) []any {
	all := make([]any, 0, len(list))
	for _, item := range list {
		all = append(all, item)
	}
	return all
}
