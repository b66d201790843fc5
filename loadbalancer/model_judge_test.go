package loadbalancer

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// What follows compares what the allocator does with what the rules say.

// before is what the world knows about a Service before it is asked.
type before struct {
	had   []netip.Addr
	known bool
	// next is the address that each family would get if it needed one and nothing special applied;
	// by family, true is IPv4.
	next          map[bool]netip.Addr
	may           map[netip.Addr]bool // could have it, does not have it
	keeps         map[netip.Addr]bool // has it and may keep it
	owners        map[netip.Addr][]string
	awaitingReuse map[netip.Addr]reuse
	since         time.Time
}

func (w *world) before(svc *corev1.Service) before {
	seen := w.seen[keyOf(svc)]
	if seen != nil && seen.UID != svc.UID {
		// Its namesake is gone.
		owners := map[netip.Addr][]string{}
		for addr, names := range w.owners {
			left := slices.DeleteFunc(slices.Clone(names), func(n string) bool { return n == keyOf(svc) })
			if len(left) > 0 {
				owners[addr] = left
			} else {
				w.awaitReuse(addr, keyOf(svc))
			}
		}
		w.owners, seen = owners, nil
		w.forgetLost()
		delete(w.seen, keyOf(svc))
	}
	b := before{
		known: seen != nil, next: map[bool]netip.Addr{},
		may: map[netip.Addr]bool{}, keeps: map[netip.Addr]bool{},
		owners: w.owners, awaitingReuse: maps.Clone(w.awaitingReuse), since: w.since[keyOf(svc)],
	}
	for _, addr := range universe {
		if !slices.Contains(w.owners[addr], keyOf(svc)) {
			b.may[addr] = w.mayHave(svc, addr, false)
			continue
		}
		b.had = append(b.had, addr)
		b.keeps[addr] = w.mayHave(svc, addr, true)
	}
	for _, v4 := range families4(svc) {
		b.next[v4] = w.next(svc, v4)
	}
	return b
}

// judge checks one answer.
func (w *world) judge(svc *corev1.Service, r Request, b before, out Outcome, err error) {
	fail := func(format string, args ...any) {
		w.t.Fatalf("%s: %s\n  before %v, answer %v %v", keyOf(svc), fmt.Sprintf(format, args...), b.had, answer(svc, out, err), out.DoubleClaims)
	}
	w.judgeForm(svc, r, out, err, fail)
	for _, addr := range b.had {
		if b.known && b.keeps[addr] && !slices.Contains(out.Addresses, addr) && !(requiresBoth(svc) && err != nil) {
			fail("loses %v without a reason", addr)
		}
	}
	for _, addr := range out.Addresses {
		if !slices.Contains(b.had, addr) { // what it keeps is judged by checkServed, when the queue is empty
			w.judgeNew(svc, r, b, addr, fail)
		}
	}
	w.judgeSince(svc, b, out, fail)
	w.judgeOthers(svc, r, b, out, fail)
}

// judgeForm checks what must be true of every answer.
func (w *world) judgeForm(svc *corev1.Service, r Request, out Outcome, err error, fail func(string, ...any)) {
	addresses, known := w.a.Lookup(r.Service)
	if !known || !slices.Equal(addresses, out.Addresses) {
		fail("has %v", addresses)
	}
	for i, addr := range out.Addresses {
		if i > 0 && (families4(svc)[0] != out.Addresses[0].Is4() || addr.Is4() == out.Addresses[0].Is4()) {
			fail("addresses are not ordered by family")
		}
		name := ""
		if p := w.poolOf(addr); p != nil {
			name = p.Name
		}
		if out.Pools[addr] != name {
			fail("%v is said to be from pool %q", addr, out.Pools[addr])
		}
	}
	if slices.Contains(out.Requeue, r.Service) {
		fail("requeues itself")
	}
	both := requiresBoth(svc)
	if both && err == nil && len(out.Addresses) != 2 || both && r.Invalid == nil && len(out.Addresses) == 1 {
		fail("requires both families")
	}
	said := out.Message
	if err != nil {
		said = err.Error()
	}
	if _, mistaken := svc.Annotations[mistakenAnnotation]; strings.Contains(said, mistakenAnnotation) != mistaken {
		fail("is told %q, mistaken: %v", said, mistaken)
	}
	if wish, _ := understood(svc); err == nil && len(wish) > len(out.Addresses) && !strings.Contains(said, "; no IPv") {
		fail("is told %q, and not why an address is missing", said)
	}
	if err == nil && len(out.Addresses) == 0 || err != nil && r.Invalid == nil && len(out.Addresses) > 0 {
		fail("an error and addresses, or neither")
	}
}

