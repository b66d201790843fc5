package loadbalancer

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// Reason says in one word how a request fared. It is the reason of the Service's condition.
type Reason string

// Reasons of a Service's AddressAssigned condition. Since when a Service that has what it asks for has an address, or when it last
// joined an address that others had, is in lastTransitionTime.
const (
	// Pending (Unknown): the Service has been taken up and is about to be answered.
	Pending Reason = "Pending"
	// ServedByAnother (Unknown): another load balancer has given the Service what its status has, and Clarion has no address for it;
	// the message says why. What the status has stays, and Clarion does not announce it.
	ServedByAnother Reason = "ServedByAnother"
	// Assigned (True): the Service has what it asks for; the message says from which pool or that this is gone, with whom it is shared,
	// why a second family is missing, and what else uses an address.
	Assigned Reason = "Assigned"
	// PoolExhausted (False): pools admit the Service, but all their addresses are in use.
	PoolExhausted Reason = "PoolExhausted"
	// NoMatchingPool (False): no pool admits the Service, or the one that it names does not exist, cannot be used, is being deleted, or
	// is not for it.
	NoMatchingPool Reason = "NoMatchingPool"
	// NamespaceLimitReached (False): its namespace has as many addresses as maxAddressesPerNamespace of the pools that admit it
	// allows; the message says limit and use.
	NamespaceLimitReached Reason = "NamespaceLimitReached"
	// AddressInUse (False): another Service has the address that it asks for, from Clarion, from another load balancer or as an
	// external IP.
	AddressInUse Reason = "AddressInUse"
	// AddressNotInPool (False): the address that it asks for is in no usable pool, excluded from its pool, or not in the pool that it
	// names.
	AddressNotInPool Reason = "AddressNotInPool"
	// AddressReserved (False): the address that it asks for is used by the cluster itself, can be no host's on a network of the nodes,
	// or is kept by an IPAddressReservation.
	AddressReserved Reason = "AddressReserved"
	// AddressAwaitingReuse (False): another namespace had the address that it asks for until a short while ago; the message says until
	// when only that one may ask for it.
	AddressAwaitingReuse Reason = "AddressAwaitingReuse"
	// AddressConflict (False): a host on the network that is none of the nodes answers for the address that it asks for.
	AddressConflict Reason = "AddressConflict"
	// FamilyUnavailable (False): the pools that admit it have no addresses of a family that it needs, or the cluster does not give it
	// that family.
	FamilyUnavailable Reason = "FamilyUnavailable"
	// SharingConflict (False): the address that it asks for is shared, and the Service does not fit in; the message says why.
	SharingConflict Reason = "SharingConflict"
	// InvalidRequest (False): what it asks for cannot be read or contradicts itself; it keeps what it has.
	InvalidRequest Reason = "InvalidRequest"
	// InternalError (False): a fault of Clarion's keeps it from answering; the Service keeps what it has. Please report it with the log.
	InternalError Reason = "InternalError"
)

// Error says why a Service does not have what it asks for, in a sentence for the author of the
// Service. The same facts give the same sentence: there is nothing in it that changes by itself.
type Error struct {
	Reason Reason
	// Message is the cause, and Remedy what helps, for the author of the Service or of the pools; ""
	// if the Message says that.
	Message, Remedy string
}

// Error is the cause.
func (e *Error) Error() string { return e.Message }

// Sentence is the cause with what helps.
func (e *Error) Sentence() string { return sentences(e.Message, e.Remedy) }

// with adds a sentence to the cause; "" is none.
func (e *Error) with(sentence string) *Error {
	return &Error{e.Reason, sentences(e.Message, sentence), e.Remedy}
}

func (e *Error) equal(other *Error) bool {
	if e == nil || other == nil {
		return e == other
	}
	return *e == *other
}

// What follows is the catalogue: every sentence that users read is made here.

// What helps, if it helps in several cases.
const (
	removeOne         = "remove one of them"
	askForAnother     = "ask for another address or none"
	makeRoom          = "delete or share an address of the namespace, or raise the limit"
	changeReservation = askForAnother + ", or change the reservation"
)

