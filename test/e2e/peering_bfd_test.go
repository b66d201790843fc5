package e2e

import (
	"context"
	"fmt"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// testBFDOfEverySession turns BFD on for sessions of all kinds: with an address or a link-local
// neighbour, with the same router from two addresses, and over several hops. No session is lost by
// that.
func testBFDOfEverySession(p *peering) {
	before := map[string]map[string]v1alpha1.BGPSession{}
	peers := []string{"tor", "six", "wire", "source", "inside", "outside", "guarded"}
	for _, peer := range peers {
		before[peer] = p.sessions(peer)
		p.kubectl("patch", "bgppeer", peer, "--type=merge", `--patch={"spec":{"bfdProfile":"fast"}}`)
	}
	p.applyYAML(fastProfile)
	for _, peer := range peers {
		p.eventually("BFD with "+peer, func(context.Context) error {
			for node, session := range p.sessions(peer) {
				if was := before[peer][node]; session.State == v1alpha1.BGPEstablished && !session.Since.Equal(was.Since) {
					return fmt.Errorf("another session: %+v", session)
				}
				if session.State == v1alpha1.BGPEstablished && (session.BFD == nil || session.BFD.State != v1alpha1.BFDUp) {
					return fmt.Errorf("%s: %+v", node, session.BFD)
				}
			}
			return nil
		})
	}
	for _, peer := range peers {
		p.kubectl("patch", "bgppeer", peer, "--type=merge", `--patch={"spec":{"bfdProfile":null}}`)
	}
}
