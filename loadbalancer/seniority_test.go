package loadbalancer

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// later lets a minute pass.
func (s *script) later() { s.now = s.now.Add(time.Minute) }

// joined has owner take an address, and an older Service of another namespace join it later.
func (s *script) joined() (owner, joiner Request) {
	s.t.Helper()
	joiner = s.service("other/joiner") // the older of the two
	s.expect("joiner", s.ensure(joiner), "10.0.0.0")
	s.later()
	owner = s.service("owner", shares("k", 80))
	s.expect("owner", s.ensure(owner), "10.0.0.1")
	s.later()
	joiner = s.service("other/joiner", shares("k", 443), asks("10.0.0.1"))
	s.expect("joiner", s.ensure(joiner), "10.0.0.1")
	s.ensure(owner)
	s.later()
	return s.recorded(owner), s.recorded(joiner)
}

// recorded is a request with the status that the last answer made.
func (s *script) recorded(r Request) Request {
	rec := s.a.table.services[r.Service]
	r.Current, r.Answered, r.Since = rec.addresses(), true, rec.since
	return r
}

func evictions(list []Eviction) string {
	var texts []string
	for _, e := range list {
		texts = append(texts, e.Service.String()+": "+e.Sentence)
	}
	return strings.Join(texts, "; ")
}

