package withdrawal

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-logr/logr/funcr"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/record"
	"k8s.io/component-base/metrics"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarioninformers "github.com/clarionlb/clarion/client/informers"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

// world is a Controller over an API with nodes n1 to n4, each with an announcer, and pods on n4.
type world struct {
	*testing.T
	ctx    context.Context
	kube   *fake.Clientset
	events *record.FakeRecorder
	logged *atomic.Pointer[string] // the last line
	stop   context.CancelFunc
	start  func()
	// controller is the one that runs.
	controller *Controller
}

func withWorld(t *testing.T, test func(w *world), pods ...*corev1.Pod) {
	synctest.Test(t, func(t *testing.T) {
		theirs := []runtime.Object{service("default", map[string]string{"app": "web"})}
		var ours []runtime.Object
		for _, name := range []string{"n1", "n2", "n3", "n4"} {
			theirs = append(theirs, node(name, corev1.ConditionTrue))
			ours = append(ours, &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: name}})
		}
		for _, pod := range pods {
			theirs = append(theirs, pod)
		}
		w := &world{T: t, kube: fakeapi.Kube(theirs...), events: record.NewFakeRecorder(100), logged: &atomic.Pointer[string]{}}
		w.logged.Store(new(string))
		clarion := fakeapi.Clarion(ours...)
		w.start = func() {
			w.ctx, w.stop = context.WithCancel(t.Context())
			kube, own := informers.NewSharedInformerFactory(w.kube, 0), clarioninformers.NewSharedInformerFactory(clarion, 0)
			leases := deadnodes.NewInformer(w.kube)
			c := New(Config{Informers: kube, ClarionInformers: own, Leases: leases, Kube: w.kube, Events: w.events,
				Logger: funcr.New(func(_, line string) { w.logged.Store(&line) }, funcr.Options{}),
				Count:  metrics.NewCounterVec(&metrics.CounterOpts{Name: "n"}, []string{"result"})})
			w.controller = c
			kube.Start(w.ctx.Done())
			own.Start(w.ctx.Done())
			kube.WaitForCacheSync(w.ctx.Done())
			own.WaitForCacheSync(w.ctx.Done())
			go leases.RunWithContext(w.ctx)
			go c.Run(w.ctx)
			time.Sleep(time.Second)
			synctest.Wait()
		}
		w.start()
		test(w)
		w.stop()
		time.Sleep(time.Minute)
	})
}

func node(name string, ready corev1.ConditionStatus) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID("uid-" + name)}, Status: corev1.NodeStatus{
		Conditions: []corev1.NodeCondition{{Type: corev1.NodeReady, Status: ready}},
	}}
}

func service(namespace string, selector map[string]string) *corev1.Service {
	return &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "web"}, Spec: corev1.ServiceSpec{Selector: selector}}
}

// pod is one on n4 that is ready.
func pod(name string, edit func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID("uid-" + name)},
		Spec:       corev1.PodSpec{NodeName: "n4"},
		Status: corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{
			{Type: corev1.ContainersReady, Status: corev1.ConditionTrue}, {Type: corev1.PodReady, Status: corev1.ConditionTrue},
		}},
	}
	if edit != nil {
		edit(p)
	}
	return p
}

func condition(p *corev1.Pod, kind corev1.PodConditionType, status corev1.ConditionStatus, reason string) {
	for i := range p.Status.Conditions {
		if p.Status.Conditions[i].Type == kind {
			p.Status.Conditions[i].Status, p.Status.Conditions[i].Reason = status, reason
			return
		}
	}
	p.Status.Conditions = append(p.Status.Conditions, corev1.PodCondition{Type: kind, Status: status, Reason: reason})
}

