// Command demo shows what a user does with Clarion on a bare-metal cluster, from an empty cluster to
// a node that dies, by layer 2 and then by BGP, with the real commands and their real output.
//
//	demo           cleans up at its end
//	demo --keep    leaves the cluster up and says how to use it
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

const (
	name    = "demo"
	address = "192.168.10.222"
	samples = "manifests/samples/"
	// aftermath is how long the client goes on measuring once it gets answers again.
	aftermath = 3 * time.Second
)

func main() {
	keep := flag.Bool("keep", false, "leave the cluster up")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGINT, unix.SIGTERM)
	defer stop()
	if err := run(ctx, *keep); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// demo is a run of the demonstration on a cluster.
type demo struct {
	*cluster.Cluster
	ctx  context.Context
	keep bool
	// err is the first error. Nothing is done after it.
	err error
}

func run(ctx context.Context, keep bool) (err error) {
	root, err := setup.Checkout()
	if err != nil {
		return err
	}
	if err := os.Chdir(root); err != nil { // the paths of the manifests are relative to it
		return err
	}
	fmt.Println("\n# A cluster of three nodes, with a client and a router on the same LAN, in network namespaces of this machine.")
	c, err := cluster.Start(ctx, cluster.Config{Name: name, Nodes: 3, Progress: os.Stdout, Detached: keep})
	if err != nil {
		return err
	}
	d := &demo{Cluster: c, ctx: ctx, keep: keep}
	d.play()
	switch {
	case d.err != nil:
		fmt.Println("The logs are in", c.LogDir())
	case keep:
		d.explain()
		return nil
	default:
		d.say("That is all. The cluster is taken down.")
	}
	if err := c.Stop(); d.err == nil {
		return err
	}
	return d.err
}

func (d *demo) play() {
	d.kubectl("get nodes")

	d.say("Clarion: the cloud-controller-manager, and an announcer on every node.")
	d.kubectl("apply --kustomize manifests")
	d.kubectl("--namespace kube-system rollout status deployment/clarion-cloud-controller-manager --timeout=120s")
	d.kubectl("--namespace clarion-system rollout status daemonset/announcer --timeout=120s")

	d.say("The addresses that Services may have, and leave to announce them on the LAN.")
	d.kubectl("apply --filename " + samples + "pool.yaml --filename " + samples + "l2advertisement.yaml")

	d.say("An application, and a Service that wishes for " + address + ".")
	d.kubectl("apply --filename " + samples + "deployment.yaml --filename " + samples + "service.yaml")
	d.kubectl("rollout status deployment/myapp --timeout=120s")
	d.kubectl("wait service/myapp --for=jsonpath={.status.loadBalancer.ingress[0].ip}=" + address + " --timeout=60s")
	d.kubectl("get svc")

	d.say("The client, which is not part of the cluster, gets its page, each time from any of the pods.")
	d.await(d.Client, address)
	for range 3 {
		d.on(d.Client, "curl --silent --show-error --fail http://"+address+"/")
	}

	d.say("A second Service, without a wish, gets an address of its own.")
	d.kubectl("apply --filename " + samples + "service-any-address.yaml")
	d.kubectl("wait service/myapp-2 --for=condition=clarionlb.io/AddressAssigned --timeout=60s")
	d.kubectl("get svc")
	second := d.output("get svc myapp-2 --output=jsonpath={.status.loadBalancer.ingress[0].ip}")
	d.await(d.Client, second)
	d.on(d.Client, "curl --silent --show-error --fail http://"+second+"/")
	d.kubectl("get ipaddresspools")

	d.say("Each address is answered for by one node.")
	d.kubectl("get announcers")
	owner := d.loseOwner()
	d.powerOn(owner)
	d.route()
}

// loseOwner powers off the node that answers for the address, shows what the client notices, and
// returns the node's name.
func (d *demo) loseOwner() string {
	owner := d.owner()
	if d.err != nil {
		return ""
	}
	d.say(fmt.Sprintf("%s answers for %s. The client now opens a fresh connection every few milliseconds, and %s loses its power.", owner, address, owner))
	report, off, recovered := d.lose(owner, d.Client, address)
	d.kubectl("get announcers")
	d.narrate(report, off, recovered)
	return owner
}

