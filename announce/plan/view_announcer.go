package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/resourceversion"

	"github.com/clarionlb/clarion/announce/election"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// announcer is what an announcer has recorded of itself.
type announcer struct {
	// version is that of the object.
	version    string
	interfaces []Interface
	// claims are those that count, by its status and its ClaimSlices: see record.
	claims map[netip.Addr]recordedClaim
	// rebalance is the value of the annotation that asks for it, rebalanced the one that was acted
	// upon.
	rebalance, rebalanced string
	conflicts             []Conflict
	// recorded is the Announcer as the API has it, if this is what is left of it without interfaces that are down; or else nil.
	recorded *announcer
	// former are its hardware addresses while it has recorded no interface, as one that is cut off or has not run for a while: those of
	// before, with which it may answer still, and does when it goes on.
	former []string
}

// recordedClaim is a claim, the interfaces on which the address is announced, and the nodes that
// had it before.
type recordedClaim struct {
	claim
	interfaces     []string
	previousOwners []string
}

// equal says whether a plan makes no difference between two claims.
func (c recordedClaim) equal(o recordedClaim) bool {
	return c.Claim == o.Claim && slices.Equal(c.previousOwners, o.previousOwners)
}

// macFor is the hardware address with which an announcer answers for one of its addresses: that of
// the interface which shares a network with one of this node's, or else the first. It is empty if
// it has recorded none.
func (a *announcer) macFor(ip netip.Addr, names []string, own []Interface) string {
	first := ""
	for _, i := range a.interfaces {
		if i.MAC == "" || !slices.Contains(names, i.Name) {
			continue
		}
		if slices.ContainsFunc(own, func(o Interface) bool { return o.shares(i, ip.Is4()) }) {
			return i.MAC
		}
		first = cmp.Or(first, i.MAC)
	}
	return first
}

// macs are the hardware addresses of its interfaces, as text with commas between them.
func (a *announcer) macs() string { return strings.Join(a.hardware(), ",") }

// hardware are the hardware addresses of its interfaces, sorted.
func (a *announcer) hardware() (macs []string) {
	for _, i := range a.interfaces {
		if i.MAC != "" {
			macs = append(macs, i.MAC)
		}
	}
	slices.Sort(macs)
	return slices.Compact(macs)
}

// macIn is the hardware address of its interface in the LAN of one of this node's, by name: the one
// that shares a network with it. It is empty if that is not known.
func (a *announcer) macIn(name string, own []Interface) (mac string) {
	at := slices.IndexFunc(own, func(i Interface) bool { return i.Name == name })
	for _, i := range a.interfaces {
		if i.MAC == "" || i.MAC == mac || at < 0 || !own[at].shares(i, true) && !own[at].shares(i, false) {
			continue
		}
		if mac != "" {
			return ""
		}
		mac = i.MAC
	}
	return mac
}

func newAnnouncer(a *v1alpha1.Announcer) *announcer {
	out := &announcer{
		version:    a.ResourceVersion,
		rebalance:  a.Annotations[v1alpha1.AnnotationRebalance],
		rebalanced: a.Status.Layer2.Rebalanced,
	}
	for _, i := range a.Status.Layer2.Interfaces {
		out.interfaces = append(out.interfaces, readInterface(i))
	}
	for _, c := range a.Status.Layer2.Conflicts {
		if c, ok := readConflict(c); ok {
			out.conflicts = append(out.conflicts, c)
		}
	}
	return out
}

// readClaims reads claims of a node that were recorded in a version of an object.
func (v *View) readClaims(node, version string, addresses []v1alpha1.Layer2Address) map[netip.Addr]recordedClaim {
	claims := make(map[netip.Addr]recordedClaim, len(addresses))
	order := v.orderOf(version)
	for _, c := range addresses {
		recorded := election.Claim{
			Node:       node,
			Epoch:      c.Epoch,
			Order:      order,
			Tentative:  len(c.Interfaces) == 0,
			HandoverTo: c.HandoverTo,
		}
		if ip, err := netip.ParseAddr(c.IP); err == nil && recorded.Counts() {
			claims[ip] = recordedClaim{claim{recorded, c.Since.Time, v.claimOrder}, c.Interfaces, c.PreviousOwners}
		}
	}
	return claims
}

// orderOf is the place in the sequence of the API's changes of what comes in a version of an object: the version itself, since two claims
// may come in objects of two kinds, of which each node sees one first. It is 0 before the first plan: the order of what was there from
// the start is not known.
func (v *View) orderOf(version string) uint64 {
	if !v.layer2.asked {
		return 0
	}
	if n, err := strconv.ParseUint(version, 10, 64); err == nil {
		return n
	}
	return v.claimOrder
}

