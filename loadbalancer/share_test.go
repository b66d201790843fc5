package loadbalancer

import (
	"slices"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// restart has a new Allocator take over, with the statuses that the one before has recorded.
func (s *script) restart(requests ...Request) {
	s.record()
	s.a = New()
	for _, namespace := range []string{"default", "other"} {
		s.a.SetNamespace(s.now, namespace, map[string]string{"name": namespace})
	}
	s.a.SetPools(s.now, s.pools)
	s.a.Restore(s.now, requests)
}

// record writes the statuses of the pools.
func (s *script) record() {
	statuses := s.a.PoolStatuses(s.now)
	s.pools = slices.Clone(s.pools)
	for i, p := range s.pools {
		p = p.DeepCopy()
		recordStatus(p, statuses[p.Name])
		s.pools[i] = p
	}
}

func recordStatus(p *v1alpha1.IPAddressPool, status PoolStatus) {
	p.Status.AppliedSpec, p.Status.Contested, p.Status.AwaitingReuse = status.AppliedSpec.DeepCopy(), status.Contested, status.AwaitingReuse
	p.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: status.Reason, ObservedGeneration: p.Generation}}
}

// edited is the next version of a pool, with other addresses.
func edited(p *v1alpha1.IPAddressPool, addresses ...string) *v1alpha1.IPAddressPool {
	p = p.DeepCopy()
	p.Generation++
	p.Spec.Addresses = addresses
	return p
}

func deleted(p *v1alpha1.IPAddressPool) *v1alpha1.IPAddressPool {
	p = p.DeepCopy()
	p.Generation++
	p.DeletionTimestamp = &metav1.Time{Time: epoch}
	return p
}

func recreated(p *v1alpha1.IPAddressPool) *v1alpha1.IPAddressPool {
	p = p.DeepCopy()
	p.UID += " again"
	p.CreationTimestamp = metav1.NewTime(epoch.Add(time.Hour))
	p.Status = v1alpha1.IPAddressPoolStatus{}
	return p
}

func answered(r *Request) { r.Answered = true }

