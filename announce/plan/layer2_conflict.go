package plan

import (
	"net/netip"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

const (
	// conflictRetry is how long an address that a stranger had is left alone before it is tried again.
	conflictRetry = time.Minute
	// conflictExpiry is how long a stranger that was heard beside this node's own announcements is reported after it was
	// last heard.
	conflictExpiry = 5 * time.Minute
)

// Conflict is an address for which a stranger answers.
type Conflict struct {
	Address netip.Addr
	ConflictingHost
	Since time.Time
	// InUse says that the address was in use when the stranger was heard: it is announced nevertheless.
	InUse bool
	// next is when to ask again, or to forget a stranger that was heard beside this node.
	next time.Time
}

// ConflictingHost is a host that answers for an address and is none of the announcers.
type ConflictingHost struct {
	Interface string
	MAC       string
}

func readConflict(c v1alpha1.Layer2Conflict) (Conflict, bool) {
	ip, err := netip.ParseAddr(c.IP)
	return Conflict{Address: ip, ConflictingHost: ConflictingHost{c.Interface, c.MAC}, Since: c.Since.Time, InUse: c.InUse}, err == nil
}

func (c *Conflict) write() v1alpha1.Layer2Conflict {
	return v1alpha1.Layer2Conflict{
		IP:        c.Address.String(),
		Interface: c.Interface,
		MAC:       c.MAC,
		Since:     metav1.NewTime(c.Since.Truncate(time.Second)),
		InUse:     c.InUse,
	}
}

// probes adds to a plan the addresses of which to find out whether a stranger has them, and returns when to look again.
func (p *Layer2Planner) probes(plan *Layer2Plan, now time.Time) (wake time.Time) {
	plan.Probes = map[netip.Addr][]string{}
	for ip, o := range p.owned {
		switch {
		case o.tentative == nil || p.conflicts[ip] != nil:
		case !o.tentative.clear:
			plan.Probes[ip] = p.interfacesFor(ip)
		default:
			wake = Earlier(wake, o.tentative.until)
		}
	}
	for ip, c := range p.conflicts {
		switch {
		case c.next.After(now):
			wake = Earlier(wake, c.next)
		case c.InUse:
			delete(p.conflicts, ip)
			p.changed = true
		default:
			plan.Probes[ip] = []string{c.Interface}
		}
	}
	return wake
}

// ReportProbe tells the result of a trial: the stranger that has the address, or the zero Stranger if nobody answered. It returns
// whether the stranger is news.
func (p *Layer2Planner) ReportProbe(ip netip.Addr, host ConflictingHost, now time.Time) (c Conflict, news bool) {
	p.revisit[ip] = struct{}{}
	o := p.owned[ip]
	if host == (ConflictingHost{}) {
		if p.conflicts[ip] != nil && !p.conflicts[ip].InUse {
			delete(p.conflicts, ip)
			p.stale = true
		}
		if o != nil && o.tentative != nil {
			o.tentative.clear = true
		}
		return Conflict{}, false
	}
	return p.noteConflict(ip, host, false, now.Add(conflictRetry), now)
}

// ObserveConflict takes note of a stranger that answers for an address which the node announces. It returns whether that is news.
func (p *Layer2Planner) ObserveConflict(ip netip.Addr, host ConflictingHost, now time.Time) (c Conflict, news bool) {
	if _, announced := p.announced[ip]; !announced {
		return Conflict{}, false
	}
	return p.noteConflict(ip, host, true, now.Add(conflictExpiry), now)
}

func (p *Layer2Planner) noteConflict(ip netip.Addr, host ConflictingHost, inUse bool, next, now time.Time) (c Conflict, news bool) {
	known := p.conflicts[ip]
	if known == nil || known.ConflictingHost != host || known.InUse != inUse {
		known = &Conflict{Address: ip, ConflictingHost: host, Since: now, InUse: inUse}
		p.conflicts[ip] = known
		p.stale, news = true, true
	}
	known.next = next
	return *known, news
}
