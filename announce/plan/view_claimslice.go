package plan

import (
	"cmp"
	"maps"
	"net/netip"
	"slices"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	recorded "github.com/clarionlb/clarion/internal/claims"
)

// record is what an announcer has recorded of its claims: a list, and slices that say what has changed since. The list is in its
// Announcer, which another watch brings than the slices, so that either may come first.
type record struct {
	// owner is the UID of the Announcer.
	owner types.UID
	// list has the claims but for what the slices of its revision say.
	list     map[netip.Addr]recordedClaim
	revision int64
	// listed says that there is an Announcer, and ignored that it was written by an announcer that knows no slices.
	listed, ignored bool
	slices          map[string]*claimSlice
}

// claimSlice is a ClaimSlice.
type claimSlice struct {
	version  string
	owner    types.UID
	revision int64
	number   int32
	// claims has the zero claim for an address that was released.
	claims map[netip.Addr]recordedClaim
	// gone says that the API does not have the slice any more.
	gone bool
}

func (v *View) newClaimSlice(o *v1alpha1.ClaimSlice) *claimSlice {
	s := &claimSlice{version: o.ResourceVersion, owner: recorded.OwnerOf(o), revision: o.Revision, number: o.Number}
	s.claims = v.readClaims(o.Announcer, o.ResourceVersion, o.Addresses)
	for _, text := range o.Released {
		if ip, err := netip.ParseAddr(text); err == nil {
			if _, claimed := s.claims[ip]; !claimed {
				s.claims[ip] = recordedClaim{}
			}
		}
	}
	return s
}

// orderedAs returns the claim with the place of an earlier state of it, if that is one of the same claim.
func (c recordedClaim) orderedAs(before recordedClaim) recordedClaim {
	if before.Epoch == c.Epoch {
		c.Order, c.seen = before.Order, before.seen
	}
	return c
}

// counts says whether a slice says what has changed since the list.
func (r *record) counts(s *claimSlice) bool {
	return r.listed && !r.ignored && s.owner == r.owner && s.revision == r.revision
}

// find returns the claim on an address, and the slice that says so; none if the list does.
func (r *record) find(ip netip.Addr) (c recordedClaim, slice string, claimed bool) {
	c, claimed = r.list[ip]
	number := int32(-1)
	for name, s := range r.slices {
		if said, is := s.claims[ip]; is && s.number > number && r.counts(s) {
			c, slice, claimed, number = said, name, said.Node != "", s.number
		}
	}
	return c, slice, claimed
}

// all returns all claims.
func (r *record) all() map[netip.Addr]recordedClaim {
	all := maps.Clone(r.list)
	var since []*claimSlice
	for _, s := range r.slices {
		if r.counts(s) {
			since = append(since, s)
		}
	}
	slices.SortFunc(since, func(a, b *claimSlice) int { return cmp.Compare(a.number, b.number) })
	for _, s := range since {
		for ip, c := range s.claims {
			if c.Node == "" {
				delete(all, ip)
			} else {
				all[ip] = c
			}
		}
	}
	return all
}

// recordOf returns the record of an announcer, which is made if there is none.
func (v *View) recordOf(name string) *record {
	r := v.records[name]
	if r == nil {
		r = &record{slices: map[string]*claimSlice{}}
		v.records[name] = r
	}
	return r
}

// list takes the claims that an Announcer lists, and those that count besides unless it has later ones, and returns all that count. If
// slices are later than the list, what they are changes of is not known yet: what was known before is the nearest to that. If the
// Announcer is no later than before, the API was restored, and what it says is so.
func (v *View) list(name string, object *v1alpha1.Announcer, listed, kept map[netip.Addr]recordedClaim, restored bool) map[netip.Addr]recordedClaim {
	r := v.recordOf(name)
	revision, known := object.Status.Layer2.Revision, r.listed && r.owner == object.UID && !r.ignored
	if known && !restored && 0 < revision && revision < r.revision {
		return r.all()
	}
	r.owner, r.list, r.revision, r.listed, r.ignored = object.UID, listed, revision, true, revision == 0
	for ip, c := range kept {
		if now, claimed := listed[ip]; !claimed || now.Epoch < c.Epoch {
			listed[ip] = c
		}
	}
	for slice, s := range r.slices {
		if s.gone && !r.counts(s) {
			delete(r.slices, slice)
			delete(v.sliceOf, slice)
		}
	}
	if !known && !r.ignored {
		for _, s := range r.slices {
			if s.owner == r.owner {
				r.revision = max(r.revision, s.revision)
			}
		}
	}
	return r.all()
}

