package e2e

import (
	"os"
	"path/filepath"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// birdConfig is the configuration that docs/bgp.md shows, for n2, without the part that writes
// routes to the kernel.
const birdConfig = `
router id 192.168.10.12;
protocol device { }
protocol bgp clarion {
	local 127.0.0.1 as 65001;
	neighbor 127.0.0.1 as 64999;
	passive;
	multihop;
	ipv4 { import all; export none; };
	ipv6 { import all; export none; };
}
protocol bgp tor {
	local 192.168.10.12 as 65001;
	neighbor 192.168.10.1 as 65000;
	ipv4 { import none; export where proto = "clarion"; next hop self; };
	ipv6 { import none; export where proto = "clarion"; next hop self; };
}
`

// testLocalDaemon runs BIRD on a node, as some network plugins do. BIRD listens on port 179, and
// its session with the router is the only one from the node's address. The announcer has a session
// with BIRD.
func testLocalDaemon(p *peering) {
	n2 := p.Node("n2")
	p.applyYAML(bgpPeer("tor", append(torOfAll[:len(torOfAll):len(torOfAll)], onlyNode("n1"))...))
	p.near.awaitPathsFrom(p.web[0], "192.168.10.11", "192.168.10.111", "fd00:10::11", "fd00:10::12", wireLocal.String())
	dir := p.t.TempDir()
	config := filepath.Join(dir, "bird.conf")
	if err := os.WriteFile(config, []byte(birdConfig), 0o644); err != nil {
		p.t.Fatal(err)
	}
	bird, err := n2.Start(filepath.Join(p.LogDir(), n2.Name, "bird.log"), "/usr/sbin/bird", "-f", "-c", config, "-s", filepath.Join(dir, "bird.ctl"), "-P", filepath.Join(dir, "bird.pid"))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { bird.Kill() })
	p.applyYAML(bgpPeer("bird", "peerAddress: 127.0.0.1", "myASN: 64999", "peerASN: 65001", onlyNode("n2")))
	p.awaitSession(n2, "bird", v1alpha1.BGPEstablished, "")
	for _, route := range p.web {
		p.near.awaitAttributes(route, map[string]string{
			"192.168.10.11":    "65001, 0, 0,",
			"192.168.10.12":    "65001 64999, 0, 0,",
			"192.168.10.111":   "65031, 0, 0,",
			"fd00:10::11":      "65011, 0, 0,",
			"fd00:10::12":      "65011, 0, 0,",
			wireLocal.String(): "65021, 0, 0,",
		})
	}
}
