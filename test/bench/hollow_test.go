package bench

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/internal/claims"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// hollowUser is the user agent of hollow announcers.
const hollowUser = "hollow"

// fleet is a cluster of hollow announcers: all that announcers do with the API, and no network.
type fleet struct {
	*control
	audit     *audit
	count     int
	hollow    *network.Process
	processes map[string]*network.Process
}

// BenchmarkHollow has ANNOUNCERS hollow announcers (20) in a cluster that gets more and more Services: SERVICES (1000,2000), all at
// once up to each number. It logs what each step costs for each Service, by the audit log and the metrics of the API server, and the
// kernel.
func BenchmarkHollow(b *testing.B) {
	f := newFleet(b, number(b, "ANNOUNCERS", 20))
	sizes := sizes(b)
	for run := 0; b.Loop(); run++ {
		all, have := names(fmt.Sprintf("app-%d", run), slices.Max(sizes)), 0
		for _, size := range sizes {
			f.grow(all[:size], have)
			have = size
		}
		f.deleteServices(all[:have]...)
		f.awaitAnnounced(0)
	}
}

// sizes are the numbers of Services to measure with: SERVICES, or 1,000 and 2,000.
func sizes(b *testing.B) (all []int) {
	b.Helper()
	for _, text := range strings.Split(cmp.Or(os.Getenv("SERVICES"), "1000,2000"), ",") {
		size, err := strconv.Atoi(text)
		if err != nil {
			b.Fatal(err)
		}
		all = append(all, size)
	}
	return all
}

func number(b *testing.B, name string, otherwise int) int {
	b.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv(name), strconv.Itoa(otherwise)))
	if err != nil {
		b.Fatal(err)
	}
	return n
}

// newFleet starts the cluster. Its only node that runs has no announcer.
func newFleet(b *testing.B, count int) *fleet {
	b.Helper()
	audit, config := newAudit(b, cluster.Config{}, "admin")
	config.Flags["kube-controller-manager"] = []string{"--node-startup-grace-period=24h", "--node-monitor-grace-period=24h"} // nobody reports for the nodes
	f := &fleet{control: newControl(b, config), audit: audit, count: count}
	if _, err := f.Kubectl(b.Context(), "patch", "--namespace=clarion-system", "daemonset/announcer", "--type=merge",
		"--patch", `{"spec":{"template":{"spec":{"nodeSelector":{"no-node":"has-this"}}}}}`); err != nil {
		b.Fatal(err)
	}
	install.Eventually(b, "the announcer to end", func(ctx context.Context) error {
		list, err := f.Kubernetes().CoreV1().Pods("clarion-system").List(ctx, metav1.ListOptions{})
		if err == nil && len(list.Items) > 0 {
			err = fmt.Errorf("there is %s", list.Items[0].Name)
		}
		return err
	})
	if err := f.Clarion.ClarionV1alpha1().Announcers().Delete(b.Context(), "n1", metav1.DeleteOptions{}); err != nil {
		b.Fatal(err)
	}
	if err := f.ApplyYAML(b.Context(), "apiVersion: clarionlb.io/v1alpha1\nkind: L2Advertisement\nmetadata: {name: all}\nspec: {}\n"); err != nil {
		b.Fatal(err)
	}
	f.startHollow(buildHollow(b))
	f.processes = map[string]*network.Process{"cloud-controller-manager": f.process(), "announcers": f.hollow}
	for _, name := range []string{"kube-apiserver", "etcd"} {
		found, err := f.Control.Processes(name)
		if err != nil || len(found) != 1 {
			b.Fatalf("%s: %v, %v", name, found, err)
		}
		f.processes[name] = found[0]
	}
	return f
}

// buildHollow compiles the program of hollow announcers: a test of package announce.
func buildHollow(b *testing.B) string {
	b.Helper()
	root, err := setup.Checkout()
	if err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(b.TempDir(), "hollow.test")
	build := exec.CommandContext(b.Context(), "go", "test", "-c", "-o", program, "./announce")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, output)
	}
	return program
}

func (f *fleet) startHollow(program string) {
	f.b.Helper()
	const bind = "127.0.0.1:6060"
	var err error
	f.hollow, err = f.Control.Start(filepath.Join(f.LogDir(), "control", "hollow.log"), "env", "HOLLOW_KUBECONFIG="+f.Kubeconfig(),
		fmt.Sprint("HOLLOW_COUNT=", f.count), "HOLLOW_BIND="+bind, program, "-test.run=TestHollowAnnouncers", "-test.timeout=0")
	if err != nil {
		f.b.Fatal(err)
	}
	install.Eventually(f.b, "the hollow announcers", func(ctx context.Context) error {
		_, err := f.Control.Run(ctx, "curl", "--silent", "--show-error", "--fail", "http://"+bind+"/ready")
		return err
	})
}

// state is what has been used until a moment.
type state struct {
	at    time.Time
	mark  int64
	cpu   map[string]time.Duration
	bytes map[string]float64
}

func (f *fleet) state() state {
	s := state{at: time.Now(), mark: f.audit.mark(f.b), cpu: map[string]time.Duration{}, bytes: f.watched()}
	for name, p := range f.processes {
		s.cpu[name] = cpuTime(f.b, p)
	}
	return s
}