func invalid(sentence, remedy string) *Error { return &Error{InvalidRequest, sentence, remedy} }

func spellingsDiffer(a, b Annotation) *Error {
	return invalid("annotations "+string(a)+" and "+string(b)+" contradict each other", removeOne)
}

func loadBalancerIPDiffers(addr netip.Addr, from Annotation) *Error {
	return invalid("spec.loadBalancerIP "+addr.String()+" contradicts annotation "+string(from), removeOne)
}

func notAnAddress(where, text string) *Error {
	return invalid(where+": "+quote(text)+" is not an IP address", "correct or remove it")
}

func emptyItem(where, list string) *Error {
	return invalid(where+": there is an empty item in the list "+quote(list), "remove it")
}

func twoOfAFamily(where string, f family) *Error {
	return invalid(where+" has two "+f.String()+" addresses; a Service has at most one of a family", removeOne)
}

func noFamily() *Error {
	return invalid("the Service has no IP family: spec.ipFamilies is empty", "")
}

func wrongFamily(addr netip.Addr) *Error {
	f := familyOf(addr).String()
	return invalid("the Service asks for "+addr.String()+" but has no "+f+": add it to spec.ipFamilies", "")
}

func needsTwoFamilies(have family) *Error {
	return &Error{FamilyUnavailable, "the Service requires both families (spec.ipFamilyPolicy) but the cluster gives it only " +
		have.String(), "use ipFamilyPolicy: PreferDualStack, or make the cluster dual-stack"}
}

func addressNotGiven(addr netip.Addr, have family) *Error {
	return &Error{FamilyUnavailable, "the Service asks for " + addr.String() + " but the cluster gives it only " + have.String(),
		"ask for an " + have.String() + " address, or make the cluster dual-stack"}
}

func exhausted(pools []string, f family) *Error {
	verb := " has"
	if len(pools) > 1 {
		verb = " have"
	}
	return &Error{PoolExhausted, namePools(pools) + verb + " no free " + f.String() + " address", "add addresses or a pool"}
}

func limitReached(p *pool, r *Request, rec *record, f family) *Error {
	return &Error{NamespaceLimitReached, "namespace " + strconv.Quote(r.Service.Namespace) + " has " +
		count(p.spaces[f].usedBeside(r, rec), f) + " of " + namePool(p.name) +
		", which gives a namespace " + strconv.Itoa(p.maxPerNamespace) + " at most (maxAddressesPerNamespace)", makeRoom}
}

// limitsReached names the pools that are full, too.
func limitsReached(limiting []*pool, full []string, r *Request, rec *record, f family) *Error {
	var list []string
	for _, p := range limiting {
		list = append(list, limitReached(p, r, rec, f).Message)
	}
	if len(full) > 0 {
		list = append(list, exhausted(full, f).Message)
	}
	return &Error{NamespaceLimitReached, enumerate(list, "; "), makeRoom}
}

func familyMissing(pools []string, f family) *Error {
	verb := " has"
	if len(pools) > 1 {
		verb = " have"
	}
	return &Error{FamilyUnavailable, namePools(pools) + verb + " no " + f.String() + " addresses",
		"add some, or have the Service do without " + f.String() + " (spec.ipFamilyPolicy, spec.ipFamilies)"}
}

func noPools() *Error {
	return &Error{NoMatchingPool, "there is no IPAddressPool", "create one"}
}

func poolUnknown(name string) *Error {
	return &Error{NoMatchingPool, namePool(name) + " does not exist", "create it, or have the Service name another one or none"}
}

func poolUnusable(name, why string) *Error {
	return &Error{NoMatchingPool, namePool(name) + " " + cannotBeUsed(why), "correct the pool"}
}

func poolRefuses(name, why string) *Error {
	remedy := "ask for another pool or none"
	if why != isDeleted {
		remedy += ", or change spec.serviceAllocation of this one"
	}
	return &Error{NoMatchingPool, namePool(name) + " " + why, remedy}
}

