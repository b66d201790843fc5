package chaos

import (
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// lb is a Service with addresses and, as its wish, a sharing key.
func lb(name, key string, addresses ...string) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), Annotations: map[string]string{sharingKey: key}}}
	for _, a := range addresses {
		s.Status.LoadBalancer.Ingress = append(s.Status.LoadBalancer.Ingress, corev1.LoadBalancerIngress{IP: a})
	}
	return s
}

func TestLedger(t *testing.T) {
	const a, b = "192.0.2.1", "192.0.2.2"
	deleted := lb("one", "")
	deleted.DeletionTimestamp = &metav1.Time{}
	for _, test := range []struct {
		name  string
		do    func(*ledger) []string
		wrong int
	}{
		{"a Service gets an address and keeps it", func(l *ledger) []string {
			return append(l.set(lb("one", "", a)), l.set(lb("one", "", a))...)
		}, 0},
		{"it loses it", func(l *ledger) []string { return append(l.set(lb("one", "", a)), l.set(lb("one", ""))...) }, 1},
		{"it swaps it", func(l *ledger) []string { return append(l.set(lb("one", "", a)), l.set(lb("one", "", b))...) }, 1},
		{"it loses it and gets another one later", func(l *ledger) []string {
			l.set(lb("one", "", a))
			l.set(lb("one", ""))
			return l.set(lb("one", "", b))
		}, 1},
		{"it wishes for something else", func(l *ledger) []string {
			return append(l.set(lb("one", "", a)), append(l.set(lb("one", "key")), l.set(lb("one", "key", b))...)...)
		}, 0},
		{"it gets what it wishes for at once", func(l *ledger) []string {
			return append(l.set(lb("one", "", a)), append(l.set(lb("one", "key", a)), l.set(lb("one", "key", b))...)...)
		}, 0},
		{"and swaps it then", func(l *ledger) []string {
			l.set(lb("one", "", a))
			l.set(lb("one", "key", a))
			return append(l.set(lb("one", "key", b)), l.set(lb("one", "key", a))...)
		}, 1},
		{"it gets it when etcd is restored", func(l *ledger) []string {
			l.set(lb("one", "", a))
			l.set(lb("one", "key", a))
			mark := l.mark()
			l.rollBack(mark, mark)
			return append(l.replace([]corev1.Service{*lb("one", "key", a)}), l.set(lb("one", "key", b))...)
		}, 0},
		{"it keeps what it had, and loses it in a later round", func(l *ledger) []string {
			l.set(lb("one", "", a))
			l.set(lb("one", "key", a))
			return append(l.forget(), l.set(lb("one", "key"))...)
		}, 1},
		{"it is deleted", func(l *ledger) []string { return append(l.set(lb("one", "", a)), l.set(deleted)...) }, 0},
		{"two have one address", func(l *ledger) []string { return append(l.set(lb("one", "", a)), l.set(lb("two", "", a))...) }, 1},
		{"two share one", func(l *ledger) []string { return append(l.set(lb("one", "key", a)), l.set(lb("two", "key", a))...) }, 0},
		{"two share one, one of them ends that, and the other one loses it", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			return append(l.set(lb("two", "", a)), append(l.set(lb("one", "key")), l.forget()...)...)
		}, 0},
		{"one of them ends that, and both keep it", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			l.set(lb("two", "", a))
			return l.forget()
		}, 2},
		{"one of them ends that, and a third one gets it", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			l.set(lb("two", "", a))
			return l.set(lb("three", "key", a))
		}, 1},
		{"one of them has another one, and has the first one again without sharing it", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			l.set(lb("two", "", b))
			return l.set(lb("two", "", a))
		}, 2},
		{"the first one loses it while they share it", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			return l.set(lb("one", "key"))
		}, 0},
		{"one of them is deleted, and the other one loses it then", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			l.remove(lb("two", "key", a))
			return l.set(lb("one", "key"))
		}, 1},
		{"one of them is deleted while nobody watches, and the other one has lost it", func(l *ledger) []string {
			l.set(lb("one", "key", a))
			l.set(lb("two", "key", a))
			return append(l.replace([]corev1.Service{*lb("one", "key", a)}), l.replace([]corev1.Service{*lb("one", "key")})...)
		}, 1},
		{"two with different keys have one", func(l *ledger) []string {
			return append(l.set(lb("one", "key", a)), l.set(lb("two", "lock", a))...)
		}, 1},
		{"an address goes to another Service while nobody watches", func(l *ledger) []string {
			l.set(lb("one", "", a))
			l.set(lb("two", "", b))
			return l.replace([]corev1.Service{*lb("two", "", b), *lb("three", "", a)})
		}, 0},
		{"etcd is restored, and a Service has what it had", func(l *ledger) []string {
			l.set(lb("one", "", a))
			mark := l.mark()
			l.remove(lb("one", "", a))
			l.rollBack(mark, mark)
			return l.replace([]corev1.Service{*lb("one", "", a)})
		}, 0},
		{"etcd is restored, and a Service has not what it had", func(l *ledger) []string {
			l.set(lb("one", "", a))
			mark := l.mark()
			l.rollBack(mark, mark)
			return l.replace([]corev1.Service{*lb("one", "", b)})
		}, 1},
		{"etcd is restored, and two have one for a while", func(l *ledger) []string {
			l.rollBack(nil, nil)
			return l.replace([]corev1.Service{*lb("one", "", a), *lb("two", "", a)})
		}, 0},
		{"etcd is restored, and two have one for ever", func(l *ledger) []string {
			l.rollBack(nil, nil)
			l.replace([]corev1.Service{*lb("one", "", a), *lb("two", "", a)})
			return l.forget()
		}, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			if wrong := test.do(newLedger()); len(wrong) != test.wrong {
				t.Errorf("%d things are wrong, want %d: %q", len(wrong), test.wrong, wrong)
			}
		})
	}
}

func TestTheLedgerKnowsWhatWasEverHeld(t *testing.T) {
	l := newLedger()
	l.set(lb("one", "", "192.0.2.1"))
	l.remove(lb("one", ""))
	if a := netip.MustParseAddr("192.0.2.1"); !l.ever[a] || l.addresses()[a] {
		t.Errorf("ever %v, now %v", l.ever, l.addresses())
	}
}
