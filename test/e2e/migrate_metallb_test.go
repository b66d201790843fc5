package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
	"github.com/clarionlb/clarion/test/metallb"
)

// metalLBClass is the class that MetalLB serves in clusters that have classes.
const metalLBClass = "metallb.io/lan"

// TestMovingAwayFromMetalLBWhileItRuns has MetalLB itself serve Services, on nodes that are excluded from load balancers by label,
// while clients use them. What the clients saw is logged.
func TestMovingAwayFromMetalLBWhileItRuns(t *testing.T) {
	programs := metallb.Found(t, "METALLB_BIN")
	t.Run("Services without a class", func(t *testing.T) { testMovingClassless(newMoving(t, programs)) })
	t.Run("Services of a class that Clarion serves from then on", func(t *testing.T) {
		testMovingByFlag(newMoving(t, programs, "--lb-class="+metalLBClass))
	})
	t.Run("Services of a class that are made anew", func(t *testing.T) { testMovingAnew(newMoving(t, programs, "--lb-class="+metalLBClass)) })
}

// moving is a cluster with MetalLB.
type moving struct {
	*deployment
	// had is what MetalLB has given the Services.
	had map[string]netip.Addr
	// meters are fresh connections of clients, and sessions connections that stay open.
	meters   map[string]*network.Meter
	sessions map[string]*network.Session
	record   string
}

func newMoving(t *testing.T, programs metallb.Folder, arguments ...string) *moving {
	t.Helper()
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 3, Images: programs.Images()}))
	programs.Install(t, d.Cluster, append(arguments, "--ignore-exclude-lb")...)
	d.kubectl("label", "nodes", "--all", "node.kubernetes.io/exclude-from-external-load-balancers=")
	d.applyYAML(metallb.Pool("192.168.10.240-192.168.10.249"))
	d.StartApp(t)
	return &moving{
		deployment: d, had: map[string]netip.Addr{}, meters: map[string]*network.Meter{}, sessions: map[string]*network.Session{},
		record: filepath.Join(t.TempDir(), "record"),
	}
}

// served waits until MetalLB serves Services.
func (m *moving) served(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.had[name] = m.awaitAddress(name)
	}
	for _, name := range names {
		if m.service(name).Spec.Ports[0].Protocol != "UDP" {
			m.awaitAnswer(m.Client, m.had[name])
			m.awaitAnswer(m.FarClient, m.had[name])
		}
	}
}

// clarion installs Clarion, or has it run with other flags.
func (m *moving) clarion(flags, controllerFlags []string) {
	m.t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		m.t.Fatal(err)
	}
	dir := m.t.TempDir()
	source, err := filepath.Rel(dir, filepath.Join(root, "manifests"))
	if err != nil {
		m.t.Fatal(err)
	}
	text := fmt.Sprintf("resources: [%s]\npatches:\n", source)
	for kind, flags := range map[string][]string{"Deployment": slices.Concat(flags, controllerFlags), "DaemonSet": flags} {
		text += "- target: {kind: " + kind + "}\n  patch: |\n"
		for _, f := range flags {
			text += fmt.Sprintf("    - {op: add, path: /spec/template/spec/containers/0/args/-, value: %q}\n", f)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		m.t.Fatal(err)
	}
	m.apply(dir)
	m.AwaitReady(m.t)
}

// measure has clients use Services from now on.
func (m *moving) measure(names ...string) {
	m.t.Helper()
	for _, name := range names {
		for _, client := range []*network.Host{m.Client, m.FarClient} {
			use, target := name+" from "+client.Name, netip.AddrPortFrom(m.had[name], 80)
			meter := client.Measure(target, network.MeterOptions{Interval: 20 * time.Millisecond, Timeout: 5 * time.Second})
			m.t.Cleanup(func() { meter.Stop() })
			m.awaitSuccess(meter)
			session, err := client.Talk(target)
			if err != nil {
				m.t.Fatal(err)
			}
			m.t.Cleanup(func() { session.Stop() })
			m.meters[use], m.sessions[use] = meter, session
		}
	}
}

