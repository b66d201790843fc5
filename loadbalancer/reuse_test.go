package loadbalancer

import (
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestRest(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	stories(t, map[string]func(*script){
		"a freed address is not given to the next who comes": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.now = s.now.Add(30 * time.Second)
			s.expect("c", s.ensure(s.service("c")), "10.0.0.0")
		},
		"unless another of its namespace asks for it": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "10.0.0.0")
		},
		"or nothing else is left, and then the one that is reusable soonest": func(s *script) {
			for _, name := range []string{"a", "b", "c", "d"} {
				s.ensure(s.service(name))
			}
			s.release(s.service("c"))
			s.now = s.now.Add(time.Second)
			s.release(s.service("a"))
			s.expect("e", s.ensure(s.service("e")), "10.0.0.2")
			s.expect("f", s.ensure(s.service("f")), "10.0.0.0")
		},
		"or the Service of that name is back": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("a", s.ensure(s.service("a", born("again"))), "10.0.0.0")
		},
		"the pool says for how long": func(s *script) {
			s.setPools(with(pool, reusedAtOnce))
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.0")
		},
		"addresses that await their reuse are available": func(s *script) {
			s.ensure(s.service("a"))
			s.release(s.service("a"))
			status := s.a.PoolStatuses(s.now)["public"]
			if status.AwaitingReuseIPv4 != 1 || status.IPv4.Available != 4 || status.IPv4.Assigned != 0 {
				s.t.Errorf("status %+v %+v", status, status.IPv4)
			}
			if status := s.a.PoolStatuses(s.now.Add(time.Minute))["public"]; status.AwaitingReuseIPv4 != 0 {
				s.t.Errorf("awaits its reuse for ever: %+v", status)
			}
			if len(s.a.table.services)+len(s.a.table.addresses) > 0 {
				s.t.Errorf("leaks %v %v", s.a.table.services, s.a.table.addresses)
			}
		},
	}, pool)
}

// reclaim lets time pass, and says who is requeued and when the next address is reusable.
func (s *script) reclaim(after time.Duration) string {
	s.t.Helper()
	s.now = s.now.Add(after)
	requeued, next := s.a.Reclaim(s.now)
	if problem := broken(s.a); problem != "" {
		s.t.Fatal(problem)
	}
	text := names(requeued)
	if !next.IsZero() {
		text += " next " + next.Sub(s.now).String()
	}
	return text
}