func TestOfPoolsThatOverlapTheOneThatHadAnAddressFirstKeepsIt(t *testing.T) {
	z, a := newPool("z", "10.0.0.0/25"), newPool("a", "10.0.0.0/24") // of one second
	ready := func(s *script, want map[string]string) {
		s.t.Helper()
		for name, status := range s.a.PoolStatuses(s.now) {
			s.expect(name, status.Reason+": "+status.Message, want[name])
		}
	}
	stories(t, map[string]func(*script){
		"both say so, and both hand out the rest": func(s *script) {
			s.setPools(z)
			s.setPools(z, a)
			ready(s, map[string]string{
				"z": `Valid: 10.0.0.0-10.0.0.127 is in pool "a" too, which leaves it to this pool`,
				"a": `Overlaps: 10.0.0.0-10.0.0.127 is left to pool "z", which had it first`,
			})
			s.expect("contested", s.sentence(s.service("s", asks("10.0.0.1"))), `10.0.0.1 from pool "z"`)
			s.expect("uncontested", s.ensure(s.service("t", from("a"))), "10.0.0.128")
			s.expect("asked of the other", s.sentence(s.service("u", from("a"), asks("10.0.0.2"))), `10.0.0.2 is not in pool "a" but in pool "z"`)
		},
		"at first it is the older one": func(s *script) {
			s.setPools(younger(a), z)
			s.expect("s", s.sentence(s.service("s", asks("10.0.0.1"))), `10.0.0.1 from pool "z"`)
		},
		"an older pool that grows takes nothing from a younger one": func(s *script) {
			grown := younger(newPool("b", "10.0.1.0/31"))
			s.setPools(z, grown)
			s.ensure(s.service("s", asks("10.0.1.0")))
			s.expect("requeued", s.setPools(edited(z, "10.0.0.0/25", "10.0.1.0/24"), grown), "")
			s.expect("s", s.sentence(s.service("s", asks("10.0.1.0"))), `10.0.1.0 from pool "b"`)
			s.expect("not in use by anybody", s.sentence(s.service("t", asks("10.0.1.1"))), `10.0.1.1 from pool "b"`)
		},
		"an edit of something else changes nothing": func(s *script) {
			s.setPools(z)
			s.setPools(z, a)
			s.ensure(s.service("s", asks("10.0.0.1")))
			changed := with(z, notAutomatic)
			changed.Generation++
			s.expect("requeued", s.setPools(changed, a), "")
			s.expect("s", s.sentence(s.service("s")), `10.0.0.1 from pool "z"`)
		},
		"nor does a restart, even with an edit meanwhile": func(s *script) {
			s.setPools(z)
			s.setPools(z, a)
			s.ensure(s.service("s", asks("10.0.0.1")))
			s.record()
			s.pools[0] = edited(s.pools[0], "10.0.0.0/25", "10.0.3.0")
			s.a = New()
			s.setPools(s.pools...)
			s.expect("s", s.sentence(s.service("s", believes("10.0.0.1"))), `10.0.0.1 from pool "z"`)
		},
		"when the first is gone the other has it": func(s *script) {
			s.setPools(z)
			s.setPools(z, a)
			s.ensure(s.service("s", asks("10.0.0.1")))
			s.expect("requeued", s.setPools(a), "s")
			s.expect("s", s.sentence(s.service("s", asks("10.0.0.1"))), `10.0.0.1 from pool "a"`)
		},
		"a pool in between leaves both ends": func(s *script) {
			s.setPools(newPool("middle", "10.0.0.100-10.0.0.101"))
			s.setPools(newPool("middle", "10.0.0.100-10.0.0.101"), newPool("ends", "10.0.0.99-10.0.0.102"))
			s.expect("s", s.ensure(s.service("s", from("ends"))), "10.0.0.99")
			s.expect("t", s.ensure(s.service("t", from("ends"))), "10.0.0.102")
			s.expect("u", s.ensure(s.service("u", from("ends"))), "PoolExhausted")
		},
		"what is excluded does not overlap": func(s *script) {
			s.setPools(z, with(younger(a), func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.0/25"} }))
			for name, status := range s.a.PoolStatuses(s.now) {
				if !status.Ready {
					s.t.Errorf("%s: %+v", name, status)
				}
			}
			s.expect("s", s.ensure(s.service("s")), "10.0.0.128")
		},
	})
}

func TestAnEditThatCannotBeReadTakesNothing(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	for name, mistake := range map[string]func(*v1alpha1.IPAddressPoolSpec){
		"a range that is reversed": func(p *v1alpha1.IPAddressPoolSpec) { p.Addresses = []string{"10.0.0.3-10.0.0.0"} },
		"a pool that overlaps itself": func(p *v1alpha1.IPAddressPoolSpec) {
			p.Addresses = []string{"10.0.0.0/30", "10.0.0.3"}
		},
		"an exclusion":   func(p *v1alpha1.IPAddressPoolSpec) { p.Exclude = []string{"10.0.0.300"} },
		"a selector":     only(v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{{MatchExpressions: []v1alpha1.LabelSelectorRequirement{{Key: "x", Operator: "Sometimes"}}}}}),
		"all of it":      func(p *v1alpha1.IPAddressPoolSpec) { p.Addresses = []string{"nonsense"} },
		"an empty entry": func(p *v1alpha1.IPAddressPoolSpec) { p.Addresses = []string{""} },
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, pool)
			s.ensure(s.service("a", asks("10.0.0.2")))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.0")
			wrong := with(pool, mistake)
			wrong.Generation++
			s.expect("requeued", s.setPools(wrong), "")
			status := s.a.PoolStatuses(s.now)["public"]
			if status.Ready || status.Reason == v1alpha1.ReasonValid || status.IPv4 == nil || status.IPv4.Assigned != 2 {
				t.Errorf("it says %+v", status)
			}
			s.expect("a", s.ensure(s.service("a")), "10.0.0.2")
			s.expect("the version before is in force", s.ensure(s.service("c")), "10.0.0.1")

			s.restart(s.service("a", believes("10.0.0.2"), answered), s.service("b", believes("10.0.0.0"), answered), s.service("c", believes("10.0.0.1"), answered))
			s.expect("a after a restart", s.ensure(s.service("a", believes("10.0.0.2"), answered)), "10.0.0.2")
			s.expect("a new Service", s.ensure(s.service("d")), "10.0.0.3")

			s.setPools(pool)
			s.expect("b when it is mended", s.sentence(s.service("b")), `10.0.0.0 from pool "public"`)
			if status := s.a.PoolStatuses(s.now)["public"]; !status.Ready {
				t.Errorf("it says %+v", status)
			}
		})
	}
}