// lose powers off a node. It returns what a client saw, when the power went, and the first
// connection after that which was answered.
func (d *demo) lose(node string, from *network.Host, address string) (report network.Report, off time.Time, recovered network.Attempt) {
	if d.err != nil {
		return
	}
	meter := from.Measure(netip.AddrPortFrom(netip.MustParseAddr(address), 80), network.MeterOptions{})
	defer func() { report = meter.Stop() }()
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	if _, d.err = meter.Await(ctx, network.Succeeded); d.err != nil {
		return
	}
	if d.err = d.Node(node).PowerOff(); d.err != nil {
		return
	}
	off = time.Now()
	if recovered, d.err = meter.Await(ctx, network.Succeeded); d.err != nil {
		return
	}
	select {
	case <-ctx.Done():
	case <-time.After(aftermath):
	}
	return
}

// narrate says what a client saw when a node died. Connections fail for two reasons: during the
// outage nobody answers for the address, and later kube-proxy still sends some to the pod of the
// dead node, until Kubernetes notices.
func (d *demo) narrate(report network.Report, off time.Time, recovered network.Attempt) {
	if d.err != nil {
		return
	}
	later, laterFailed := 0, 0
	for _, attempt := range report.Attempts {
		if attempt.Start.After(recovered.End) {
			later++
			if attempt.Err != nil {
				laterFailed++
			}
		}
	}
	fmt.Printf("\nlongest outage seen by the client: %d ms\n", report.LongestGap.Milliseconds())
	fmt.Printf("%s answers for the address now; the client's first page after the power went came %d ms later\n", d.owner(), recovered.End.Sub(off).Milliseconds())
	fmt.Printf("of the %d connections after that, %d failed: those went to the pod on the dead node, until Kubernetes notices\n", later, laterFailed)
}

// owner returns the node that owns the address: the one whose claim has the highest epoch.
func (d *demo) owner() string {
	out := d.output("get announcers --output=json")
	if d.err != nil {
		return ""
	}
	var announcers v1alpha1.AnnouncerList
	if d.err = json.Unmarshal([]byte(out), &announcers); d.err != nil {
		return ""
	}
	owner, highest := "", int64(0)
	for _, announcer := range announcers.Items {
		for _, claim := range announcer.Status.Layer2.Addresses {
			if claim.IP == address && claim.Epoch > highest {
				owner, highest = announcer.Name, claim.Epoch
			}
		}
	}
	if owner == "" {
		d.err = fmt.Errorf("no announcer claims %s", address)
	}
	return owner
}

// await waits until a client gets an answer: kube-proxy needs a moment to learn of a new address.
func (d *demo) await(from *network.Host, address string) {
	if d.err != nil {
		return
	}
	parsed, err := netip.ParseAddr(address)
	if err != nil {
		d.err = err
		return
	}
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	meter := from.Measure(netip.AddrPortFrom(parsed, 80), network.MeterOptions{})
	_, d.err = meter.Await(ctx, network.Succeeded)
	meter.Stop()
}

// kubectl shows a kubectl command and its output.
func (d *demo) kubectl(command string) {
	d.show("", "kubectl "+command, d.Control, d.KubectlCommand(strings.Fields(command)...))
}

// on shows a command on a host and its output.
func (d *demo) on(host *network.Host, command string) {
	if d.err == nil {
		d.show(host.Name, command, host, strings.Fields(command))
	}
}

// show runs a command on a host, and shows it, as it would be typed at a prompt, with its output.
func (d *demo) show(prompt, typed string, host *network.Host, command []string) {
	if d.err != nil {
		return
	}
	fmt.Printf("%s$ %s\n", prompt, typed)
	out, err := host.Run(d.ctx, command...)
	fmt.Println(strings.TrimRight(out, "\n"))
	d.err = err
}

// output returns what a kubectl command writes, without showing it.
func (d *demo) output(command string) string {
	if d.err != nil {
		return ""
	}
	out, err := d.Kubectl(d.ctx, strings.Fields(command)...)
	d.err = err
	return out
}

func (d *demo) explain() {
	d.say("The cluster stays up, with one node off. In another terminal, as root:")
	fmt.Printf(`  cd test
  go run ./cmd/cluster kubectl %[1]s get services
  go run ./cmd/cluster exec %[1]s client -- curl -s --max-time 5 http://%[2]s/
  go run ./cmd/cluster power-on %[1]s NODE
  go run ./cmd/cluster down %[1]s
Logs: %[3]s
`, name, address, d.LogDir())
}

// say says what comes next, unless nothing does.
func (d *demo) say(text string) {
	if d.err == nil {
		fmt.Printf("\n# %s\n", text)
	}
}
