package announced

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/loadbalancer"
)

func init() {
	// The error handler that slows repeated errors down remembers when the last one was, in real time.
	utilruntime.ErrorHandlers = utilruntime.ErrorHandlers[:1]
}

// world is a Controller over an API.
type world struct {
	*testing.T
	ctx        context.Context
	stop       context.CancelFunc
	kube       *fake.Clientset
	clarion    *clarionfake.Clientset
	allocator  *loadbalancer.Allocator
	controller *Controller
	events     *record.FakeRecorder
	elected    chan struct{}

	mu     sync.Mutex
	logged []string
}

func withController(t *testing.T, theirs, ours []runtime.Object, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{
			T: t, kube: fakeapi.Kube(theirs...), clarion: fakeapi.Clarion(ours...), allocator: loadbalancer.New(),
			events: record.NewFakeRecorder(10000), elected: make(chan struct{}),
		}
		logger := funcr.New(func(_, line string) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.logged = append(w.logged, line)
		}, funcr.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		w.ctx, w.stop = klog.NewContext(ctx, logger), cancel
		kube, clarion := informers.NewSharedInformerFactory(w.kube, 0), clarioninformers.NewSharedInformerFactory(w.clarion, 0)
		leases := deadnodes.NewInformer(w.kube)
		w.controller = New(Config{
			Informers: kube, ClarionInformers: clarion, Leases: leases, Kube: w.kube, Clarion: w.clarion, Allocator: w.allocator,
			Requeue: func(...types.NamespacedName) {}, Events: w.events, Conflicts: metrics.NewGauge(&metrics.GaugeOpts{Name: "conflicts"}), Logger: logger,
		})
		kube.Start(ctx.Done())
		clarion.Start(ctx.Done())
		go leases.RunWithContext(ctx)
		go func() {
			if w.controller.Follow(w.ctx, w.elected) {
				w.controller.Run(w.ctx)
			}
		}()
		test(w)
		cancel()
		time.Sleep(time.Minute)
	})
}

func (w *world) elect() {
	time.Sleep(time.Second) // the informers deliver
	close(w.elected)
	w.after(2 * time.Second)
}

// after lets time pass and everything happen that is due then.
func (w *world) after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// says is the Announced condition of the Service "web"; "" for none.
func (w *world) says() string {
	w.Helper()
	s, err := w.kube.CoreV1().Services("default").Get(w.ctx, "web", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	c := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced)
	if c == nil {
		return ""
	}
	return string(c.Status) + " " + c.Reason + ": " + c.Message
}

// patches counts what was written to Services.
func (w *world) patches() int { return fakeapi.Count(&w.kube.Fake, "patch", "services") }

func (w *world) change(change func(*corev1.Service)) {
	w.Helper()
	s, err := w.kube.CoreV1().Services("default").Get(w.ctx, "web", metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	change(s)
	if _, err := w.kube.CoreV1().Services("default").Update(w.ctx, s, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// set has an announcer say this of itself.
func (w *world) set(name string, change func(*v1alpha1.AnnouncerStatus)) {
	w.Helper()
	object := announcer(name)
	if change != nil {
		change(&object.Status)
	}
	if _, err := w.clarion.ClarionV1alpha1().Announcers().UpdateStatus(w.ctx, object, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
}

// served is the Service "web" with an address, and what it takes to announce it from n1 and n2.
func served(change func(*corev1.Service)) (theirs, ours []runtime.Object) {
	web := service("web", func(s *corev1.Service) {
		s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "192.0.2.5"}}
	})
	if change != nil {
		change(web)
	}
	node := func(name string) *corev1.Node { return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}} }
	theirs = []runtime.Object{web, node("n1"), node("n2"), announcerPod("n1", true, epoch, runs), announcerPod("n2", true, epoch, runs), &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "default", Name: "web-1", Labels: map[string]string{discoveryv1.LabelServiceName: "web"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Endpoints:   []discoveryv1.Endpoint{{NodeName: new("n1")}},
	}}
	ours = []runtime.Object{
		announcer("n1"), announcer("n2"),
		&v1alpha1.IPAddressPool{ObjectMeta: metav1.ObjectMeta{Name: "pool"}, Spec: v1alpha1.IPAddressPoolSpec{Addresses: []string{"192.0.2.0/24"}}},
	}
	return theirs, ours
}

var (
	layer2 = &v1alpha1.L2Advertisement{ObjectMeta: metav1.ObjectMeta{Name: "all"}}
	one    = map[string]int64{"192.0.2.5": 1}
)