// watched is how many bytes the API server has sent to watches, by resource.
func (f *fleet) watched() map[string]float64 {
	f.b.Helper()
	metrics, err := f.Kubernetes().Discovery().RESTClient().Get().AbsPath("/metrics").DoRaw(f.b.Context())
	if err != nil {
		f.b.Fatal(err)
	}
	sent := map[string]float64{}
	lines := bufio.NewScanner(bytes.NewReader(metrics))
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), "} ")
		if !strings.HasPrefix(name, "apiserver_watch_events_sizes_sum{") {
			continue
		}
		for _, label := range strings.Split(name, ",") {
			if _, resource, is := strings.Cut(label, `resource="`); is {
				n, err := strconv.ParseFloat(value, 64)
				if err != nil {
					f.b.Fatal(err)
				}
				sent[strings.Trim(resource, `"`)] += n
			}
		}
	}
	return sent
}

// grow adds the Services from a number on, and logs what each of them costs, and what goes on when nothing changes.
func (f *fleet) grow(all []string, have int) {
	f.b.Helper()
	f.createEndpoints(all[have:])
	before := f.state()
	f.create("", all[have:]...)
	last := f.awaitServed(all...)
	f.awaitAnnounced(len(all))
	f.log(fmt.Sprintf("%d to %d Services: all have their address after %.1f s, all are announced after %.1f s", have, len(all),
		last.Sub(before.at).Seconds(), time.Since(before.at).Seconds()), before, max(len(all)-have, 1))
	time.Sleep(settling)
	before = f.state()
	time.Sleep(quiet)
	f.log(fmt.Sprintf("%d Services, nothing changes, in %s", len(all), quiet), before, 1)
	f.b.Logf("%d Services: memory of the cloud-controller-manager %.0f MiB, of all announcers %.0f MiB", len(all),
		residentMiB(f.b, f.processes["cloud-controller-manager"]), residentMiB(f.b, f.hollow))
}

// settling is how long conditions and events may still be written, and quiet how long it is counted what goes on after that.
const settling, quiet = 10 * time.Second, 20 * time.Second

// createEndpoints gives Services an EndpointSlice each, with an endpoint on the first hollow node.
func (f *fleet) createEndpoints(services []string) {
	f.b.Helper()
	forEach(f.b, services, func(ctx context.Context, name string) error {
		_, err := f.client.DiscoveryV1().EndpointSlices(metav1.NamespaceDefault).Create(ctx, &discoveryv1.EndpointSlice{
			ObjectMeta:  metav1.ObjectMeta{Name: name, Labels: map[string]string{discoveryv1.LabelServiceName: name}},
			AddressType: discoveryv1.AddressTypeIPv4,
			Endpoints:   []discoveryv1.Endpoint{{Addresses: []string{"10.99.0.1"}, NodeName: ptr.To("hollow-000")}},
		}, metav1.CreateOptions{})
		return err
	})
}

// awaitAnnounced waits until so many addresses are announced.
func (f *fleet) awaitAnnounced(want int) {
	f.b.Helper()
	ctx, cancel := context.WithTimeout(f.b.Context(), 10*time.Minute)
	defer cancel()
	for count := -1; count != want; time.Sleep(200 * time.Millisecond) {
		list, err := f.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			f.b.Fatalf("%d of %d addresses are announced: %v", count, want, err)
		}
		slices, err := f.Clarion.ClarionV1alpha1().ClaimSlices().List(ctx, metav1.ListOptions{ResourceVersion: "0"})
		if err != nil {
			f.b.Fatalf("%d of %d addresses are announced: %v", count, want, err)
		}
		count = 0
		for _, announcer := range list.Items {
			for _, claim := range claims.OfList(&announcer, slices) {
				if len(claim.Interfaces) > 0 {
					count++
				}
			}
		}
	}
}

// log logs what was used since a state, divided by a number.
func (f *fleet) log(what string, since state, by int) {
	f.b.Helper()
	now := f.state()
	text := &strings.Builder{}
	fmt.Fprintf(text, "%s\n", what)
	for _, name := range slices.Sorted(maps.Keys(now.cpu)) {
		used := now.cpu[name] - since.cpu[name]
		fmt.Fprintf(text, "  CPU of %s: %.3f s", name, used.Seconds())
		if name == "announcers" {
			fmt.Fprintf(text, ", %.3f s each", used.Seconds()/float64(f.count))
		}
		fmt.Fprintf(text, ", %.3f ms for each\n", float64(used.Microseconds())/1000/float64(by))
	}
	for _, resource := range slices.Sorted(maps.Keys(now.bytes)) {
		if sent := now.bytes[resource] - since.bytes[resource]; sent > 10_000 { // bookmarks are no change
			fmt.Fprintf(text, "  sent to watches of %s: %.2f MB, %.0f bytes for each\n", resource, sent/1e6, sent/float64(by))
		}
	}
	calls, err := f.audit.since(since.mark)
	if err != nil {
		f.b.Fatal(err)
	}
	counts := map[string]int{}
	for _, c := range calls {
		switch {
		case strings.HasPrefix(c.UserAgent, hollowUser):
			counts["announcers: "+c.String()]++
		case c.User.Username != "admin":
			counts["cloud-controller-manager: "+c.String()]++
		}
	}
	for _, call := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintf(text, "  %d × %s, %.3f for each\n", counts[call], call, float64(counts[call])/float64(by))
	}
	f.b.Log(text)
}
