package announce

import (
	"context"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"net/netip"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiruntime "k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/notify"
)

// TestHollowAnnouncers runs hollow announcers until it is interrupted: all that an announcer does with the API, and the loops and
// plans of both protocols, without a network. They are in one process and see each other. The benchmarks in test/bench run it:
//
//	HOLLOW_KUBECONFIG=admin.conf HOLLOW_COUNT=200 HOLLOW_BIND=127.0.0.1:6060 go test -run TestHollowAnnouncers -timeout 0 ./announce
//
// /debug/pprof and /ready are served at HOLLOW_BIND.
func TestHollowAnnouncers(t *testing.T) {
	kubeconfig := os.Getenv("HOLLOW_KUBECONFIG")
	if kubeconfig == "" {
		t.Skip("HOLLOW_KUBECONFIG names no cluster")
	}
	count, err := strconv.Atoi(os.Getenv("HOLLOW_COUNT"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt)
	defer stop()
	gossip := newFakeGossip(&journal{})
	var all []*Announcer
	ended := make(chan error, count)
	for i := range count {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err != nil {
			t.Fatal(err)
		}
		a := newHollow(t, config, fmt.Sprintf("hollow-%03d", i), i, gossip)
		all = append(all, a)
		go func() { ended <- a.Run(ctx) }()
	}
	http.HandleFunc("/ready", func(w http.ResponseWriter, _ *http.Request) {
		for _, a := range all {
			if !a.Ready() {
				http.Error(w, a.node+" is not ready", http.StatusServiceUnavailable)
				return
			}
		}
	})
	http.HandleFunc("/gc", func(http.ResponseWriter, *http.Request) { runtime.GC() })
	go func() { _ = http.ListenAndServe(os.Getenv("HOLLOW_BIND"), nil) }()
	for range count {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

// newHollow makes a Node and its announcer, with connections of its own to the API server.
func newHollow(t *testing.T, config *rest.Config, name string, number int, gossip *fakeGossip) *Announcer {
	config.QPS, config.UserAgent = -1, "hollow"
	config.Dial = (&net.Dialer{}).DialContext
	clarion := versioned.NewForConfigOrDie(config)
	builtin := rest.CopyConfig(config)
	builtin.ContentType = apiruntime.ContentTypeProtobuf
	builtin.AcceptContentTypes = apiruntime.ContentTypeProtobuf + "," + apiruntime.ContentTypeJSON
	client := kubernetes.NewForConfigOrDie(builtin)
	host := hollowHost{
		address: netip.AddrFrom4([4]byte{10, 100, byte(number >> 8), byte(number)}),
		mac:     net.HardwareAddr{2, 0, 0, 0, byte(number >> 8), byte(number)},
		ready:   make(chan struct{}), never: notify.New(),
	}
	if err := createHollowNode(t.Context(), client, name, host.address); err != nil {
		t.Fatal(err)
	}
	logger := klog.Logger{}
	watcher, pauses := kube.NewWatcher(client, clarion, name), liveness.NewPauseWatch(heartbeat.DefaultInterval)
	announcers := kube.NewAnnouncerClient(clarion.ClarionV1alpha1())
	events := kube.NewEvents(client, watcher, name, logger)
	slices := clarion.ClarionV1alpha1().ClaimSlices()
	status, cacheSync := kube.NewStatusWriter(name, announcers, watcher, logger), kube.NewCacheSync(announcers, watcher)
	status.UseClaimSlices(slices, watcher)
	cacheSync.UseClaimSlices(slices, watcher)
	watcher.OnClaims(name, status.Recheck)
	a := newAnnouncer(Config{Node: name, Registry: prometheus.NewRegistry(), Logger: logger}, parts{
		api: apiParts{
			watcher: watcher, layer2: watcher.Layer2, keys: kube.NewKeyWatcher(client), cacheSync: cacheSync,
			status: status, events: events,
			unanswered: kube.NewUnanswered(client, func() []*corev1.Service { return watcher.Unanswered("") }, events.Unanswered, ""),
			reachable:  func(ctx context.Context) bool { return kube.Answers(ctx, announcers, name) },
		},
		lan:           lanParts{links: host, responder: hollowResponder{host}, prober: hollowProber{host}, relayer: host, rejects: hollowRejects{}},
		checks:        hollowChecks{host},
		health:        &fakeHealth{changed: notify.New()},
		peering:       &hollowRouting{watcher.BGP, name},
		pauses:        hollowPauses{pauses},
		newMembers:    func(_ netip.Addr, key []byte) members { return gossip.newMember(name, key) },
		newHeartbeats: func(netip.Addr, func() [][]byte) heartbeats { return noHeartbeats{} },
	})
	return a
}

func createHollowNode(ctx context.Context, client kubernetes.Interface, name string, address netip.Addr) error {
	_, err := client.CoreV1().Nodes().Create(ctx, &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: name, Labels: map[string]string{"kubernetes.io/hostname": name, "hollow": "true"}},
		Spec:       corev1.NodeSpec{Unschedulable: true},
	}, metav1.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return err
	}
	patch := fmt.Sprintf(`{"status":{"addresses":[{"type":"InternalIP","address":%q}],"conditions":[{"type":"Ready","status":"True"}]}}`, address)
	_, err = client.CoreV1().Nodes().Patch(ctx, name, types.StrategicMergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
	return err
}

// hollowRouting plans routes, and has nobody to announce them to.
type hollowRouting struct {
	bgp  *kube.Subscription
	node string
}

func (*hollowRouting) Stuck() error { return nil }

func (r *hollowRouting) Run(ctx context.Context) error {
	view := plan.NewView()
	planner := plan.NewBGPPlanner(view, r.node)
	if !r.bgp.Wait(ctx) {
		return nil
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.bgp.Changed():
		}
		r.bgp.Apply(view)
		planner.Plan(time.Now())
	}
}