func TestWhatServicesHadOfAPoolThatIsGone(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	const kept = "10.0.0.0, which is in no pool any more"
	stories(t, map[string]func(*script){
		"they keep it, and it is theirs when the pool is back": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("b"))
			s.expect("requeued", s.setPools(), "a b")
			s.expect("a", s.sentence(s.service("a")), kept)
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.expect("c", s.ensure(s.service("c")), "NoMatchingPool")
			s.expect("requeued", s.setPools(recreated(pool)), "a b c")
			s.expect("c", s.ensure(s.service("c")), "10.0.0.2")
			s.expect("b", s.sentence(s.service("b")), `10.0.0.1 from pool "public"`)
			s.expect("a", s.sentence(s.service("a")), `10.0.0.0 from pool "public"`)
		},
		"nobody else gets it, not by name and not by sharing": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.setPools(newPool("other", "10.0.1.0"))
			s.expect("b", s.ensure(s.service("b", asks("10.0.0.0"))), "AddressNotInPool")
			s.expect("c", s.ensure(s.service("c", shares("k", 81))), "10.0.1.0")
		},
		"a restart meanwhile changes nothing": func(s *script) {
			s.ensure(s.service("a"))
			s.setPools()
			s.restart(s.service("a", believes("10.0.0.0"), answered))
			s.setPools(recreated(pool))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.1")
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.0"), answered)), "10.0.0.0")
		},
		"an address that is not our answer is not kept": func(s *script) {
			s.restart(s.service("a", believes("203.0.113.7")))
			s.expect("a", s.ensure(s.service("a", believes("203.0.113.7"))), "10.0.0.0")
		},
		"a Service that asks for the pool keeps it too, and moves when it asks for another": func(s *script) {
			s.ensure(s.service("a", from("public")))
			s.setPools(newPool("other", "10.0.1.0"))
			s.expect("a", s.sentence(s.service("a", from("public"))), kept)
			s.restart(s.service("a", from("public"), believes("10.0.0.0"), answered))
			s.expect("a", s.sentence(s.service("a", from("public"), believes("10.0.0.0"), answered)), kept)
			s.expect("a", s.ensure(s.service("a", from("other"))), "10.0.1.0")
			s.expect("b", s.ensure(s.service("b", from("other"))), "PoolExhausted")
		},
		"a pool that comes back without it does not take it": func(s *script) {
			s.ensure(s.service("a"))
			s.setPools()
			s.setPools(edited(recreated(pool), "10.0.0.1"))
			s.expect("a", s.sentence(s.service("a")), kept)
		},
		"nor does one that was replaced without a moment in between": func(s *script) {
			s.ensure(s.service("a"))
			s.setPools(edited(recreated(pool), "10.0.0.1"))
			s.expect("a", s.sentence(s.service("a")), kept)
		},
		"a pool that takes over its addresses takes over its Services, also those that ask for the former": func(s *script) {
			s.ensure(s.service("a", from("public")))
			s.expect("requeued", s.setPools(newPool("renamed", "10.0.0.0/29")), "a")
			s.expect("a", s.sentence(s.service("a", from("public"))), `10.0.0.0 from pool "renamed"`)
		},
		"a Service that is deleted gives it back": func(s *script) {
			s.ensure(s.service("a"))
			s.setPools()
			s.release(s.service("a"))
			s.setPools(recreated(pool))
			s.expect("b", s.ensure(s.service("b")), "10.0.0.0")
		},
		"what an edit took out of the pool stays lost when the pool is deleted": func(s *script) {
			s.ensure(s.service("a"))
			s.setPools(edited(pool, "10.0.0.1"))
			s.setPools()
			s.expect("a", s.ensure(s.service("a")), "NoMatchingPool")
		},
		"what one pool has lost another can have and be deleted": func(s *script) {
			s.setPools(edited(pool, "10.0.0.1"))
			s.setPools(edited(pool, "10.0.0.1"), newPool("other", "10.0.0.0"))
			s.expect("a", s.ensure(s.service("a", asks("10.0.0.0"))), "10.0.0.0")
			s.setPools(edited(pool, "10.0.0.1"))
			s.expect("a", s.sentence(s.service("a", asks("10.0.0.0"))), kept)
		},
		"what an edit takes out while no Allocator runs is lost as well": func(s *script) {
			s.ensure(s.service("a"))
			s.record()
			s.pools[0] = edited(s.pools[0], "10.0.0.1")
			s.a = New()
			s.setPools(s.pools...)
			s.a.Restore(s.now, []Request{s.service("a", believes("10.0.0.0"), answered)})
			s.expect("a", s.ensure(s.service("a", believes("10.0.0.0"), answered)), "10.0.0.1")
		},
	}, pool)
}

