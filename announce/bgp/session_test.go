package bgp

import "testing"

func TestRoutesReachTheKernelOfTheRouterAndLeaveIt(t *testing.T) {
	r := router(t, "neighbor 192.0.2.2 remote-as 65000")
	s := newSpeaker(t, false)
	run(t, s)
	peers := map[string]Peer{"tor": node}
	s.Set(peers, map[string][]Route{"tor": routes(nil, "198.51.100.1/32", "198.51.100.2/32")})
	r.has(map[string]string{"198.51.100.1/32": "192.0.2.2", "198.51.100.2/32": "192.0.2.2"})
	s.Set(peers, map[string][]Route{"tor": routes(nil, "198.51.100.2/32", "198.51.100.3/32")})
	r.has(map[string]string{"198.51.100.2/32": "192.0.2.2", "198.51.100.3/32": "192.0.2.2"})
	s.Set(nil, nil)
	r.has(nil)
}
