package announce

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

const (
	// lookAgain is how long an address that a stranger had is left alone before it is tried again.
	lookAgain = time.Minute
	// forgetStranger is how long a stranger that was heard beside this node's own announcements is reported after it was
	// last heard.
	forgetStranger = 5 * time.Minute
)

// conflict is an address for which a stranger answers.
type conflict struct {
	ip netip.Addr
	Stranger
	since time.Time
	// inUse says that the address was in use when the stranger was heard: it is announced nevertheless.
	inUse bool
	// next is when to ask again, or to forget a stranger that was heard beside this node.
	next time.Time
}

// Stranger is a host that answers for an address and is none of the announcers.
type Stranger struct {
	Interface string
	MAC       string
}

func readConflict(c v1alpha1.Layer2Conflict) (conflict, bool) {
	ip, err := netip.ParseAddr(c.IP)
	return conflict{ip: ip, Stranger: Stranger{c.Interface, c.MAC}, since: c.Since.Time, inUse: c.InUse}, err == nil
}

func (c *conflict) write() v1alpha1.Layer2Conflict {
	return v1alpha1.Layer2Conflict{
		IP:        c.ip.String(),
		Interface: c.Interface,
		MAC:       c.MAC,
		Since:     metav1.NewTime(c.since.Truncate(time.Second)),
		InUse:     c.inUse,
	}
}

// trials adds to a plan the addresses of which to find out whether a stranger has them, and returns when to look again.
func (p *Planner) trials(plan *Plan, now time.Time) (wake time.Time) {
	plan.Trials = map[netip.Addr][]string{}
	for ip, o := range p.owned {
		switch {
		case o.trial == nil || p.conflicts[ip] != nil:
		case !o.trial.clear:
			plan.Trials[ip] = p.interfacesFor(ip)
		default:
			wake = earlier(wake, o.trial.until)
		}
	}
	for ip, c := range p.conflicts {
		switch {
		case c.next.After(now):
			wake = earlier(wake, c.next)
		case c.inUse:
			delete(p.conflicts, ip)
			p.changed = true
		default:
			plan.Trials[ip] = []string{c.Interface}
		}
	}
	return wake
}

// Report tells the result of a trial: the stranger that has the address, or the zero Stranger if nobody answered. It returns
// whether the stranger is news.
func (p *Planner) Report(ip netip.Addr, stranger Stranger, now time.Time) (news bool) {
	p.again[ip] = struct{}{}
	o := p.owned[ip]
	if stranger == (Stranger{}) {
		if p.conflicts[ip] != nil && !p.conflicts[ip].inUse {
			delete(p.conflicts, ip)
			p.stale = true
		}
		if o != nil && o.trial != nil {
			o.trial.clear = true
		}
		return false
	}
	return p.meet(ip, stranger, false, now.Add(lookAgain), now)
}

// Overheard takes note of a stranger that answers for an address which the node announces. It returns whether that is news.
func (p *Planner) Overheard(ip netip.Addr, stranger Stranger, now time.Time) (news bool) {
	if _, announced := p.announces[ip]; !announced {
		return false
	}
	return p.meet(ip, stranger, true, now.Add(forgetStranger), now)
}

func (p *Planner) meet(ip netip.Addr, stranger Stranger, inUse bool, next, now time.Time) (news bool) {
	c := p.conflicts[ip]
	if c == nil || c.Stranger != stranger || c.inUse != inUse {
		c = &conflict{ip: ip, Stranger: stranger, since: now, inUse: inUse}
		p.conflicts[ip] = c
		p.stale, news = true, true
	}
	c.next = next
	return news
}
