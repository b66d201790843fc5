package chaos

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ledger knows the Services of the API, and what they had before. It finds what must not be: two Services with one address that they do
// not share, and a Service that has lost or swapped its address although its wish is the same.
type ledger struct {
	services map[types.NamespacedName]*corev1.Service
	// held is what each Service had when it last had any address.
	held map[types.UID]holding
	// shares are the addresses that two Services have and share, or shared when they got them: who ends that has them until it is answered.
	shares map[sharing]bool
	// ever has the addresses that any Service had since [ledger.forget].
	ever map[netip.Addr]bool
	// rolledBack says that etcd was restored: two Services may have one address until one of them has been given another.
	rolledBack bool
}

// holding is what a Service had, and what it wished for then.
type holding struct {
	addresses string
	wish      string
	// unanswered says that the Service has had the addresses since before it wished for that: it may get others once.
	unanswered bool
}

// sharing is an address of two Services.
type sharing struct {
	address  netip.Addr
	one, two types.UID // sorted
}

func sharingOf(address netip.Addr, a, b types.UID) sharing {
	return sharing{address, min(a, b), max(a, b)}
}

func (s sharing) has(uid types.UID) bool { return s.one == uid || s.two == uid }

func newLedger() *ledger {
	return &ledger{
		services: map[types.NamespacedName]*corev1.Service{},
		held:     map[types.UID]holding{},
		shares:   map[sharing]bool{},
		ever:     map[netip.Addr]bool{},
	}
}

// replace takes all Services that there are, and returns what is wrong.
func (l *ledger) replace(services []corev1.Service) (wrong []string) {
	there := map[types.UID]bool{}
	for _, s := range services {
		there[s.UID] = true
	}
	maps.DeleteFunc(l.services, func(_ types.NamespacedName, s *corev1.Service) bool { return !there[s.UID] })
	maps.DeleteFunc(l.shares, func(s sharing, _ bool) bool { return !there[s.one] || !there[s.two] })
	// None is judged before all are known: an address may have gone from one to the other.
	for i := range services {
		l.services[nameOf(&services[i])] = &services[i]
	}
	for i := range services {
		wrong = append(wrong, l.judge(&services[i])...)
	}
	return wrong
}

// set takes a Service as it is now, and returns what is wrong.
func (l *ledger) set(service *corev1.Service) (wrong []string) {
	l.services[nameOf(service)] = service
	return l.judge(service)
}

// remove takes that a Service is gone.
func (l *ledger) remove(service *corev1.Service) {
	delete(l.services, nameOf(service))
	delete(l.held, service.UID)
	l.leaveShares(service.UID, nil)
}

// leaveShares takes that a Service has only these addresses, and says whether it shared any until now.
func (l *ledger) leaveShares(service types.UID, has []netip.Addr) (shared bool) {
	maps.DeleteFunc(l.shares, func(s sharing, _ bool) bool {
		shared = shared || s.has(service)
		return s.has(service) && !slices.Contains(has, s.address)
	})
	return shared
}

func (l *ledger) judge(service *corev1.Service) (wrong []string) {
	addresses := addressesOf(service)
	shared := l.leaveShares(service.UID, addresses)
	for _, a := range addresses {
		l.ever[a] = true
		for name, other := range l.services {
			if name == nameOf(service) || !slices.Contains(addressesOf(other), a) {
				continue
			}
			if pair := sharingOf(a, service.UID, other.UID); l.rolledBack || mayShare(service, other) {
				l.shares[pair] = true
			} else if !l.shares[pair] {
				wrong = append(wrong, fmt.Sprintf("Services %s and %s both have %s and do not share it", service.Name, name.Name, a))
			}
		}
	}
	now := holding{addresses: text(addresses), wish: wishOf(service)}
	before, had := l.held[service.UID]
	now.unanswered = had && before.addresses == now.addresses && (before.unanswered || before.wish != now.wish)
	kept := before.addresses == now.addresses || before.wish != now.wish || before.unanswered
	// Who leaves a share is not the ledger's to judge.
	if had && !kept && !shared && service.DeletionTimestamp == nil {
		wrong = append(wrong, fmt.Sprintf("Service %s had %s and has %s now, with the same wish", service.Name, before.addresses, now.addresses))
	}
	if len(addresses) > 0 {
		l.held[service.UID] = now
	} else if before.wish != now.wish || before.unanswered || shared {
		delete(l.held, service.UID)
	}
	return wrong
}

// mark returns what all Services have, for rollBack.
func (l *ledger) mark() map[types.UID]holding { return maps.Clone(l.held) }

// rollBack takes that etcd was restored to a moment between two marks. What a Service had in both, it has to keep.
func (l *ledger) rollBack(before, after map[types.UID]holding) {
	clear(l.services)
	clear(l.held)
	clear(l.shares)
	for uid, h := range before {
		if after[uid] == h {
			l.held[uid] = h
		}
	}
	l.rolledBack = true
}

// forget takes that everything is healed: what was granted because of faults is so no more, and what was wished for was answered. It
// returns what is wrong.
func (l *ledger) forget() (wrong []string) {
	l.rolledBack = false
	for uid, h := range l.held {
		h.unanswered = false
		l.held[uid] = h
	}
	clear(l.ever)
	clear(l.shares)
	for _, service := range l.services {
		wrong = append(wrong, l.judge(service)...)
	}
	return wrong
}

// addresses has those that a Service has now.
func (l *ledger) addresses() map[netip.Addr]bool {
	all := map[netip.Addr]bool{}
	for _, service := range l.services {
		for _, a := range addressesOf(service) {
			all[a] = true
		}
	}
	return all
}

func nameOf(service *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
}

func addressesOf(service *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if a, err := netip.ParseAddr(ingress.IP); err == nil {
			all = append(all, a)
		}
	}
	return all
}

func text(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return "nothing"
	}
	var all []string
	for _, a := range addresses {
		all = append(all, a.String())
	}
	return strings.Join(all, " and ")
}

// ours begins the annotations by which a Service says what it wishes for.
const ours = "clarionlb.io/"

const sharingKey = ours + "allow-shared-ip"

// wishOf is everything by which a Service says which addresses it wants.
func wishOf(service *corev1.Service) string {
	spec := service.Spec
	class := "none"
	if spec.LoadBalancerClass != nil {
		class = *spec.LoadBalancerClass
	}
	wish := []string{string(spec.Type), class, spec.LoadBalancerIP, fmt.Sprint(spec.IPFamilies)}
	for _, key := range slices.Sorted(maps.Keys(service.Annotations)) {
		if strings.HasPrefix(key, ours) {
			wish = append(wish, key+"="+service.Annotations[key])
		}
	}
	return strings.Join(wish, " ")
}

func mayShare(a, b *corev1.Service) bool {
	key := a.Annotations[sharingKey]
	return key != "" && key == b.Annotations[sharingKey]
}