// nobodyAdmits has a half sentence for each pool.
func nobodyAdmits(refusals []string) *Error {
	remedy := "change spec.serviceAllocation of one, or create another pool"
	switch {
	case slices.ContainsFunc(refusals, func(why string) bool { return strings.HasSuffix(why, onlyOnRequest) }):
		remedy = "ask for one by the annotation " + string(AnnotationPool) + ", or create another pool"
	case slices.ContainsFunc(refusals, func(why string) bool { return strings.Contains(why, cannotBeUsed("")) }):
		remedy = "correct the pool"
	}
	return &Error{NoMatchingPool, "no pool is for this Service: " + enumerate(refusals, "; "), remedy}
}

// The half sentences of a pool that does not admit a Service.
func notForNamespace(namespace string) string {
	return "is not for Services in namespace " + strconv.Quote(namespace)
}

func excludesNamespace(namespace string) string {
	return "excludes namespace " + strconv.Quote(namespace)
}

const (
	notForLabels  = "does not select the Service by its labels"
	isDeleted     = "is being deleted"
	onlyOnRequest = "is only for Services that ask for it (autoAssign: false)"
)

func cannotBeUsed(why string) string { return "cannot be used: " + why }

func asksForPool(name string) string { return "is not asked: the Service asks for " + namePool(name) }

func asksForAddress(addr netip.Addr) string {
	return "is not asked: the Service asks for " + addr.String() + ", which is not in it"
}

func givesNoMore(p *pool, namespace string, used int, f family) string {
	return "gives a namespace " + strconv.Itoa(p.maxPerNamespace) + " at most (maxAddressesPerNamespace), and namespace " +
		strconv.Quote(namespace) + " has " + count(used, f)
}

func hasNone(f family) string     { return "has no " + f.String() + " addresses" }
func hasNoneFree(f family) string { return "has no free " + f.String() + " address" }

func inNoPool(addr netip.Addr) *Error {
	return &Error{AddressNotInPool, addr.String() + " is in no pool", askForAnother + ", or add it to a pool"}
}

func excluded(addr netip.Addr, pool string) *Error {
	return &Error{AddressNotInPool, addr.String() + " is excluded from " + namePool(pool), askForAnother + ", or remove it from spec.exclude of the pool"}
}

func inUnusablePool(addr netip.Addr, pool, why string) *Error {
	return &Error{AddressNotInPool, addr.String() + " is in " + namePool(pool) + ", which " + cannotBeUsed(why), "correct the pool"}
}

func inOtherPool(addr netip.Addr, asked, pool string) *Error {
	return &Error{AddressNotInPool, addr.String() + " is not in " + namePool(asked) + " but in " + namePool(pool), "have the Service name that pool, or " + askForAnother}
}

func inUse(addr netip.Addr, by types.NamespacedName) *Error {
	return &Error{AddressInUse, addr.String() + " is in use by Service " + by.String(),
		askForAnother + ", or share it (" + string(AnnotationSharing) + " on both)"}
}

// restricted says why an address is not for a Service.
func restricted(addr netip.Addr, c restriction) *Error {
	switch {
	case c.conflict:
		return &Error{AddressConflict, conflictOn(addr, c.what), "take it from that host, or " + askForAnother}
	case c.what != "" && c.audience == forOne:
		return &Error{AddressInUse, addr.String() + " is " + c.what, askForAnother}
	case c.what != "":
		return &Error{AddressReserved, addr.String() + " is never handed out: it is " + c.what, askForAnother}
	case c.audience == forOne:
		return &Error{AddressReserved, addr.String() + " is kept for Service " + c.service.String() +
			" by reservation " + strconv.Quote(c.reservation), changeReservation}
	}
	return &Error{AddressReserved, addr.String() + " is kept out of use by reservation " + strconv.Quote(c.reservation), changeReservation}
}

// keptByFirst tells a Service that has lost an address why. conflict is from its own point of view.
func keptByFirst(conflict *Error, by types.NamespacedName) string {
	return conflict.Message + "; Service " + by.String() + " had it first and keeps it"
}

func awaitsReuse(addr netip.Addr, namespace string, until time.Time) *Error {
	return &Error{AddressAwaitingReuse, addr.String() + " awaits its reuse: until " + wholeSecond(until).Format(time.RFC3339) +
		" only Services of namespace " + strconv.Quote(namespace) + ", which had it, may ask for it", "wait, or keep it for this Service by an IPAddressReservation"}
}

