package e2e

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/metallb"
)

// metalLBClass is the class that MetalLB serves in clusters that have classes.
const metalLBClass = "metallb.io/lan"

// TestMovingAwayFromMetalLBWhileItRuns has MetalLB itself serve Services, on nodes that are excluded from load balancers by label,
// while clients use them. What the clients saw is logged.
func TestMovingAwayFromMetalLBWhileItRuns(t *testing.T) {
	programs := metallb.Found(t, "METALLB_BIN")
	classed := "--lb-class=" + metalLBClass
	t.Run("Services without a class", func(t *testing.T) { testMovingClassless(newMoving(t, programs, onLAN)) })
	t.Run("Services of a class that Clarion serves from then on", func(t *testing.T) { testMovingByFlag(newMoving(t, programs, onLAN, classed)) })
	t.Run("Services of a class that are made anew", func(t *testing.T) { testMovingAnew(newMoving(t, programs, onLAN, classed)) })
	t.Run("Services of both families", func(t *testing.T) { testMovingOfBothFamilies(newMoving(t, programs, onLANOfBothFamilies)) })
	t.Run("Services that are announced by BGP", func(t *testing.T) { testMovingByBGP(newMoving(t, programs, onRouter)) })
}

func testMovingClassless(m *moving) {
	m.loadBalancer("front", nil)
	m.loadBalancer("nearby", local("myapp"))
	m.loadBalancer("dns", annotate("metallb.io/allow-shared-ip", "dns"))
	m.awaitAddress("dns")
	m.loadBalancer("dns-udp", all(annotate("metallb.io/allow-shared-ip", "dns"), annotate("metallb.io/loadBalancerIPs", m.awaitAddress("dns").String()), udp))
	m.loadBalancer("pinned", annotate("metallb.io/loadBalancerIPs", "192.168.10.248"))
	m.served("front", "nearby", "dns", "dns-udp", "pinned")
	used := []string{"front", "nearby", "dns", "pinned"}

	m.measure(used...)
	ignore := []string{"--ignore-exclude-label"}
	m.clarion(ignore, []string{"--require-load-balancer-class"})
	out := m.plugin(0, "migrate", "metallb")
	for _, want := range []string{"IPAddressPool lan", "L2Advertisement lan", "--ignore-exclude-label", "default/front", "default/dns-udp"} {
		if !strings.Contains(out, want) {
			m.t.Errorf("%q is missing in\n%s", want, out)
		}
	}
	m.keeps("after a dry run")
	m.saw("installing Clarion beside MetalLB, and a dry run", nothing)

	m.measure(used...)
	m.plugin(0, "migrate", "metallb", "--apply", "--canary=default/front", "--record="+m.record)
	m.announced("front")
	m.keeps("after the canary", "front")
	m.plugin(0, "migrate", "--rollback="+m.record)
	m.keeps("after its rollback")
	m.saw("the canary and its rollback", openOnes)

	m.measure(used...)
	m.plugin(0, "migrate", "metallb", "--apply", "--record="+m.record)
	m.announced(m.names()...)
	m.keeps("after the migration", m.names()...)
	m.saw("the migration", nothing)

	m.measure(used...)
	m.plugin(0, "migrate", "--rollback="+m.record)
	m.keeps("after the rollback")
	m.saw("the rollback", openOnes)

	m.measure(used...)
	m.plugin(0, "migrate", "metallb", "--apply", "--record="+m.record)
	m.announced(m.names()...)
	m.leave(used...)
	m.clarion(ignore, nil)
	m.loadBalancer("new", nil)
	if got := m.awaitAddress("new"); slices.Contains(m.addresses(m.names()...), got) {
		m.t.Errorf("a new Service has %s, which another one has", got)
	}
	m.keeps("with all that is new", m.names()...)
	m.saw("the migration once more, the removal of MetalLB, and new Services", nothing)
}

func testMovingByFlag(m *moving) {
	m.loadBalancer("front", class(metalLBClass))
	m.loadBalancer("nearby", all(class(metalLBClass), local("myapp")))
	m.served("front", "nearby")
	m.measure("front", "nearby")
	ignore, require := "--ignore-exclude-label", []string{"--require-load-balancer-class"}
	m.clarion([]string{ignore}, require)
	out := m.plugin(0, "migrate", "metallb", "--apply", "--record="+m.record)
	if !strings.Contains(out, "--load-balancer-class="+metalLBClass) {
		m.t.Errorf("it says\n%s", out)
	}
	m.keeps("before Clarion serves the class")
	m.clarion([]string{ignore, "--load-balancer-class=" + metalLBClass}, require)
	m.announced(m.names()...)
	m.keeps("when Clarion serves the class", m.names()...)
	m.leave(m.names()...)
	m.saw("the migration by flag, and the removal of MetalLB", nothing)
}

