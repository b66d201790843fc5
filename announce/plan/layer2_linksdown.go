package plan

import "time"

// linksDown are the nodes that have said that links of theirs are down, with until when that counts if the API does not say so.
type linksDown map[string]time.Time

// ObserveLinksDown takes note that interfaces of another node are down, as that node tells over another one: it can announce nothing
// there. The API says so a little later.
func (p *Layer2Planner) ObserveLinksDown(node string, interfaces []string, now time.Time) {
	if node != p.node && p.view.setLinksDown(node, interfaces) {
		p.linksDown[node] = now.Add(recordTimeout)
	}
}

// expire ends what the API has not said in time: the links may have been down for a moment alone. It returns whether there was anything
// and when there will be next.
func (l linksDown) expire(v *View, now time.Time) (expired bool, wake time.Time) {
	for name, until := range l {
		if now.Before(until) {
			wake = Earlier(wake, until)
			continue
		}
		v.restoreLinks(name)
		delete(l, name)
		expired = true
	}
	return expired, wake
}