// byBGP is what it takes to announce by BGP to two routers.
func byBGP() []runtime.Object {
	peer := func(name string) *v1alpha1.BGPPeer {
		return &v1alpha1.BGPPeer{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha1.BGPPeerSpec{MyASN: 65001, PeerASN: new(int64(65000)), PeerAddress: "192.0.2.1"}}
	}
	return []runtime.Object{peer("tor"), &v1alpha1.BGPAdvertisement{ObjectMeta: metav1.ObjectMeta{Name: "all", Generation: 1}}}
}

func TestWhoStandsByWritesNothingButKnowsInWhichOrderClaimsCame(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.after(time.Second)
		w.set("n2", claims(one, "eth0"))
		w.after(time.Second)
		w.set("n1", claims(one, "eth0"))
		w.after(time.Hour)
		if w.patches() != 0 {
			t.Error("it writes before it is elected")
		}
		w.elect()
		if got := w.says(); got != "True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z" {
			t.Error(got)
		}
	})
}

func TestAServiceThatIsAnnouncedSoonIsWrittenToOnce(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		time.Sleep(time.Second)
		close(w.elected)
		w.after(patience - time.Millisecond)
		if got := w.says(); got != "" {
			t.Errorf("it says too early: %s", got)
		}
		w.set("n1", claims(one, "eth0"))
		w.after(time.Minute)
		if got := w.says(); got != "True Announced: "+onN1 || w.patches() != 1 {
			t.Errorf("%s, after %d writes", got, w.patches())
		}
	})
	theirs, ours = served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		if got := w.says(); got != "False Pending: 192.0.2.5 is about to be announced" {
			t.Errorf("after %s it says %s", patience, got)
		}
	})
}

func TestAConditionThatCannotBeWrittenIsTriedAgain(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		patches := fakeapi.Fail(&w.kube.Fake, "patch", "services", errors.New("read only"))
		w.elect()
		if w.says() != "" || !slices.ContainsFunc(w.logged, func(line string) bool { return strings.Contains(line, "read only") }) {
			t.Errorf("it says %s, logged %q", w.says(), w.logged)
		}
		patches.Set(nil)
		w.after(10 * time.Minute)
		if got := w.says(); got != "False Pending: 192.0.2.5 is about to be announced" {
			t.Error(got)
		}
	})
}

func TestTheConditionIsTakenBackWhenItIsNotWanted(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		w.change(func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		w.after(time.Second)
		if got := w.says(); got != "" {
			t.Error(got)
		}
		if n := len(w.controller.conditions.wanted) + len(w.controller.conditions.told); n != 0 {
			t.Errorf("%d Services are remembered", n)
		}
		// Nothing is written to a Service that goes.
		w.change(func(s *corev1.Service) {
			s.Spec.Type, s.DeletionTimestamp = corev1.ServiceTypeLoadBalancer, new(metav1.Now())
		})
		before := w.patches()
		w.after(time.Minute)
		if w.patches() != before {
			t.Error("a Service that is being deleted is written to")
		}
	})
}

func TestFewerNodesAreReportedLateAndMoreOfThemSoon(t *testing.T) {
	const from1, from2 = "True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer", "True Announced: 192.0.2.5 is announced by BGP from 2 nodes to 1 peer"
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, byBGP()...), func(w *world) {
		w.set("n1", up("tor"))
		w.elect()
		if got := w.says(); got != from1 {
			t.Error(got)
		}
		w.set("n2", up("tor"))
		w.after(2 * patience)
		if got := w.says(); got != from2 {
			t.Error(got)
		}
		// A node that is back in time costs no write.
		before := w.patches()
		w.set("n2", nil)
		w.after(calm / 2)
		w.set("n2", up("tor"))
		w.after(2 * calm)
		if w.patches() != before {
			t.Errorf("%d writes for a node that was away for a moment", w.patches()-before)
		}
		w.set("n2", nil)
		w.after(calm / 2)
		if got := w.says(); got != from2 {
			t.Error(got)
		}
		w.after(calm)
		if got := w.says(); got != from1 {
			t.Error(got)
		}
		// What is not about counts does not wait.
		w.set("n1", func(status *v1alpha1.AnnouncerStatus) {
			up("tor")(status)
			hears(status, "192.0.2.5", "02:00:00:00:00:99")
		})
		w.after(2 * patience)
		if got := w.says(); !strings.HasPrefix(got, "False AddressConflict: ") {
			t.Error(got)
		}
	})
}

// saying gives a Service the condition of a former process.
func saying(status metav1.ConditionStatus, reason, message string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Status.Conditions = append(s.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionAnnounced, Status: status, Reason: reason, Message: message})
	}
}

// sayingSince is saying with a condition that has been so for some time when the test begins, by the
// clock of synctest.
func sayingSince(ago time.Duration, status metav1.ConditionStatus, reason, message string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		saying(status, reason, message)(s)
		s.Status.Conditions[len(s.Status.Conditions)-1].LastTransitionTime = metav1.NewTime(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(-ago))
	}
}