// judgeNew checks an address that the Service did not have: it may have it, and it is the one that
// comes first, unless something speaks for another.
func (w *world) judgeNew(svc *corev1.Service, r Request, b before, addr netip.Addr, fail func(string, ...any)) {
	claimed := !b.known && slices.Contains(r.Current, addr) && w.mayHave(svc, addr, true) &&
		(w.poolOf(addr) != nil || wasAnswered(svc) && !w.takenOut(addr))
	if !b.may[addr] && !claimed {
		fail("may not have %v", addr)
	}
	wish, _ := understood(svc)
	_, asked := wish[addr.Is4()]
	_, kept := w.reservedBy(addr)
	formerly := b.awaitingReuse[addr].who == keyOf(svc)
	sharing := len(b.owners[addr]) > 0
	if !claimed && !asked && kept == nil && !formerly && !sharing && addr != b.next[addr.Is4()] {
		fail("gets %v, should get %v", addr, b.next[addr.Is4()])
	}
}

// judgeSince checks since when a Service has its addresses that was known before.
func (w *world) judgeSince(svc *corev1.Service, b before, out Outcome, fail func(string, ...any)) {
	if !b.known || len(out.Addresses) == 0 {
		return
	}
	want := b.since
	if len(b.had) == 0 {
		want = w.now
	}
	for _, addr := range out.Addresses {
		if slices.Contains(b.had, addr) {
			continue
		}
		for _, other := range w.owners[addr] {
			if other != keyOf(svc) {
				want = slices.MaxFunc([]time.Time{want, w.now, w.since[other]}, time.Time.Compare)
			}
		}
	}
	if !out.Since.Equal(want) {
		fail("has it since %v, should be %v", out.Since, want)
	}
}

// judgeOthers checks that other Services lose nothing, unless this one was there first, and that
// both are told.
func (w *world) judgeOthers(svc *corev1.Service, r Request, b before, out Outcome, fail func(string, ...any)) {
	for addr, names := range b.owners {
		for _, other := range names {
			if other == keyOf(svc) || slices.Contains(w.owners[addr], other) {
				continue
			}
			loser := types.NamespacedName{Namespace: w.services[other].Namespace, Name: w.services[other].Name}
			claim := DoubleClaim{Address: addr, Winner: r.Service, Loser: loser}
			evicted := slices.ContainsFunc(out.Evictions, func(e Eviction) bool { return e.Address == addr && e.Service == loser })
			if evicted != b.known || slices.Contains(out.DoubleClaims, claim) == b.known || !slices.Contains(out.Requeue, loser) {
				fail("takes %v from %s, and says %v %v %v", addr, other, out.Evictions, out.DoubleClaims, out.Requeue)
			}
			// Who had the address may be gone already, and have a namesake of another age.
			if !w.cameFirst(svc, other) {
				fail("takes %v from %s, which had it first", addr, other)
			}
		}
	}
	for _, c := range out.DoubleClaims {
		if !slices.Contains(w.owners[c.Address], c.Winner.String()) || slices.Contains(w.owners[c.Address], c.Loser.String()) {
			fail("reports %v, but %v has it", c, w.owners[c.Address])
		}
	}
}

func (w *world) checkAlways() {
	if problem := broken(w.a); problem != "" {
		w.t.Fatal(problem)
	}
}

// inspect works until the queue is empty and compares the state with what it should be.
func (w *world) inspect() {
	w.hear()
	for range 2000 {
		if len(w.queue) == 0 {
			break
		}
		w.workOne()
	}
	if len(w.queue) > 0 {
		w.t.Fatalf("the queue never empties: %v", w.queue)
	}
	names := slices.Sorted(maps.Keys(w.services))
	answers := maps.Clone(w.answers)
	for _, key := range names {
		svc := w.services[key]
		out, err := w.ask(svc)
		if answers[key] != answer(svc, out, err) {
			w.t.Fatalf("%s was told %s and not requeued, now it is %s", key, answers[key], answer(svc, out, err))
		}
		w.checkServed(svc, out, err)
		if len(w.queue) > 0 || len(out.DoubleClaims) > 0 {
			w.t.Fatalf("asking %s again requeues %v and finds double claims %v", key, w.queue, out.DoubleClaims)
		}
	}
	w.checkCounts()
	w.record()

	// The same answers after a restart, whatever the order.
	restarted := New()
	w.configure(restarted)
	var requests []Request
	for _, svc := range w.services {
		r, _ := NewRequest(svc)
		requests = append(requests, r)
	}
	if conflicts := restarted.Restore(w.now, requests); len(conflicts) > 0 {
		w.t.Fatalf("conflicts after a restart: %v", conflicts)
	}
	for _, key := range rapid.Permutation(names).Draw(w.t, "order after restart") {
		r, _ := NewRequest(w.services[key])
		out, err := restarted.Ensure(w.now, r)
		if svc := w.services[key]; answer(svc, out, err) != answers[key] {
			w.t.Fatalf("%s: %s, after a restart %s", key, answers[key], answer(svc, out, err))
		}
	}
	if problem := broken(restarted); problem != "" {
		w.t.Fatal("after a restart: ", problem)
	}
}

