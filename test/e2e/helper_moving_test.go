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

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
	"github.com/clarionlb/clarion/test/metallb"
)

// moving is a cluster with MetalLB.
type moving struct {
	*deployment
	clients []*network.Host
	// had are the addresses that MetalLB has given the Services.
	had map[string][]netip.Addr
	// meters are fresh connections of clients, and open are connections that stay open.
	meters map[string]*network.Meter
	open   map[string]*network.Session
	record string
}

// announcing is how MetalLB announces the addresses of Services.
type announcing struct {
	families []corev1.IPFamily
	// objects are MetalLB's, in YAML.
	objects string
	// fromLAN says that a client on the nodes' LAN reaches the addresses there.
	fromLAN bool
}

var (
	onLAN               = announcing{objects: metallb.Pool("192.168.10.240-192.168.10.249"), fromLAN: true}
	onLANOfBothFamilies = announcing{
		families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol},
		objects:  metallb.Pool("192.168.10.240-192.168.10.249", "fd00:10::240-fd00:10::249"), fromLAN: true,
	}
	onRouter = announcing{objects: `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: routed, namespace: metallb-system}
spec: {addresses: [203.0.113.0/24]}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: routed, namespace: metallb-system}
spec: {ipAddressPools: [routed]}
---
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec: {myASN: 65001, peerASN: 65000, peerAddress: 192.168.10.1}
`}
)

func newMoving(t *testing.T, programs metallb.Folder, by announcing, arguments ...string) *moving {
	t.Helper()
	d := newDeployment(t, install.Bare(t, cluster.Config{Nodes: 3, Families: by.families, Images: programs.Images()}))
	programs.Install(t, d.Cluster, append(arguments, "--ignore-exclude-lb")...)
	d.kubectl("label", "nodes", "--all", "node.kubernetes.io/exclude-from-external-load-balancers=")
	d.applyYAML(by.objects)
	d.StartApp(t)
	m := &moving{
		deployment: d, clients: []*network.Host{d.FarClient}, had: map[string][]netip.Addr{}, meters: map[string]*network.Meter{},
		open: map[string]*network.Session{}, record: filepath.Join(t.TempDir(), "record"),
	}
	if by.fromLAN {
		m.clients = append(m.clients, d.Client)
	}
	return m
}

// served waits until MetalLB serves Services.
func (m *moving) served(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.had[name] = m.awaitAddressCount(name, len(m.service(name).Spec.IPFamilies))
	}
	for _, name := range names {
		if m.service(name).Spec.Ports[0].Protocol == "UDP" {
			continue
		}
		for _, address := range m.had[name] {
			for _, client := range m.clients {
				m.awaitAnswer(client, address)
			}
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
	for _, address := range m.addresses(names...) {
		for _, client := range m.clients {
			use, target := address.String()+" from "+client.Name, netip.AddrPortFrom(address, 80)
			meter := client.Measure(target, network.MeterOptions{Interval: 20 * time.Millisecond, Timeout: 5 * time.Second})
			m.t.Cleanup(func() { meter.Stop() })
			m.awaitSuccess(meter)
			session, err := client.Talk(target)
			if err != nil {
				m.t.Fatal(err)
			}
			m.t.Cleanup(func() { session.Stop() })
			m.meters[use], m.open[use] = meter, session
		}
	}
}

// loss is what clients may lose.
type loss int

const (
	nothing loss = iota
	// openOnes are connections that are open just when their packets go to another node: by a router, or to one of MetalLB, which
	// relays nothing. That node does not know them. All others are answered.
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
		answers, err := m.open[use].Stop()
		m.t.Logf("%s, an open connection of %s: %d answers, %v", during, use, answers, err)
		if err != nil && may < openOnes {
			m.t.Errorf("%s, an open connection of %s broke", during, use)
		}
	}
	clear(m.meters)
	clear(m.open)
}

// keeps checks that every Service has the addresses that MetalLB gave it, and says whether they are Clarion's.
func (m *moving) keeps(when string, ours ...string) {
	m.t.Helper()
	for name, had := range m.had {
		if got := addresses(m.service(name)); !slices.Equal(got, had) {
			m.t.Errorf("%s, %s has %v in place of %v", when, name, got, had)
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

// stop removes MetalLB in the words of the plan.
func (m *moving) stop() {
	m.t.Helper()
	commands := plannedCommands(m.t, m.plugin(0, "migrate", "metallb"))
	first := slices.IndexFunc(commands, func(c string) bool { return strings.Contains(c, " scale deployment controller ") })
	if first < 0 {
		m.t.Fatalf("no command stops the controller: %q", commands)
	}
	for _, command := range commands[first:] {
		if strings.HasPrefix(command, "helm ") { // is Clarion's
			continue
		}
		m.shell(command)
		switch {
		case strings.Contains(command, " scale "):
			m.gone("controller")
		case strings.Contains(command, " rollout status "), strings.Contains(command, " delete l2advertisements"):
			m.awaitSoleOwners(m.names()...)
		case strings.Contains(command, " delete daemonset "):
			m.gone("speaker")
		}
	}
}

// leave removes MetalLB. One node answers for each address of these Services then, and all keep what they had.
func (m *moving) leave(answered ...string) {
	m.t.Helper()
	m.stop()
	m.awaitSoleOwners(answered...)
	m.keeps("without MetalLB", m.names()...)
}

// gone waits until no pod of a component of MetalLB is left.
func (m *moving) gone(component string) {
	m.t.Helper()
	m.eventually("no "+component+" to run", func(context.Context) error {
		if left := m.kubectl("get", "pods", "--namespace="+metallb.Namespace, "--selector=component="+component, "--output=name"); left != "" {
			return errors.New(left)
		}
		return nil
	})
}

// awaitSoleOwners waits until one node answers for each address of Services.
func (m *moving) awaitSoleOwners(names ...string) {
	m.t.Helper()
	for _, address := range m.addresses(names...) {
		m.awaitSoleOwner(address)
	}
}

// addresses are those that MetalLB has given Services, each once.
func (m *moving) addresses(names ...string) (all []netip.Addr) {
	for _, name := range names {
		all = append(all, m.had[name]...)
	}
	slices.SortFunc(all, netip.Addr.Compare)
	return slices.Compact(all)
}

func (m *moving) names() []string { return slices.Sorted(maps.Keys(m.had)) }