// SetAnnouncer takes an Announcer as it is now; nil if it is gone. The Announcer of a member that is in sight is not gone for long:
// what it said counts until it says something again, or until it is out of sight. If the API has an earlier version than before, it
// was restored from a copy: what the member has claimed since counts until it says something again.
func (v *View) SetAnnouncer(name string, object *v1alpha1.Announcer) {
	before, known := v.announcers[name]
	sees := v.sees(name)
	if known && sees && (object == nil || v.vanished[name] && saysNothing(object)) {
		v.vanished[name] = true
		return
	}
	delete(v.vanished, name)
	var kept map[netip.Addr]recordedClaim
	if known && sees && notLater(before.version, object.ResourceVersion) {
		kept = before.claims
	}
	v.setAnnouncer(name, object, kept)
}

// notLater says whether an object that had a version has an earlier one now, or the same, as when all are listed again: either is no news
// of it.
func notLater(before, now string) bool {
	order, err := resourceversion.CompareResourceVersion(now, before)
	return err == nil && order <= 0
}

// earlier says whether an object that had a version has an earlier one now: the API was restored.
func earlier(before, now string) bool { return before != now && notLater(before, now) }

// saysNothing is true of an Announcer that was just made, and has no status yet.
func saysNothing(a *v1alpha1.Announcer) bool { return len(a.Status.Conditions) == 0 }

// setInSight takes the sorted names of the members that the gossip sees.
func (v *View) setInSight(names []string) {
	v.inSight = names
	for name := range v.vanished {
		if _, sees := slices.BinarySearch(names, name); !sees {
			delete(v.vanished, name)
			v.setAnnouncer(name, nil, nil)
		}
	}
}

// setAnnouncer takes an Announcer with what it says, and claims that count besides unless it has later ones.
func (v *View) setAnnouncer(name string, object *v1alpha1.Announcer, kept map[netip.Addr]recordedClaim) {
	before, known := v.announcers[name]
	if !known {
		before = &announcer{}
	}
	if v.layer2.asked {
		v.claimOrder++
	}
	after, listed := &announcer{}, map[netip.Addr]recordedClaim(nil)
	if object != nil {
		after = newAnnouncer(object)
		listed = v.readClaims(name, object.ResourceVersion, object.Status.Layer2.Addresses)
		if after.hardware() == nil {
			after.former = append(before.hardware(), before.former...)
		}
	}
	v.SetSpeaker(name, object)
	if object == nil {
		delete(v.announcers, name)
	} else {
		v.announcers[name] = after
	}
	if object == nil {
		v.forgetList(name)
	} else {
		after.claims = v.list(name, object, listed, kept, known && earlier(before.version, object.ResourceVersion))
	}
	neighbor := known != (object != nil) || !slices.EqualFunc(before.interfaces, after.interfaces, Interface.Equal)
	if neighbor {
		v.membership++
	}
	if neighbor || before.rebalance != after.rebalance {
		v.layer2.all = true
	}
	for ip, c := range after.claims {
		after.claims[ip] = c.orderedAs(before.claims[ip])
	}
	for ip, c := range before.claims {
		if !c.equal(after.claims[ip]) {
			v.layer2.addresses.add(ip)
			v.removeClaim(ip, c)
		}
	}
	for ip, c := range after.claims {
		if !c.equal(before.claims[ip]) {
			v.layer2.addresses.add(ip)
			v.addClaim(ip, c)
		}
	}
}

// setLinksDown has interfaces of a node not count until the API says something of its Announcer, or restoreLinks is called. It returns
// whether that is news.
func (v *View) setLinksDown(name string, down []string) bool {
	a := v.announcers[name]
	if a == nil {
		return false
	}
	left := slices.DeleteFunc(slices.Clone(a.interfaces), func(i Interface) bool { return slices.Contains(down, i.Name) })
	if len(left) == len(a.interfaces) {
		return false
	}
	without := *a
	without.interfaces, without.recorded = left, a
	if a.recorded != nil {
		without.recorded = a.recorded
	}
	v.replaceAnnouncer(name, &without)
	return true
}

// restoreLinks ends setLinksDown for a node.
func (v *View) restoreLinks(name string) {
	if a := v.announcers[name]; a != nil && a.recorded != nil {
		v.replaceAnnouncer(name, a.recorded)
	}
}

func (v *View) replaceAnnouncer(name string, by *announcer) {
	v.announcers[name] = by
	v.membership++
	v.layer2.all = true
}

func (x *addressIndex) addClaim(ip netip.Addr, c recordedClaim) {
	x.claims[ip] = append(x.claims[ip], c.claim)
	if len(c.previousOwners) > 0 {
		x.withPrevious[ip]++
	}
}

func (x *addressIndex) removeClaim(ip netip.Addr, c recordedClaim) {
	x.claims[ip] = slices.DeleteFunc(x.claims[ip], func(o claim) bool { return o.Node == c.Node })
	if len(x.claims[ip]) == 0 {
		delete(x.claims, ip)
	}
	if len(c.previousOwners) == 0 {
		return
	}
	if x.withPrevious[ip]--; x.withPrevious[ip] == 0 {
		delete(x.withPrevious, ip)
	}
}