// answer is what must not depend on history. A Service that waits for any address is told once
// which pools are full, and not again when one more has filled up; so these sentences are left out.
// One that requires both families is told of one that is missing, and not again when the other is
// missing too.
func answer(svc *corev1.Service, out Outcome, err error) string {
	if err == nil {
		text, _, _ := strings.Cut(out.Message, "; no ")
		return fmt.Sprint(out.Addresses, text)
	}
	problem := err.(*Error)
	switch {
	case problem.Reason == InvalidRequest:
	case requiresBoth(svc):
		return "not both"
	case problem.Reason == PoolExhausted, problem.Reason == FamilyUnavailable, problem.Reason == NoMatchingPool:
		return fmt.Sprint(problem.Reason)
	}
	return fmt.Sprint(out.Addresses, problem.Reason, problem.Message)
}

// checkServed checks, when the queue is empty, that a Service has only what it may have, and misses
// only what cannot be had.
func (w *world) checkServed(svc *corev1.Service, out Outcome, err error) {
	for _, addr := range out.Addresses {
		if !w.mayHave(svc, addr, true) {
			w.t.Fatalf("%s may not keep %v", keyOf(svc), addr)
		}
		for _, other := range w.owners[addr] {
			if other != keyOf(svc) && clash(w.poolOf(addr), svc, w.services[other]) {
				w.t.Fatalf("%s and %s cannot share %v", keyOf(svc), other, addr)
			}
		}
	}
	if err != nil && err.(*Error).Reason == InvalidRequest {
		return
	}
	missing, possible := 0, 0
	for _, v4 := range families4(svc) {
		if slices.ContainsFunc(out.Addresses, func(a netip.Addr) bool { return a.Is4() == v4 }) {
			continue
		}
		missing++
		if slices.ContainsFunc(universe, func(a netip.Addr) bool { return a.Is4() == v4 && w.mayHave(svc, a, false) }) {
			possible++
		}
	}
	both := requiresBoth(svc)
	if both && missing > 0 && possible == missing || !both && possible > 0 {
		w.t.Fatalf("%s waits (%v) for what it could have", keyOf(svc), answer(svc, out, err))
	}
}

func (w *world) checkCounts() {
	statuses := w.a.PoolStatuses(w.now)
	for name, p := range w.pools {
		status := statuses[name]
		if ready := p.DeletionTimestamp == nil && !mistaken(&p.Spec) && !w.contested(name); status.Ready != ready {
			w.t.Fatalf("pool %s: ready %v (%s)", name, status.Ready, status.Message)
		}
		var total, assigned, awaiting int64
		inUse := false
		for _, addr := range universe {
			if mine := w.poolOf(addr); mine == nil || mine.Name != name {
				continue
			}
			inUse = inUse || len(w.owners[addr]) > 0
			if !addr.Is4() {
				continue
			}
			own, kept := w.reservedBy(addr)
			if len(w.owners[addr]) > 0 {
				assigned++
				total++
			} else if !own && (kept == nil || kept.Service != nil) {
				total++
			}
			if w.awaitingReuse[addr].until.After(w.now) {
				awaiting++
			}
		}
		got := v1alpha1.AddressCounts{}
		if status.IPv4 != nil {
			got = *status.IPv4
		}
		if got.Total != total || got.Assigned != assigned || status.AwaitingReuseIPv4 != awaiting || status.InUse != inUse {
			w.t.Fatalf("pool %s: counts %+v, in use %v, and %d awaiting reuse, should be %d, %d, %v and %d",
				name, got, status.InUse, status.AwaitingReuseIPv4, total, assigned, inUse, awaiting)
		}
	}
}
