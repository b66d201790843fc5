package plan

import "net/netip"

// AdvertisementVerdict is whether an advertisement that is in force selects an address, and why not.
type AdvertisementVerdict struct {
	Name string
	// Reason is OtherPool or OtherService; "" if the advertisement selects the address.
	Reason Reason
}

// Advertisements says of every L2Advertisement that is in force, as of the last plan and sorted by name,
// whether it selects an address of Services.
func (p *Layer2Planner) Advertisements(ip netip.Addr) []AdvertisementVerdict {
	return p.matcher.verdicts(ip, p.view.byAddress[ip])
}

// NodeReason is why a node announces nothing at all on layer 2, as of the last plan, or only what no
// other can; "" if neither is so.
func (p *Layer2Planner) NodeReason(node string) Reason {
	m, found := p.member(node)
	switch {
	case !found:
		return NoAnnouncer
	case m.barred != "":
		return m.barred
	}
	return m.reluctant
}

// Advertisements says of every BGPAdvertisement that is in force, as of the last plan and the oldest
// first, whether it selects an address of Services.
func (p *BGPPlanner) Advertisements(ip netip.Addr) []AdvertisementVerdict {
	return p.matcher.verdicts(ip, p.view.byAddress[ip])
}

func (m *matcher) verdicts(ip netip.Addr, services []*service) (verdicts []AdvertisementVerdict) {
	pool := poolOf(m.pools, ip)
	for _, s := range m.selections {
		v := AdvertisementVerdict{Name: s.name, Reason: OtherPool}
		if pool != nil && s.selectsPool(pool) {
			v.Reason = OtherService
			for _, of := range services {
				if s.selectsService(of.labels) {
					v.Reason = ""
				}
			}
		}
		verdicts = append(verdicts, v)
	}
	return verdicts
}