// says has the announcer of a node record which nodes are dead, at once.
func (w *world) says(voter string, dead ...string) {
	w.Helper()
	record := deadnodes.Record{}
	for _, name := range dead {
		record[name] = time.Now()
	}
	leases := w.kube.CoordinationV1().Leases(deadnodes.Namespace)
	lease := record.Lease(metav1.OwnerReference{Kind: "Node", Name: voter}, time.Now())
	_, err := leases.Update(w.ctx, lease, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		_, err = leases.Create(w.ctx, lease, metav1.CreateOptions{})
	}
	if err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// all has the announcers of n1, n2 and n3 record the same.
func (w *world) all(dead ...string) {
	w.Helper()
	for _, voter := range []string{"n1", "n2", "n3"} {
		w.says(voter, dead...)
	}
}

func (w *world) setReady(name string, status corev1.ConditionStatus) {
	w.Helper()
	if _, err := w.kube.CoreV1().Nodes().UpdateStatus(w.ctx, node(name, status), metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// kubelet has the kubelet of a pod say whether it is ready.
func (w *world) kubelet(name string, status corev1.ConditionStatus, reason string) {
	w.Helper()
	p, err := w.kube.CoreV1().Pods("default").Get(w.ctx, name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	condition(p, corev1.PodReady, status, reason)
	if _, err := w.kube.CoreV1().Pods("default").UpdateStatus(w.ctx, p, metav1.UpdateOptions{}); err != nil {
		w.Fatal(err)
	}
	synctest.Wait()
}

// expect checks what a pod says of being ready.
func (w *world) expect(name, want string) {
	w.Helper()
	p, err := w.kube.CoreV1().Pods("default").Get(w.ctx, name, metav1.GetOptions{})
	if err != nil {
		w.Fatal(err)
	}
	ready := conditionOf(p, corev1.PodReady)
	if got := strings.TrimSpace(fmt.Sprint(ready.Status, " ", ready.Reason)); got != want {
		w.Errorf("%s is %s, want %s", name, got, want)
	}
}

// expectEvents checks which events there were since the last call, by their reasons.
func (w *world) expectEvents(want ...string) {
	w.Helper()
	synctest.Wait()
	var got []string
	for len(w.events.Events) > 0 {
		got = append(got, strings.Fields(<-w.events.Events)[1])
	}
	if !slices.Equal(got, want) {
		w.Errorf("the events are %v, want %v", got, want)
	}
}

func (w *world) patches() (count int) {
	for _, action := range w.kube.Actions() {
		if action.Matches("patch", "pods") || action.GetVerb() == "patch" && action.GetResource().Resource == "pods" {
			count++
		}
	}
	return count
}

const marked = "False NodeUnreachable"

func TestPodsOfADeadNodeAreMarkedAtOnceByTheWordOfAMajority(t *testing.T) {
	withWorld(t, func(w *world) {
		w.says("n1", "n4")
		w.says("n2", "n4")
		w.expect("web", "True")
		w.expectEvents()
		w.says("n3", "n4")
		w.expect("web", marked)
		w.expectEvents(eventWithdrawn)
		w.expect("elsewhere", "True")
	}, pod("web", nil), pod("elsewhere", func(p *corev1.Pod) { p.Spec.NodeName = "n3" }))
}

func TestWhichPodsAreMarked(t *testing.T) {
	now := metav1.NewTime(time.Unix(1, 0))
	for name, tt := range map[string]struct {
		edit func(*corev1.Pod)
		want string
	}{
		"of the host's network": {func(p *corev1.Pod) { p.Spec.HostNetwork = true }, marked},
		"of a DaemonSet":        {func(p *corev1.Pod) { p.OwnerReferences = []metav1.OwnerReference{{Kind: "DaemonSet"}} }, marked},
		"that terminate, and would serve if nobody else did": {func(p *corev1.Pod) { p.DeletionTimestamp, p.Finalizers = &now, []string{"a/b"} }, marked},
		"with a readiness gate":                              {func(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "a/b"}} }, marked},
		"that are not ready already":                         {func(p *corev1.Pod) { condition(p, corev1.PodReady, corev1.ConditionFalse, "ContainersNotReady") }, "False ContainersNotReady"},
		"that are done": {func(p *corev1.Pod) {
			p.Status.Phase = corev1.PodSucceeded
			condition(p, corev1.PodReady, corev1.ConditionFalse, "PodCompleted")
		}, "False PodCompleted"},
	} {
		t.Run(name, func(t *testing.T) {
			withWorld(t, func(w *world) {
				w.all("n4")
				w.expect("web", tt.want)
				if p, err := w.kube.CoreV1().Pods("default").Get(w.ctx, "web", metav1.GetOptions{}); err != nil || !isTrue(p, corev1.ContainersReady) || len(p.Status.Conditions) != 2 {
					w.Errorf("%v, %v", p.Status.Conditions, err)
				}
			}, pod("web", tt.edit))
		})
	}
}

func TestTooManyDeadNodesAtOnceAreLeftToKubernetes(t *testing.T) {
	withWorld(t, func(w *world) {
		// n3 is recorded first, and n4 a moment later.
		for _, voter := range []string{"n1", "n2", "n4"} {
			w.says(voter, "n3")
		}
		w.expectEvents(eventWithdrawn)
		w.says("n1", "n3", "n4")
		w.says("n2", "n3", "n4")
		w.says("n4", "n3")
		w.expect("web", "True") // two of four
		w.expectEvents()
	}, pod("web", nil))
}

func TestAVerdictThatWasWrongIsTakenBackAtOnce(t *testing.T) {
	withWorld(t, func(w *world) {
		w.all("n4")
		w.expect("web", marked)
		w.kubelet("broken", corev1.ConditionFalse, "ContainersNotReady")
		time.Sleep(time.Second)
		w.says("n2")
		w.expect("web", "True")
		w.expect("broken", "False ContainersNotReady")
		w.expect("before", "False NodeUnreachable") // not of this time
		w.expectEvents(eventWithdrawn, eventRestored)
	}, pod("web", nil), pod("broken", nil), pod("before", func(p *corev1.Pod) {
		condition(p, corev1.PodReady, corev1.ConditionFalse, v1alpha1.ReasonNodeUnreachable)
	}))
}

func TestOfANodeThatMayHaveBootedItsKubeletSaysWhichPodsAreReady(t *testing.T) {
	withWorld(t, func(w *world) {
		w.all("n4")
		time.Sleep(shortestBoot)
		w.all()
		w.expect("web", marked)
		w.kubelet("web", corev1.ConditionTrue, "")
		time.Sleep(time.Hour)
		w.expect("web", "True")
		w.expectEvents(eventWithdrawn)
	}, pod("web", nil))
}

func TestAClosedGateStaysClosed(t *testing.T) {
	withWorld(t, func(w *world) {
		w.all("n4")
		w.expect("web", marked)
		w.all()
		w.expect("web", marked) // its kubelet knows
	}, pod("web", func(p *corev1.Pod) { p.Spec.ReadinessGates = []corev1.PodReadinessGate{{ConditionType: "a/b"}} }))
}

func TestAKubeletThatCallsItsPodsReadyAgainIsBelieved(t *testing.T) {
	withWorld(t, func(w *world) {
		w.all("n4")
		w.expect("web", marked)
		w.kubelet("web", corev1.ConditionTrue, "")
		before := w.patches()
		w.says("n1", "n4", "n9") // any news about others
		time.Sleep(time.Hour)
		w.expect("web", "True")
		if n := w.patches(); n != before {
			w.Errorf("%d more writes", n-before)
		}
	}, pod("web", nil))
}

func TestANodeThatComesAndGoesIsLeftAloneForLongerAndLonger(t *testing.T) {
	withWorld(t, func(w *world) {
		for range 2 * 60 { // an hour
			w.all("n4")
			time.Sleep(15 * time.Second)
			w.all()
			w.kubelet("web", corev1.ConditionTrue, "")
			time.Sleep(15 * time.Second)
		}
		if n := w.patches(); n < 2 || n > 7 {
			w.Errorf("%d writes in an hour", n)
		}
	}, pod("web", nil))
}

func TestANodeOfWhichAVerdictWasWrongIsLeftAloneForAMinuteAtFirst(t *testing.T) {
	withWorld(t, func(w *world) {
		wrong := func() {
			t.Helper()
			w.all("n4")
			w.expect("web", marked)
			w.all()
			w.expect("web", "True")
		}
		wrong()
		time.Sleep(rest - time.Second)
		w.all("n4")
		w.expect("web", "True")
		w.all()
		time.Sleep(2 * time.Second)
		wrong()
		time.Sleep(2*rest - time.Second)
		w.all("n4")
		w.expect("web", "True")
		w.all()
		time.Sleep(2 * time.Second)
		wrong()
	}, pod("web", nil))
}

func TestTheEventSaysHowManyPodsAreReadyAgain(t *testing.T) {
	withWorld(t, func(w *world) {
		w.all("n4")
		<-w.events.Events
		w.all()
		if got := <-w.events.Events; !strings.Contains(got, "it answers again. 2 pods are ready again.") {
			t.Errorf("the event is %q", got)
		}
	}, pod("web", nil), pod("dns", nil))
}

func TestADeadNodeThatIsReadyForKubernetesAgainIsActedUponAtOnce(t *testing.T) {
	withWorld(t, func(w *world) {
		w.setReady("n4", corev1.ConditionUnknown)
		w.all("n4")
		w.expect("web", "True")
		w.setReady("n4", corev1.ConditionTrue)
		w.expect("web", marked)
	}, pod("web", nil))
}

func TestItIsSaidOnceThatNobodyRecordsAnything(t *testing.T) {
	for name, recorded := range map[string]bool{"nobody": false, "somebody": true} {
		t.Run(name, func(t *testing.T) {
			withWorld(t, func(w *world) {
				if recorded {
					w.says("n1")
				}
				time.Sleep(warningAfter)
				synctest.Wait()
				if got := strings.Contains(*w.logged.Load(), "No announcer records"); got == recorded {
					t.Errorf("it is said: %t", got)
				}
				w.logged.Store(new(string))
				time.Sleep(time.Hour)
				synctest.Wait()
				if got := *w.logged.Load(); got != "" {
					t.Errorf("later it is said: %s", got)
				}
			})
		})
	}
}

func TestANodeThatHasBootedWasDeadAndIsNotLeftAlone(t *testing.T) {
	withWorld(t, func(w *world) {
		for boot := range 3 {
			w.all("n4")
			w.expect("web", marked)
			time.Sleep(20 * time.Second)
			w.all()
			w.kubelet("web", corev1.ConditionTrue, "")
			booted := node("n4", corev1.ConditionTrue)
			booted.Status.NodeInfo.BootID = fmt.Sprint(boot)
			if _, err := w.kube.CoreV1().Nodes().UpdateStatus(w.ctx, booted, metav1.UpdateOptions{}); err != nil {
				w.Fatal(err)
			}
			synctest.Wait()
		}
	}, pod("web", nil))
}

func TestANewLeaderGoesOnWhereTheOldOneEnded(t *testing.T) {
	withWorld(t, func(w *world) {
		w.stop()
		w.ctx = w.Context()
		w.all("n4")
		w.expect("web", "True")
		time.Sleep(10 * time.Second)
		w.start()
		w.expect("web", marked)
		writes := w.patches()
		w.stop()
		synctest.Wait()
		w.start()
		w.expect("web", marked)
		if n := w.patches(); n != writes {
			w.Errorf("what is marked was marked again, %d times", n-writes)
		}
		// What was dead long ago Kubernetes knows, or its kubelet is alive.
		w.kubelet("web", corev1.ConditionTrue, "")
		w.stop()
		time.Sleep(2 * freshness)
		w.start()
		w.expect("web", "True")
	}, pod("web", nil))
}

func TestANodeThatKubernetesKnowsIsLeftToIt(t *testing.T) {
	withWorld(t, func(w *world) {
		w.setReady("n4", corev1.ConditionUnknown)
		w.all("n4")
		w.expect("web", "True")
		w.expectEvents()
	}, pod("web", nil))
}

func TestWhatCouldNotBeWrittenIsTriedAgainAndNotForEver(t *testing.T) {
	withWorld(t, func(w *world) {
		var mu sync.Mutex
		refused := 3
		w.kube.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			mu.Lock()
			defer mu.Unlock()
			refused--
			return refused >= 0, nil, apierrors.NewInternalError(errors.New("not now"))
		})
		w.all("n4")
		time.Sleep(5 * time.Second)
		w.expect("web", marked)
		w.expectEvents(eventWithdrawn)
	}, pod("web", nil))
	withWorld(t, func(w *world) {
		w.kube.PrependReactor("patch", "pods", func(clienttesting.Action) (bool, runtime.Object, error) {
			return true, nil, apierrors.NewForbidden(corev1.Resource("pods"), "web", errors.New("no"))
		})
		w.all("n4")
		time.Sleep(time.Hour)
		if n := w.patches(); n != tries {
			w.Errorf("%d tries, want %d", n, tries)
		}
	}, pod("web", nil))
}

