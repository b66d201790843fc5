// Package claims puts together what an announcer has recorded of its claims: the list in the status of its Announcer, and what its
// ClaimSlices say has changed since.
package claims

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Of returns the claims of an Announcer, in the order of its list and what is new at the end. Slices of other Announcers are left out, also
// of one that had the same name.
func Of(announcer *v1alpha1.Announcer, all []*v1alpha1.ClaimSlice) []v1alpha1.Layer2Address {
	listed := announcer.Status.Layer2.Addresses
	since := Since(announcer, all)
	if len(since) == 0 {
		return listed
	}
	changed, released := map[string]v1alpha1.Layer2Address{}, map[string]bool{}
	var added []string
	for _, s := range since {
		for _, ip := range s.Released {
			delete(changed, ip)
			released[ip] = true
		}
		for _, c := range s.Addresses {
			delete(released, c.IP)
			changed[c.IP] = c
			added = append(added, c.IP)
		}
	}
	out := make([]v1alpha1.Layer2Address, 0, len(listed)+len(changed))
	for _, c := range listed {
		if now, is := changed[c.IP]; is {
			out = append(out, now)
			delete(changed, c.IP)
		} else if !released[c.IP] {
			out = append(out, c)
		}
	}
	for _, ip := range added {
		if c, is := changed[ip]; is {
			out = append(out, c)
			delete(changed, ip)
		}
	}
	return out
}

// OfList is Of for a list as the API gives it; nil is one without slices.
func OfList(announcer *v1alpha1.Announcer, list *v1alpha1.ClaimSliceList) []v1alpha1.Layer2Address {
	var all []*v1alpha1.ClaimSlice
	if list != nil {
		for i := range list.Items {
			all = append(all, &list.Items[i])
		}
	}
	return Of(announcer, all)
}

// Since returns those slices that say what has changed since an Announcer's list was written, in the order in which they count. If
// there are some of a later list, the Announcer is an older state than the slices: those of that list count.
func Since(announcer *v1alpha1.Announcer, all []*v1alpha1.ClaimSlice) (since []*v1alpha1.ClaimSlice) {
	revision := announcer.Status.Layer2.Revision
	if revision == 0 {
		return nil // an older announcer has written the list, and knows no slices
	}
	for _, s := range all {
		if s.Announcer != announcer.Name || OwnerOf(s) != announcer.UID || s.Revision < revision {
			continue
		}
		if s.Revision > revision {
			revision, since = s.Revision, nil
		}
		since = append(since, s)
	}
	slices.SortFunc(since, func(a, b *v1alpha1.ClaimSlice) int { return cmp.Compare(a.Number, b.Number) })
	return since
}

// OwnerOf is the UID of the Announcer that a slice is of; "" if it does not say.
func OwnerOf(s *v1alpha1.ClaimSlice) types.UID {
	i := slices.IndexFunc(s.OwnerReferences, func(o metav1.OwnerReference) bool { return o.Kind == "Announcer" })
	if i < 0 {
		return ""
	}
	return s.OwnerReferences[i].UID
}

// Equal says whether two claims are the same.
func Equal(a, b v1alpha1.Layer2Address) bool {
	return a.IP == b.IP && a.Epoch == b.Epoch && a.HandoverTo == b.HandoverTo && a.Since.Equal(&b.Since) &&
		slices.Equal(a.Interfaces, b.Interfaces) && slices.Equal(a.PreviousOwners, b.PreviousOwners)
}

// Changes returns what is to be recorded of claims that are to be these, if those are recorded.
func Changes(recorded, wanted []v1alpha1.Layer2Address) (changed []v1alpha1.Layer2Address, released []string) {
	if slices.EqualFunc(recorded, wanted, Equal) {
		return nil, nil
	}
	before := make(map[string]v1alpha1.Layer2Address, len(recorded))
	for _, c := range recorded {
		before[c.IP] = c
	}
	for _, c := range wanted {
		if known, is := before[c.IP]; !is || !Equal(known, c) {
			changed = append(changed, c)
		}
		delete(before, c.IP)
	}
	for _, c := range recorded {
		if _, left := before[c.IP]; left {
			released = append(released, c.IP)
		}
	}
	return changed, released
}
