// Package deadnodes is what announcers, which record the nodes that they take for dead, and the cloud-controller-manager, which
// counts these records, have to agree about.
//
// A record is a Lease of its own, which the cloud-controller-manager alone watches: all nodes watch all Announcers, so that a death
// that each of them recorded there would be told N² times.
package deadnodes

import (
	"maps"
	"slices"
	"strings"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coordinationinformers "k8s.io/client-go/informers/coordination/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Namespace is where the Leases are. Each is named after the node whose announcer writes it.
const Namespace = v1alpha1.SystemNamespace

// NewInformer returns an informer of the Leases.
func NewInformer(kube kubernetes.Interface) cache.SharedIndexInformer {
	return coordinationinformers.NewLeaseInformer(kube, Namespace, 0, nil)
}

// Record is which nodes the announcer of a node takes for dead, and since when.
type Record map[string]time.Time

// Of returns the record that a Lease has. Entries that cannot be read are left out.
func Of(lease *coordinationv1.Lease) Record {
	record := Record{}
	for entry := range strings.SplitSeq(lease.Annotations[v1alpha1.AnnotationDeadNodes], ",") {
		name, text, _ := strings.Cut(entry, "=")
		if since, err := time.Parse(time.RFC3339Nano, text); err == nil && name != "" {
			record[name] = since
		}
	}
	return record
}

// String is the value of the annotation.
func (r Record) String() string {
	var entries []string
	for _, name := range slices.Sorted(maps.Keys(r)) {
		entries = append(entries, name+"="+r[name].UTC().Format(time.RFC3339Nano))
	}
	return strings.Join(entries, ",")
}

// Next is the record that follows this one: silent are the nodes that were found silent, and unknown those of which nothing is known
// now, which stay what they were. So a restart of the announcer takes nothing back, and only an answer does.
func (r Record) Next(silent, unknown []string, now time.Time) Record {
	next := Record{}
	for _, name := range unknown {
		if since, recorded := r[name]; recorded {
			next[name] = since
		}
	}
	for _, name := range silent {
		since, recorded := r[name]
		if !recorded {
			since = now
		}
		next[name] = since
	}
	return next
}

// Equal says whether both have the same nodes since the same times.
func (r Record) Equal(other Record) bool { return maps.EqualFunc(r, other, time.Time.Equal) }

// Lease is the object for a record of the announcer of a node, which owner is and goes with.
func (r Record) Lease(owner metav1.OwnerReference, now time.Time) *coordinationv1.Lease {
	return &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: Namespace, Name: owner.Name, OwnerReferences: []metav1.OwnerReference{owner},
			Annotations: map[string]string{v1alpha1.AnnotationDeadNodes: r.String()},
		},
		Spec: coordinationv1.LeaseSpec{HolderIdentity: &owner.Name, RenewTime: &metav1.MicroTime{Time: now}},
	}
}
