package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// testGuides applies what guides show, word by word, on a cluster of one IP family.
func testGuides(d *deployment) {
	const beside, sharing = "../../docs/guides/beside-others.md", "../../docs/guides/sharing.md"
	d.scenario("a Service of Clarion's class beside another load balancer", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancer("foreign", class("example.com/other"))
		foreign := d.untouched("foreign")
		d.applyDocumented(beside, "loadBalancerClass: "+v1alpha1.LoadBalancerClass)
		d.awaitAddresses("shop", "192.0.2.0")
		foreign()
	})
	d.scenario("a Service that external-dns has a name for", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.applyDocumented(beside, "external-dns.alpha.kubernetes.io/hostname")
		d.awaitAddresses("shop", "192.0.2.0")
	})
	d.scenario("Services that share an address", func(d *deployment) {
		d.provide(pool("pool", "192.168.10.50-192.168.10.59"))
		d.applyDocumented(sharing, "name: dns-tcp")
		d.awaitSharing("dns-tcp", "192.168.10.53", "default/dns-udp")
		d.awaitSharing("dns-udp", "192.168.10.53", "default/dns-tcp")
	})
	d.scenario("Services that share an address of a pool for some namespaces", func(d *deployment) {
		d.applyDocumented(sharing, "sharing: Cluster")
		dns := d.within("dns")
		dns.applyDocumented(sharing, "name: dns-tcp")
		dns.awaitSharing("dns-tcp", "192.168.10.53", "dns/dns-udp")
		d.within("monitoring").loadBalancer("udp", all(udp, port(514), wish("192.168.10.53"), annotate("clarionlb.io/allow-shared-ip", "dns")))
		dns.awaitSharing("dns-tcp", "192.168.10.53", "dns/dns-udp", "monitoring/udp")
		d.loadBalancer("elsewhere", nil)
		d.awaitRefusal("elsewhere", "NoMatchingPool", "")
	})
}

// testDualStackGuide applies what the guide to both IP families shows.
func testDualStackGuide(d *deployment) {
	d.scenario("a Service with an address of each family", func(d *deployment) {
		const guide = "../../docs/guides/dual-stack.md"
		d.applyDocumented(guide, "kind: L2Advertisement")
		defer d.kubectl("delete", "l2advertisement", "public")
		d.applyDocumented(guide, "kind: Service")
		d.awaitAddresses("web", "192.168.10.210", "2001:db8:10::210")
	})
}

// lookingCommand is one by which documents have the user look at something, in a line of its own or in a sentence.
var lookingCommand = regexp.MustCompile("(?m)(?:`|^ *)(kubectl\\s+(?:--namespace \\S+\\s+)?(?:get|describe|explain)\\s+[a-z][^`\n|]*)")

// testLooking has the user look at everything at which documents have him look, with the names of this cluster.
func testLooking(d *deployment) {
	d.apply(samples + "service.yaml")
	names := strings.NewReplacer("bgppeer NAME", "bgppeers", "NAME", "myapp", "service web", "service myapp", "announcer NODE", "announcer n1", "node NODE", "node n1", "node-1", "n1")
	var commands []string
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/*/*.md"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			d.t.Fatal(err)
		}
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				d.t.Fatal(err)
			}
			for _, found := range lookingCommand.FindAllStringSubmatch(string(text), -1) {
				command, _, _ := strings.Cut(found[1], " #")
				commands = append(commands, names.Replace(strings.Join(strings.Fields(command), " ")))
			}
		}
	}
	slices.Sort(commands)
	if commands = slices.Compact(commands); len(commands) < 20 {
		d.t.Errorf("documents have only %q", commands)
	}
	for _, command := range commands {
		d.shell(command)
	}
}