func TestAProcessThatTakesOverKnowsNothingOfWhatTheFormerOneWrote(t *testing.T) {
	const from1, from2 = "192.0.2.5 is announced by BGP from 1 node to 1 peer", "192.0.2.5 is announced by BGP from 2 nodes to 1 peer"
	t.Run("counts have time to settle", func(t *testing.T) {
		theirs, ours := served(saying(metav1.ConditionTrue, v1alpha1.ReasonAnnounced, from2))
		withController(t, theirs, append(ours, byBGP()...), func(w *world) {
			w.set("n1", up("tor"))
			w.elect()
			if w.patches() != 0 {
				t.Errorf("it says at once: %s", w.says())
			}
			w.after(calm)
			if got := w.says(); got != "True Announced: "+from1 {
				t.Error(got)
			}
		})
	})
	t.Run("what is so already becomes known", func(t *testing.T) {
		theirs, ours := served(saying(metav1.ConditionTrue, v1alpha1.ReasonAnnounced, from1))
		withController(t, theirs, append(ours, byBGP()...), func(w *world) {
			w.set("n1", up("tor"))
			w.elect()
			w.set("n2", up("tor"))
			w.after(2 * patience)
			if got := w.says(); got != "True Announced: "+from2 || w.patches() != 1 {
				t.Errorf("%s, after %d writes", got, w.patches())
			}
		})
	})
	t.Run("an address that has moved on layer 2 does not wait", func(t *testing.T) {
		theirs, ours := served(saying(metav1.ConditionTrue, v1alpha1.ReasonAnnounced, onN1))
		withController(t, theirs, append(ours, layer2), func(w *world) {
			w.set("n2", claims(one, "eth0"))
			w.elect()
			if got := w.says(); got != "True Announced: 192.0.2.5 is announced by n2 on eth0 since 2026-01-01T00:00:00Z" {
				t.Error(got)
			}
		})
	})
}

func TestWhatSomebodyElseWritesIntoTheConditionIsPutRight(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, byBGP()...), func(w *world) {
		w.set("n1", up("tor"))
		w.elect()
		w.change(func(s *corev1.Service) {
			meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced).Message = "so they say"
		})
		w.after(time.Second)
		if got := w.says(); got != "True Announced: 192.0.2.5 is announced by BGP from 1 node to 1 peer" {
			t.Error(got)
		}
	})
}

func TestAServiceSaysThatAHostFloodsItsAddressAndIsToldAtMostTwice(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		for n := range 100 {
			w.set("n1", func(status *v1alpha1.AnnouncerStatus) {
				hears(status, "192.0.2.5", "02:00:00:00:00:99")
				if n > 0 {
					status.Layer2.Conflicts[0].LastMAC = fmt.Sprintf("02:00:00:00:01:%02x", n)
				}
			})
			w.after(time.Second)
		}
		if got := len(w.events.Events); got > 2 {
			t.Errorf("told %d times", got)
		}
		w.after(patience)
		if got := w.says(); !strings.HasPrefix(got, "False AddressConflict: ") || !strings.Contains(got, "; the first was 02:00:00:00:00:99") {
			t.Errorf("says %q", got)
		}
	})
}

func TestAServiceIsToldOfAnotherHostOnce(t *testing.T) {
	heard := func(status *v1alpha1.AnnouncerStatus) { hears(status, "192.0.2.5", "02:00:00:00:00:99") }
	const want = "Warning AddressConflict 192.0.2.5: the host 02:00:00:00:00:99 on the network answers for it (heard by n1 on eth0); take it from that host, or exclude it from its pool"
	told := func(w *world) []string {
		return slices.DeleteFunc(w.told(), func(event string) bool { return !strings.Contains(event, v1alpha1.ReasonAddressConflict) })
	}
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		w.set("n1", heard)
		w.after(2 * patience)
		if got := told(w); len(got) != 1 || got[0] != want {
			t.Errorf("got %q", got)
		}
		w.set("n1", func(status *v1alpha1.AnnouncerStatus) {
			heard(status)
			status.Layer2.Conflicts[0].InUse = true
		})
		w.after(time.Minute)
		if got := told(w); len(got) != 0 {
			t.Errorf("is told again: %q", got)
		}
		w.set("n1", nil)
		w.after(time.Minute)
		w.set("n1", heard)
		w.after(time.Minute)
		if got := told(w); len(got) != 1 {
			t.Errorf("is not told of the host that is back: %q", got)
		}
	})
	// The conflict is known when the Service gets the address.
	var assigned corev1.ServiceStatus
	theirs, ours = served(func(s *corev1.Service) {
		assigned = s.Status
		s.Status = corev1.ServiceStatus{}
	})
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", heard)
		w.elect()
		w.change(func(s *corev1.Service) { s.Status = assigned })
		w.after(time.Minute)
		if got := told(w); len(got) != 1 || got[0] != want {
			t.Errorf("is told %q of a conflict that it came upon, want %q", got, want)
		}
	})
	// Of what was told before this process began, the Service's condition is what is known.
	theirs, ours = served(saying(metav1.ConditionFalse, v1alpha1.ReasonAddressConflict, "whoever it was"))
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", heard)
		w.elect()
		if got := told(w); len(got) != 0 {
			t.Errorf("is told again by another process: %q", got)
		}
	})
}