func TestAPoolThatIsBeingDeleted(t *testing.T) {
	pool := newPool("public", "10.0.0.0/30")
	stories(t, map[string]func(*script){
		"hands out nothing and goes on counting for those who have an address of it": func(s *script) {
			s.ensure(s.service("a"))
			s.ensure(s.service("other/b", shares("k", 80)))
			s.expect("requeued", s.setPools(deleted(pool)), "")
			s.expect("a", s.sentence(s.service("a")), `10.0.0.0 from pool "public"`)
			s.expect("c", s.sentence(s.service("c")), `no pool is for this Service: pool "public" is being deleted`)
			s.expect("by name", s.sentence(s.service("c", asks("10.0.0.3"))), `pool "public" is being deleted`)
			s.expect("by sharing", s.ensure(s.service("d", shares("k", 81))), "NoMatchingPool")
			status := s.a.PoolStatuses(s.now)["public"]
			s.expect("it says", status.Reason+": "+status.Message, "Deleting: the pool is to be deleted and hands out nothing; "+
				"it waits for Services that have addresses of it: default/a, other/b")
			if !status.InUse || status.IPv4.Assigned != 2 || status.IPv4.Available != 0 {
				s.t.Errorf("counts %+v", status.IPv4)
			}
			s.release(s.service("a"))
			s.release(s.service("other/b"))
			status = s.a.PoolStatuses(s.now)["public"]
			s.expect("it says", status.Message, "the pool is to be deleted and hands out nothing")
			if status.InUse {
				s.t.Error("nobody has an address of it any more")
			}
		},
		"leaves its addresses to another pool that has them, with their Services": func(s *script) {
			s.ensure(s.service("a", from("public")))
			successor := younger(newPool("renamed", "10.0.0.0/30"))
			s.setPools(pool, successor)
			s.expect("requeued", s.setPools(deleted(pool), successor), "a")
			s.expect("a", s.sentence(s.service("a", from("public"))), `10.0.0.0 from pool "renamed"`)
			s.expect("b", s.sentence(s.service("b")), `10.0.0.1 from pool "renamed"`)
			if s.a.PoolStatuses(s.now)["public"].InUse {
				s.t.Error("it is still in use")
			}
		},
	}, pool)
}