func TestWhatAwaitsItsReuseIsNamedByItsFormerNamespaceAlone(t *testing.T) {
	const refusal = `10.0.0.5 awaits its reuse: until 2026-01-01T00:00:30Z only Services of namespace "default", which had it, may ask for it`
	wants := asks("10.0.0.5")
	free := func(s *script) {
		s.ensure(s.service("a", wants))
		s.release(s.service("a"))
	}
	stories(t, map[string]func(*script){
		"another namespace is told until when, and is given it then": func(s *script) {
			free(s)
			s.expect("b", s.ensure(s.service("other/b", wants)), "AddressAwaitingReuse")
			s.expect("b", s.sentence(s.service("other/b", wants)), refusal)
			s.expect("too early", s.reclaim(29*time.Second), " next 1s")
			s.expect("when it is over", s.reclaim(time.Second), "other/b")
			s.expect("b", s.ensure(s.service("other/b", wants)), "10.0.0.5")
		},
		"of several who wait the oldest is given it": func(s *script) {
			free(s)
			s.service("other/older")
			s.ensure(s.service("other/younger", wants))
			s.ensure(s.service("other/older", wants))
			s.expect("requeued", s.reclaim(30*time.Second), "other/older")
			_, out := s.ask(s.service("other/older", wants))
			s.expect("requeued", names(out.Requeue), "other/younger")
			s.expect("younger", s.sentence(s.service("other/younger", wants)), "10.0.0.5 is in use by Service other/older")
		},
		"who waits is told when the former namespace has it again, and when that gives it back": func(s *script) {
			free(s)
			s.ensure(s.service("other/b", wants))
			answer, out := s.ask(s.service("a", born("again"), wants))
			s.expect("a", answer, "10.0.0.5")
			s.expect("requeued", names(out.Requeue), "other/b")
			s.expect("b", s.ensure(s.service("other/b", wants)), "AddressInUse")
			s.now = s.now.Add(time.Minute)
			s.expect("requeued", s.release(s.service("a", born("again"))), "other/b")
			s.expect("b", s.sentence(s.service("other/b", wants)),
				`10.0.0.5 awaits its reuse: until 2026-01-01T00:01:30Z only Services of namespace "default", which had it, may ask for it`)
		},
		"whoever else looks when it is over, who waits is requeued": func(s *script) {
			free(s)
			s.ensure(s.service("other/b", wants))
			s.now = s.now.Add(30 * time.Second)
			_, out := s.ask(s.service("other/c"))
			s.expect("requeued", names(out.Requeue), "other/b")
			s.expect("once", s.reclaim(0), "")
		},
		"or if only the status was looked at": func(s *script) {
			free(s)
			s.ensure(s.service("other/b", wants))
			s.now = s.now.Add(30 * time.Second)
			s.a.PoolStatuses(s.now)
			s.expect("requeued", s.reclaim(0), "other/b")
		},
		"a Service of its namespace that has a new address leaves the old one to its namespace": func(s *script) {
			s.ensure(s.service("a", wants))
			s.ensure(s.service("a", asks("10.0.0.6")))
			s.ensure(s.service("a", asks("10.0.0.7"))) // it remembers one
			s.expect("b", s.ensure(s.service("other/b", wants)), "AddressAwaitingReuse")
			s.expect("c", s.ensure(s.service("c", wants)), "10.0.0.5")
		},
		"who asks for none gets it when nothing else is left": func(s *script) {
			s.setPools(newPool("public", "10.0.0.5"))
			free(s)
			s.expect("b", s.ensure(s.service("other/b")), "10.0.0.5")
		},
		"one that prefers both families has the other meanwhile": func(s *script) {
			free(s)
			both := []func(*Request){stack(prefer, v4, v6), wants}
			s.expect("b", s.sentence(s.service("other/b", both...)), `fd00:: from pool "public"; no IPv4 address: `+refusal)
			s.expect("requeued", s.reclaim(30*time.Second), "other/b")
			s.expect("b", s.ensure(s.service("other/b", both...)), "10.0.0.5 fd00::")
		},
		"a reservation gives it to whom it names at once": func(s *script) {
			free(s)
			s.ensure(s.service("other/b", wants))
			b := types.NamespacedName{Namespace: "other", Name: "b"}
			at := parse([]string{"10.0.0.5"})[0]
			s.expect("requeued", names(s.a.SetReservations(s.now, []Reservation{{"r", []Range{{at, at}}, &b}})), "other/b")
			s.expect("b", s.ensure(s.service("other/b", wants)), "10.0.0.5")
		},
		"of a pool that gives addresses again at once nobody is kept": func(s *script) {
			s.setPools(with(s.pools[0], reusedAtOnce))
			free(s)
			s.expect("b", s.ensure(s.service("other/b", wants)), "10.0.0.5")
		},
		"an address of which nobody knows who had it is for all": func(s *script) {
			s.restart()
			s.expect("b", s.ensure(s.service("other/b", wants)), "10.0.0.5")
		},
		"a restart changes nothing": func(s *script) {
			free(s)
			s.restart()
			s.expect("b", s.sentence(s.service("other/b", wants)), refusal)
			s.expect("c", s.ensure(s.service("c")), "10.0.0.0")
			s.expect("the Service of that name", s.ensure(s.service("a", born("again"))), "10.0.0.5")
		},
		"nor does one for who waits": func(s *script) {
			free(s)
			s.restart(s.service("d", believes("10.0.0.9")))
			s.ensure(s.service("other/b", wants))
			s.expect("when it is over", s.reclaim(30*time.Second), "other/b")
			s.expect("b", s.ensure(s.service("other/b", wants)), "10.0.0.5")
			s.record()
			if left := s.pools[0].Status.AwaitingReuse; len(left) > 0 {
				s.t.Errorf("recorded %v", left)
			}
		},
		"what Services have after all is not kept": func(s *script) {
			free(s)
			s.restart(s.service("other/b", believes("10.0.0.5")))
			s.expect("b", s.ensure(s.service("other/b", believes("10.0.0.5"), wants)), "10.0.0.5")
		},
		"one that has another address now does not have it back after a restart": func(s *script) {
			s.ensure(s.service("a", wants))
			s.ensure(s.service("a", asks("10.0.0.6")))
			s.restart(s.service("a", believes("10.0.0.6")))
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.6"))), "10.0.0.6")
			s.expect("b", s.ensure(s.service("other/b", wants)), "AddressAwaitingReuse")
		},
		"fractions of a second are rounded up, in the record too": func(s *script) {
			s.now = s.now.Add(time.Millisecond)
			free(s)
			s.expect("b", s.sentence(s.service("other/b", wants)), sentenceAt(31))
			s.restart()
			s.expect("b", s.sentence(s.service("other/b", wants)), sentenceAt(31))
		},
		"a record that does not fit is passed over": func(s *script) {
			s.pools[0].Status.AwaitingReuse = []v1alpha1.AddressAwaitingReuse{
				{Address: "nonsense", Namespace: "other", Until: metav1.NewTime(epoch.Add(time.Hour))},
				{Address: "10.9.0.1", Namespace: "other", Until: metav1.NewTime(epoch.Add(time.Hour))},
				{Address: "10.0.0.5", Namespace: "other", Until: metav1.NewTime(epoch)},
			}
			s.a = New()
			s.a.SetPools(s.now, s.pools)
			s.expect("a", s.ensure(s.service("a", wants)), "10.0.0.5")
			s.expect("nothing is left", s.reclaim(0), "")
		},
		"the record is of limited size, and has the last": func(s *script) {
			for i := range 300 {
				r := s.service(fmt.Sprint("s", i), stack(single, []corev1.IPFamily{v4, v6}[i%2]))
				s.a.Ensure(s.now, r)
				s.now = s.now.Add(10 * time.Millisecond)
				s.a.Release(s.now, r.Service, "")
			}
			s.record()
			recorded := s.pools[0].Status.AwaitingReuse
			if n := len(recorded); n != 256 || recorded[0].Service != "s44" || recorded[255].Service != "s299" {
				s.t.Errorf("%d recorded: %v", n, recorded)
			}
		},
	}, newPool("public", "10.0.0.0/24", "fd00::/120"))
}

func sentenceAt(second int) string {
	return `10.0.0.5 awaits its reuse: until ` + epoch.Add(time.Duration(second)*time.Second).Format(time.RFC3339) +
		` only Services of namespace "default", which had it, may ask for it`
}