func TestBGPPeersAdvertisementsAndProfilesSayWhetherTheyAreUsed(t *testing.T) {
	theirs, ours := served(nil)
	profile := &v1alpha1.BFDProfile{ObjectMeta: metav1.ObjectMeta{Name: "fast", Generation: 1}}
	withController(t, theirs, append(append(ours, byBGP()...), profile), func(w *world) {
		api := w.clarion.ClarionV1alpha1()
		var updates []*fakeapi.Failure
		for _, resource := range []string{"bgppeers", "bgpadvertisements", "bfdprofiles"} {
			updates = append(updates, fakeapi.Fail(&w.clarion.Fake, "update", resource, errors.New("read only")))
		}
		ready := func() (reasons []string) {
			peer, err := api.BGPPeers().Get(w.ctx, "tor", metav1.GetOptions{})
			advertisement, err2 := api.BGPAdvertisements().Get(w.ctx, "all", metav1.GetOptions{})
			profile, err3 := api.BFDProfiles().Get(w.ctx, "fast", metav1.GetOptions{})
			if err := errors.Join(err, err2, err3); err != nil {
				t.Fatal(err)
			}
			for _, conditions := range [][]metav1.Condition{peer.Status.Conditions, advertisement.Status.Conditions, profile.Status.Conditions} {
				reason := ""
				if c := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady); c != nil {
					reason = c.Reason
				}
				reasons = append(reasons, reason)
			}
			return reasons
		}
		w.elect()
		if got := ready(); !slices.Equal(got, []string{"", "", ""}) {
			t.Errorf("they say %q", got)
		}
		for _, u := range updates {
			u.Set(nil)
		}
		w.after(5 * time.Second)
		if got := ready(); !slices.Equal(got, []string{"NoNodes", "Valid", "Valid"}) {
			t.Errorf("once they can be written they say %q", got)
		}
		w.set("n1", up("tor"))
		w.after(time.Second)
		if got := ready(); !slices.Equal(got, []string{"Valid", "Valid", "Valid"}) {
			t.Errorf("with a session they say %q", got)
		}
		before := fakeapi.Count(&w.clarion.Fake, "update", "bgppeers")
		w.set("n2", claims(one, "eth0"))
		w.after(time.Minute)
		if n := fakeapi.Count(&w.clarion.Fake, "update", "bgppeers"); n != before {
			t.Error("a status is written although nothing has changed")
		}
	})
}

func TestTimeAloneEndsTheGraceOfAnAnnouncer(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", claims(one, "eth0"))
		w.elect()
		w.set("n1", func(status *v1alpha1.AnnouncerStatus) {
			claims(one, "eth0")(status)
			status.Conditions[0] = metav1.Condition{
				Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonStopped, LastTransitionTime: metav1.Now(),
			}
		})
		w.after(30 * time.Second)
		if got := w.says(); got != "True Announced: "+onN1 {
			t.Error(got)
		}
		w.after(time.Minute)
		if got := w.says(); got != "False Pending: 192.0.2.5 is about to move away from n1, whose announcer is not in sight" {
			t.Error(got)
		}
	})
}

func TestNodesAreEvaluatedForWhatConcernsThem(t *testing.T) {
	before := &corev1.Node{Status: corev1.NodeStatus{Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: corev1.ConditionTrue}}}}
	beat := before.DeepCopy()
	beat.Status.Conditions[0].LastHeartbeatTime = metav1.Now()
	if nodeConcerns(before, beat) {
		t.Error("a heartbeat concerns the controller")
	}
	for name, change := range map[string]func(*corev1.Node){
		"a label":     func(n *corev1.Node) { n.Labels = map[string]string{"a": "b"} },
		"a taint":     func(n *corev1.Node) { n.Spec.Taints = []corev1.Taint{{Key: "a"}} },
		"a condition": func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionFalse },
	} {
		after := before.DeepCopy()
		if change(after); !nodeConcerns(before, after) {
			t.Errorf("%s does not concern the controller", name)
		}
	}
}