// loss is what clients may lose.
type loss int

const (
	nothing loss = iota
	// openOnes are connections that are open just when their address goes back to a node of MetalLB: that does not know them, and
	// relays nothing. All others are answered.
	openOnes
	anything
)

// saw ends the measurement and logs what clients saw during something. It fails the test if more was lost than may be.
func (m *moving) saw(during string, may loss) {
	m.t.Helper()
	for _, use := range slices.Sorted(maps.Keys(m.meters)) {
		m.awaitSuccess(m.meters[use])
		report := m.meters[use].Stop()
		m.t.Logf("%s, %s: %s", during, use, report)
		lost := slices.ContainsFunc(report.Attempts, func(a network.Attempt) bool {
			return a.Err != nil && may < anything && (may < openOnes || !errors.Is(a.Err, syscall.ECONNRESET))
		})
		if lost {
			m.t.Errorf("%s, %s: %s", during, use, report)
		}
		if answers, err := m.sessions[use].Stop(); err == nil {
			m.t.Logf("%s, an open connection of %s: %d answers", during, use, answers)
		} else if may < openOnes {
			m.t.Errorf("%s, an open connection of %s: %v after %d answers", during, use, err, answers)
		}
	}
	clear(m.meters)
	clear(m.sessions)
}

// keeps checks that every Service has the addresses that MetalLB gave it, and says whether they are Clarion's.
func (m *moving) keeps(when string, ours ...string) {
	m.t.Helper()
	for name, address := range m.had {
		service := m.service(name)
		if got := addresses(service); !slices.Equal(got, []netip.Addr{address}) {
			m.t.Errorf("%s, %s has %v in place of %s", when, name, got, address)
		}
		m.eventually(name+" to say whose it is "+when, func(context.Context) error {
			said := assignedCondition(m.service(name))
			if slices.Contains(ours, name) != (said != nil && said.Status == metav1.ConditionTrue) {
				return fmt.Errorf("it says %v", said)
			}
			return nil
		})
	}
}

// announced waits until Clarion announces what MetalLB has given out.
func (m *moving) announced(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.awaitAnnounced(name, v1alpha1.ReasonAnnounced, ".*")
	}
}

// stop removes MetalLB in the order that the plan gives.
func (m *moving) stop() {
	m.t.Helper()
	namespace := "--namespace=" + metallb.Namespace
	gone := func(component string) {
		m.eventually("no "+component+" to run", func(context.Context) error {
			if left := m.kubectl("get", "pods", namespace, "--selector=component="+component, "--output=name"); left != "" {
				return errors.New(left)
			}
			return nil
		})
	}
	m.kubectl("scale", namespace, "deployment/controller", "--replicas=0")
	gone("controller")
	m.kubectl("delete", namespace, "l2advertisements.metallb.io", "--all")
	for _, name := range m.names() {
		m.awaitSoleOwner(m.had[name])
	}
	m.kubectl("delete", namespace, "daemonset", "speaker")
	gone("speaker")
	m.kubectl("delete", "namespace", metallb.Namespace, "--timeout=120s")
}

func (m *moving) names() []string { return slices.Sorted(maps.Keys(m.had)) }

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
	m.stop()
	for _, name := range used {
		m.awaitSoleOwner(m.had[name])
	}
	m.keeps("without MetalLB", m.names()...)
	m.clarion(ignore, nil)
	m.loadBalancer("new", nil)
	if got := m.awaitAddress("new"); slices.Contains(slices.Collect(maps.Values(m.had)), got) {
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
	m.stop()
	for _, name := range m.names() {
		m.awaitSoleOwner(m.had[name])
	}
	m.keeps("without MetalLB", m.names()...)
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
	m.stop()
	for _, name := range m.names() {
		m.awaitSoleOwner(m.had[name])
	}
	m.keeps("without MetalLB", m.names()...)
	m.saw("the removal of MetalLB", nothing)
}
