package why

import (
	"net/netip"
	"strings"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Address follows an address: whose it is, and by which nodes it is announced.
func Address(s *snapshot.State, ip netip.Addr) *Report {
	r := &Report{Kind: "Address", Name: ip.String()}
	use := Link{Name: "use", Address: ip.String(), Mark: Note, Sentence: s.Allocator.ExplainAddress(s.Time, ip)}
	services := s.Announced.Services(ip)
	for _, name := range services {
		use.Mark = OK
		use.Items = append(use.Items, Item{Name: name.String(), Mark: OK, Sentence: "has it by its status"})
	}
	for _, claim := range s.DoubleClaims {
		if claim.Address == ip {
			use.Items = append(use.Items, Item{claim.Loser.String(), Failed, "claims it too: " + claim.Winner.String() + " keeps it",
				"wait until it has another one: kubectl clarion why service/" + claim.Loser.String()})
			use.Mark = Failed
		}
	}
	r.add(use)
	if what := s.Announced.Conflicts()[ip]; what != "" {
		r.add(Link{Name: "conflict", Address: ip.String(), Mark: Failed, Sentence: what, Remedy: "find the host by its hardware address and take the address from it"})
	}
	for _, name := range services {
		service := s.Service(name)
		l := endpointsLink(s, service, addressesOf(service))
		l.Sentence = name.String() + ": " + l.Sentence
		r.add(l)
	}
	if len(services) == 0 {
		r.conclude(use.Sentence)
		return r
	}
	r.add(announcementLinks(s, ip)...)
	at := s.Announced.Address(s.Time, ip)
	r.conclude(strings.TrimSpace(at.Sentence))
	return r
}