func TestOfThoseWhoShareAnAddressTheOneThatWasThereFirstKeepsIt(t *testing.T) {
	change := func(changes ...func(*Request)) func(r Request) Request {
		return func(r Request) Request {
			for _, c := range changes {
				c(&r)
			}
			return r
		}
	}
	alsoPort := func(port Port) func(*Request) {
		return func(r *Request) { r.Ports = append([]Port{port}, r.Ports...) }
	}
	const cannot = "10.0.0.1 cannot be shared with Service default/owner: "
	for name, c := range map[string]struct {
		edit func(Request) Request
		told string
	}{
		"a port is added":         {change(alsoPort(Port{corev1.ProtocolTCP, 443})), cannot + "both use port TCP/443"},
		"a port is changed":       {change(shares("k", 443)), cannot + "both use port TCP/443"},
		"the pods are others":     {change(behind("x")), cannot + "with externalTrafficPolicy Local both must have the same pods"},
		"the key is changed":      {change(shares("l", 80)), "10.0.0.1 is shared under another key: Service default/owner has it"},
		"the key is removed":      {change(shares("", 80)), "10.0.0.1 is in use by Service default/owner"},
		"and with the name of it": {change(shares("", 80), asks("10.0.0.1")), "10.0.0.1 is in use by Service default/owner"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, with(newPool("public", "10.0.0.0/24"), together))
			owner, joiner := s.joined()
			owner = c.edit(owner)
			answer, out := s.ask(owner)
			s.expect("owner", answer, "10.0.0.1")
			s.expect("evicted", evictions(out.Evictions), "other/joiner: "+c.told+"; Service default/owner had it first and keeps it")
			s.expect("requeued", names(out.Requeue), "other/joiner")
			out, err := s.a.Ensure(s.now, joiner)
			s.expect("joiner", err.Error()+doubleClaims(out.DoubleClaims), c.told)
			_, out = s.ask(owner)
			s.expect("told once", evictions(out.Evictions), "")
			// Who does not insist moves.
			joiner.Addresses = nil
			s.expect("joiner", s.ensure(joiner), "10.0.0.0")
		})
	}

	pool := with(newPool("public", "10.0.0.0/24", "fd00::/120"), together)
	stories(t, map[string]func(*script){
		"another protocol of the port is no conflict until it is the same": func(s *script) {
			owner, joiner := s.joined()
			owner.Ports = []Port{{corev1.ProtocolTCP, 80}, {corev1.ProtocolUDP, 443}}
			s.ensure(owner)
			s.expect("joiner", s.ensure(joiner), "10.0.0.1")
			joiner.Ports = []Port{{corev1.ProtocolUDP, 443}}
			s.expect("who came later and changes loses it", s.ensure(joiner), "SharingConflict")
			s.expect("owner", s.ensure(owner), "10.0.0.1")
		},
		"who came later and changes loses it": func(s *script) {
			owner, _ := s.joined()
			answer, out := s.ask(s.service("other/joiner", shares("k", 80), asks("10.0.0.1")))
			s.expect("joiner", answer+evictions(out.Evictions), "SharingConflict")
			s.expect("owner", s.ensure(owner), "10.0.0.1")
		},
		"of three, one in the middle goes before the last and after the first": func(s *script) {
			owner, joiner := s.joined()
			last := s.service("last", shares("k", 25))
			s.expect("last", s.ensure(last), "10.0.0.1")
			_, out := s.ask(s.service("other/joiner", shares("k", 25), asks("10.0.0.1")))
			s.expect("evicted", evictions(out.Evictions), "default/last: 10.0.0.1 cannot be shared with Service other/joiner: "+
				"both use port TCP/25; Service other/joiner had it first and keeps it")
			s.expect("last", s.ensure(last), "10.0.0.0")
			joiner.Ports = []Port{{corev1.ProtocolTCP, 80}}
			s.expect("joiner", s.ensure(joiner), "SharingConflict")
			s.expect("owner", s.ensure(owner), "10.0.0.1")
		},
		"who was there first and gives the port back has the other again": func(s *script) {
			owner, joiner := s.joined()
			s.ensure(s.service("owner", shares("k", 443)))
			s.ensure(joiner)
			_, out := s.ask(owner)
			s.expect("requeued", names(out.Requeue), "other/joiner")
			s.expect("joiner", s.ensure(joiner), "10.0.0.1")
		},
		"a pool that begins to keep namespaces apart moves who came later": func(s *script) {
			s.joined()
			s.expect("requeued", s.setPools(with(pool, func(p *v1alpha1.IPAddressPoolSpec) { p.Sharing = "Namespace" })), "other/joiner")
		},
		"a restart changes nothing, whatever was changed meanwhile": func(s *script) {
			owner, joiner := s.joined()
			owner.Ports = []Port{{corev1.ProtocolTCP, 443}}
			s.restart(joiner, owner)
			s.expect("joiner", s.ensure(joiner), "SharingConflict")
			s.expect("owner", s.ensure(owner), "10.0.0.1")
		},
		"nor if it is changed afterwards": func(s *script) {
			owner, joiner := s.joined()
			s.restart(joiner, owner)
			s.ensure(joiner)
			owner.SharingKey = ""
			s.expect("owner", s.ensure(owner), "10.0.0.1")
			s.expect("joiner", s.ensure(joiner), "AddressInUse")
		},
		"of those of one second the older keeps it": func(s *script) {
			s.ensure(s.service("a", shares("k", 80)))
			s.ensure(s.service("b", shares("k", 81)))
			s.expect("a", s.ensure(s.service("a", shares("k", 81))), "10.0.0.0")
			s.expect("b", s.ensure(s.service("b", shares("k", 81))), "10.0.0.1")
		},
		"also if the clock was set back": func(s *script) {
			owner := s.service("owner", shares("k", 80))
			s.ensure(owner)
			s.now = s.now.Add(-time.Hour)
			s.ensure(s.service("joiner", shares("k", 81)))
			s.expect("owner", s.ensure(s.service("owner", shares("k", 81))), "10.0.0.0")
		},
		"a second address that is nobody's costs no seniority, and one that others have does": func(s *script) {
			both := stack(prefer, v4, v6)
			owner := s.service("owner", shares("k", 80))
			_, first := s.ask(owner)
			s.later()
			s.ensure(s.service("joiner", shares("k", 81)))
			s.later()
			_, second := s.ask(s.service("owner", shares("k", 80), both))
			if second.Since != first.Since || len(second.Addresses) != 2 {
				s.t.Errorf("since %v, before %v: %v", second.Since, first.Since, second.Addresses)
			}
			_, third := s.ask(s.service("joiner", shares("k", 81), both))
			if third.Since != s.now {
				s.t.Errorf("since %v", third.Since)
			}
		},
		"who loses its address and is given another one counts from then on": func(s *script) {
			_, _ = s.joined()
			s.ensure(s.service("owner", shares("k", 443)))
			s.later()
			_, out := s.ask(s.service("other/joiner", shares("k", 443)))
			if out.Since != s.now {
				s.t.Errorf("since %v", out.Since)
			}
		},
	}, pool)
}