func TestPodsOfServicesAreFirst(t *testing.T) {
	var pods []*corev1.Pod
	for i := range 110 {
		pods = append(pods, pod(fmt.Sprintf("p%03d", i), func(p *corev1.Pod) {
			if i%11 == 0 {
				p.Labels = map[string]string{"app": "web"}
			}
		}))
	}
	withWorld(t, func(w *world) {
		manual := service("default", nil) // its endpoints are somebody else's to write
		manual.Name = "manual"
		if _, err := w.kube.CoreV1().Services("default").Create(w.ctx, manual, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		var order []string
		for _, pod := range w.controller.toMark(pods, nil) {
			order = append(order, pod.Name)
		}
		if len(order) != 110 {
			t.Fatalf("%d pods are to be marked", len(order))
		}
		for i, name := range order[:10] {
			if want := fmt.Sprintf("p%03d", 11*i); name != want {
				t.Errorf("%s is number %d, want %s, of a Service", name, i, want)
			}
		}
		w.all("n4")
		if n := w.patches(); n != 110 {
			t.Errorf("%d pods are marked", n)
		}
	}, pods...)
}

func TestEventsAreKnownToThePlugin(t *testing.T) {
	for _, reason := range []string{eventWithdrawn, eventRestored, eventHeld} {
		if !deadnodes.Tells(reason) {
			t.Errorf("%s is not", reason)
		}
	}
}