func otherKey(addr netip.Addr, by types.NamespacedName) *Error {
	return &Error{SharingConflict, addr.String() + " is shared under another key: Service " + by.String() + " has it", "use the same key, or " + askForAnother}
}

func portTaken(addr netip.Addr, port Port, by types.NamespacedName) *Error {
	return &Error{SharingConflict, addr.String() + " cannot be shared with Service " + by.String() + ": both use port " +
		string(port.Protocol) + "/" + strconv.Itoa(int(port.Port)), "use another port, or " + askForAnother}
}

func otherBackends(addr netip.Addr, by types.NamespacedName) *Error {
	return &Error{SharingConflict, addr.String() + " cannot be shared with Service " + by.String() +
		": with externalTrafficPolicy Local both must have the same pods", "use the same selector or externalTrafficPolicy: Cluster, or " + askForAnother}
}

func otherNamespace(addr netip.Addr, pool string, by types.NamespacedName) *Error {
	return &Error{SharingConflict, addr.String() + " cannot be shared with Service " + by.String() + ": " + namePool(pool) +
		" keeps namespaces apart (sharing: Namespace)", askForAnother + ", or have the pool say sharing: Cluster"}
}

// assignedFrom describes an address that a Service has; without a pool if that is gone.
func assignedFrom(addr netip.Addr, p *pool, sharers []string) string {
	text := addr.String()
	if p != nil {
		text += " from " + namePool(p.name)
	} else {
		text += ", which is in no pool any more"
	}
	if len(sharers) > 0 {
		text += ", shared with " + enumerate(sharers, ", ")
	}
	return text
}

func assignedTo(addr netip.Addr, owners []*record) string {
	var names []string
	for _, o := range owners {
		names = append(names, o.request.Service.String())
	}
	if len(names) == 1 {
		return addr.String() + " is the address of Service " + names[0]
	}
	return addr.String() + " is shared by Services " + enumerate(names, ", ")
}

func isFree(addr netip.Addr, pool string) string {
	return addr.String() + " is free: " + namePool(pool) + " has it, and no Service"
}

// keptAlthough describes an address that a Service has and something else uses too.
func keptAlthough(addr netip.Addr, what string) string {
	return addr.String() + " is kept although it is " + what
}

func withoutFamily(f family, why *Error) string {
	return "no " + f.String() + " address: " + why.Message
}

// annotationIgnored has the annotation that is probably meant, or "".
func annotationIgnored(name string, meant Annotation) string {
	text := "annotation " + name + " is ignored: "
	if meant == "" {
		return text + "Services have none of this name"
	}
	return text + string(meant) + " is probably meant"
}

// foreignAnnotationIgnored names the one of ours that says the same, if there is one.
func foreignAnnotationIgnored(name string, f foreignAnnotation) string {
	text := "annotation " + name + " is ignored: it is " + f.of
	if f.meant != "" {
		text += ", and " + string(f.meant) + " says the same here"
	}
	return text
}

// longestQuote is how many bytes of what somebody has written a sentence repeats: every name is whole. All annotations of an
// object together may have 256 KiB, with which no event and no condition could be written.
const longestQuote = 256

func quote(text string) string {
	if len(text) <= longestQuote {
		return strconv.Quote(text)
	}
	return strconv.Quote(strings.ToValidUTF8(text[:longestQuote], "")) + "..."
}

func namePool(name string) string {
	return "pool " + quote(name)
}

func namePools(names []string) string {
	if len(names) == 1 {
		return namePool(names[0])
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = quote(name)
	}
	return "pools " + enumerate(quoted, ", ")
}

// mostNamed is how many things a sentence names before it says "and others".
const mostNamed = 4

func enumerate(items []string, separator string) string {
	if len(items) > mostNamed {
		items = append(slices.Clone(items[:mostNamed]), "and others")
	}
	return strings.Join(items, separator)
}

// sentences joins what there is to say; what is "" is left out.
func sentences(list ...string) string {
	return strings.Join(slices.DeleteFunc(list, func(text string) bool { return text == "" }), "; ")
}