func testMovingAnew(m *moving) {
	m.loadBalancer("gone", class(metalLBClass))
	m.awaitAddress("gone")
	m.loadBalancer("front", class(metalLBClass))
	m.loadBalancer("nearby", all(class(metalLBClass), local("myapp")))
	m.served("front", "nearby")
	m.delete("gone") // so that what MetalLB gives out next is none of the others' addresses
	m.clarion([]string{"--ignore-exclude-label"}, []string{"--require-load-balancer-class"})
	for _, step := range []struct {
		name    string
		command []string
		ours    bool
	}{
		{"the migration of Services made anew", []string{"metallb", "--apply", "--recreate", "--record=" + m.record}, true},
		{"its rollback", []string{"--rollback=" + m.record}, false},
		{"the migration once more", []string{"metallb", "--apply", "--recreate", "--record=" + m.record}, true},
	} {
		m.measure(m.names()...)
		m.plugin(0, append([]string{"migrate"}, step.command...)...)
		var ours []string
		if step.ours {
			ours = m.names()
			m.announced(ours...)
		}
		for _, name := range m.names() {
			m.eventually("an address of "+name, func(context.Context) error {
				if len(addresses(m.service(name))) == 0 {
					return errors.New("it has none")
				}
				return nil
			})
		}
		m.keeps("after "+step.name, ours...)
		m.saw(step.name, anything)
	}
	m.measure(m.names()...)
	m.leave(m.names()...)
	m.saw("the removal of MetalLB", nothing)
}

func testMovingOfBothFamilies(m *moving) {
	both := families(require)
	m.loadBalancer("front", both)
	m.loadBalancer("nearby", all(both, local("myapp")))
	m.served("front", "nearby")
	m.measure("front", "nearby")
	ignore := []string{"--ignore-exclude-label"}
	m.clarion(ignore, []string{"--require-load-balancer-class"})
	m.plugin(0, "migrate", "metallb", "--apply", "--record="+m.record)
	m.announced(m.names()...)
	m.keeps("after the migration", m.names()...)
	m.leave(m.names()...)
	m.saw("the migration of both families, and the removal of MetalLB", nothing)
}

// testMovingByBGP has a router that accepts one session from a node, as most do.
func testMovingByBGP(m *moving) {
	var neighbors []string
	for _, node := range m.Nodes() {
		neighbors = append(neighbors, fmt.Sprintf(" neighbor %s peer-group nodes", node.Address("eth0", false)))
	}
	router := m.startRouter(neighbors...)
	m.loadBalancer("front", nil)
	m.loadBalancer("nearby", local("myapp"))
	m.served("front", "nearby")
	front := hostRoute(m.had["front"][0])
	router.awaitHops(front, "n1", "n2", "n3")

	m.measure("front", "nearby")
	m.clarion([]string{"--ignore-exclude-label"}, []string{"--require-load-balancer-class"})
	for _, arguments := range [][]string{{"metallb", "--apply", "--canary=default/front"}, {"--rollback=" + m.record}, {"metallb", "--apply"}} {
		if arguments[0] == "metallb" {
			arguments = append(arguments, "--record="+m.record)
		}
		m.plugin(0, append([]string{"migrate"}, arguments...)...)
	}
	m.keeps("after the migration", m.names()...)
	m.eventually("the router to refuse Clarion's sessions", func(context.Context) error {
		sessions := m.sessions("tor")
		if len(sessions) != len(m.Nodes()) {
			return fmt.Errorf("there are %d", len(sessions))
		}
		for name, session := range sessions {
			if session.State != v1alpha1.BGPConnecting || session.LastError == "" {
				return fmt.Errorf("%s has %+v", name, session)
			}
		}
		return nil
	})
	m.saw("the canary, its rollback and the migration", nothing)

	m.measure("front", "nearby")
	m.stop()
	router.awaitHops(front, "n1", "n2", "n3")
	m.announced(m.names()...)
	m.keeps("without MetalLB", m.names()...)
	m.saw("the removal of MetalLB's speakers node by node", openOnes)
}
