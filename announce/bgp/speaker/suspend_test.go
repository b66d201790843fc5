package speaker

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/announce/bgp"
)

// Some reasons for a session to be suspended or reset.
var (
	notYet     = bgp.Problem{Kind: bgp.BFDNotUp, Detail: "not yet"}
	stillNot   = bgp.Problem{Kind: bgp.BFDNotUp, Detail: "still not"}
	notAnyMore = bgp.Problem{Kind: bgp.BFDNotUp, Detail: "not any more"}
	dead       = bgp.Problem{Kind: bgp.BFDSilent, Silence: time.Second}
)

func TestASessionThatIsSuspendedWaitsAndIsLostByIt(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	s.Suspend(map[bgp.SessionKey]bgp.Problem{key("tor"): notYet})
	run(t, s)
	s.Set(alone(r.peer()), say(both))
	eventually(t, "the reason in the status", func() (bool, any) {
		p := status(s, "tor")
		return p.Problem == notYet && p.Address == r.v4, p
	})
	s.Suspend(map[bgp.SessionKey]bgp.Problem{key("tor"): stillNot})
	eventually(t, "the other reason in the status", func() (bool, any) {
		p := status(s, "tor")
		return p.Problem == stillNot, p
	})
	s.Suspend(nil)
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	established(t, s, "tor")
	s.Suspend(map[bgp.SessionKey]bgp.Problem{key("tor"): notAnyMore, key("other"): notYet})
	r.has(nil)
	eventually(t, "the reason in the status", func() (bool, any) {
		p := status(s, "tor")
		return p.Problem == notAnyMore && p.State == bgp.Connect && p.Flaps == 1, p
	})
	s.Suspend(nil)
	established(t, s, "tor")
	if n := r.neighbor(r.node4.String()); n.Established != 2 {
		t.Errorf("the router has seen %d sessions", n.Established)
	}
}

func TestASessionThatIsResetIsLostAlsoForARouterThatWouldKeepItsRoutes(t *testing.T) {
	t.Parallel()
	r := newRouter(t, plain()...)
	s := newSpeaker(t, false)
	run(t, s)
	s.Set(alone(r.graceful()), nil)
	s.Reset(key("tor"), dead)
	s.Reset(key("other"), dead)
	established(t, s, "tor")
	s.Set(alone(r.graceful()), say(both))
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
	if p := status(s, "tor"); p.Flaps != 0 {
		t.Errorf("a session was lost: %+v", p)
	}
	gone := r.changes()
	s.Reset(key("tor"), dead)
	for u := range gone {
		if u.Type == unix.RTM_DELROUTE {
			break
		}
	}
	eventually(t, "another session", func() (bool, any) {
		p := status(s, "tor")
		return p.State == bgp.Established && p.Flaps == 1, p
	})
	r.has(map[string]string{"198.51.100.1/32": "NODE", "2001:db8:ff::1/128": "NODE6"})
}