// forgetList takes note that an Announcer is gone.
func (v *View) forgetList(name string) {
	if r := v.records[name]; r != nil {
		r.listed, r.list = false, nil
		if len(r.slices) == 0 {
			delete(v.records, name)
		}
	}
}

// SetClaimSlice takes a ClaimSlice as it is now; nil if it is gone. What one of a member that is in sight said counts until the member
// says something again: nobody but the garbage collector deletes it, or the API was restored from a copy.
func (v *View) SetClaimSlice(name string, object *v1alpha1.ClaimSlice) {
	if object == nil {
		v.removeClaimSlice(name)
		return
	}
	if v.layer2.asked {
		v.claimOrder++
	}
	now := v.newClaimSlice(object)
	if of, known := v.sliceOf[name]; known && of != object.Announcer {
		v.dropClaimSlice(name)
	}
	r := v.recordOf(object.Announcer)
	before := r.slices[name]
	if before != nil && !before.gone && before.owner == now.owner && v.sees(object.Announcer) && notLater(before.version, now.version) {
		v.keepLater(object.Announcer, before, now)
	}
	v.sliceOf[name], r.slices[name] = object.Announcer, now
	if r.listed && !r.ignored && now.owner == r.owner && now.revision > r.revision {
		r.slices[name] = before // for what counted so far
		if before == nil {
			delete(r.slices, name)
		}
		r.list, r.revision = r.all(), now.revision
		r.slices[name] = now
	}
	v.update(object.Announcer, before, now)
}

// keepLater has a slice of a member that is in sight, of which the API was restored, say what the member has said later.
func (v *View) keepLater(name string, before, now *claimSlice) {
	a := v.announcers[name]
	if a == nil {
		return
	}
	for ip, c := range now.claims {
		if counts, is := a.claims[ip]; is && counts.Epoch > c.Epoch {
			now.claims[ip] = counts
		}
	}
	if before.revision != now.revision {
		return
	}
	for ip, c := range before.claims {
		if _, says := now.claims[ip]; !says {
			now.claims[ip] = c
		}
	}
}

func (v *View) removeClaimSlice(name string) {
	of, known := v.sliceOf[name]
	switch {
	case known && v.sees(of):
		v.records[of].slices[name].gone = true
	case known:
		v.dropClaimSlice(name)
	}
}

func (v *View) dropClaimSlice(name string) {
	of := v.sliceOf[name]
	r := v.records[of]
	before := r.slices[name]
	delete(r.slices, name)
	delete(v.sliceOf, name)
	v.update(of, before, nil)
	if !r.listed && len(r.slices) == 0 {
		delete(v.records, of)
	}
}

// sees says whether the gossip sees a member.
func (v *View) sees(name string) bool {
	_, sees := slices.BinarySearch(v.inSight, name)
	return sees
}

// update brings the claims up to date of which a slice says something, or has said something.
func (v *View) update(name string, before, now *claimSlice) {
	a, r := v.announcers[name], v.records[name]
	if a == nil {
		return
	}
	for _, s := range []*claimSlice{before, now} {
		if s == nil {
			continue
		}
		for ip := range s.claims {
			old, had := a.claims[ip]
			c, _, claimed := r.find(ip)
			if c = c.orderedAs(old); had == claimed && c.equal(old) {
				if claimed {
					a.claims[ip] = c
				}
				continue
			}
			v.layer2.addresses.add(ip)
			delete(a.claims, ip)
			if had {
				v.removeClaim(ip, old)
			}
			if claimed {
				a.claims[ip] = c
				v.addClaim(ip, c)
			}
		}
	}
}
