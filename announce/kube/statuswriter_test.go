package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
)

// announcerAPI behaves like the API for the Announcer of one node: the client writes to it and the
// cache reads from it.
type announcerAPI struct {
	clients.AnnouncerInterface

	mu     sync.Mutex
	node   *corev1.Node
	object *v1alpha1.Announcer
	down   bool
	// refusal is the answer to writes of a whole status.
	refusal error
	writes  int
}

// set changes what the API has.
func (a *announcerAPI) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

// written returns what the API has and how many writes it has seen, when all is quiet.
func (a *announcerAPI) written() (*v1alpha1.Announcer, int) {
	synctest.Wait()
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.object, a.writes
}

func (a *announcerAPI) Node(string) *corev1.Node {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.node
}

func (a *announcerAPI) Announcer(string) *v1alpha1.Announcer {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.object
}

func (a *announcerAPI) Create(_ context.Context, o *v1alpha1.Announcer, _ metav1.CreateOptions) (*v1alpha1.Announcer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.object != nil {
		return nil, apierrors.NewAlreadyExists(v1alpha1.Resource("announcers"), o.Name)
	}
	a.object = o
	return o, nil
}

func (a *announcerAPI) Patch(_ context.Context, name string, kind types.PatchType, data []byte, _ metav1.PatchOptions, subresources ...string) (*v1alpha1.Announcer, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.writes++
	if a.down {
		return nil, errors.New("connection refused")
	}
	if a.object == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("announcers"), name)
	}
	var patch []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(data, &patch); err != nil || kind != types.JSONPatchType || !slices.Equal(subresources, []string{"status"}) ||
		len(patch) != 1 || patch[0].Op != "add" {
		return nil, apierrors.NewBadRequest(string(data))
	}
	o := a.object.DeepCopy()
	var into any
	switch patch[0].Path {
	case "/status":
		if a.refusal != nil {
			return nil, a.refusal
		}
		o.Status = v1alpha1.AnnouncerStatus{}
		into = &o.Status
	case "/status/conditions":
		o.Status.Conditions = nil
		into = &o.Status.Conditions
	}
	if err := json.Unmarshal(patch[0].Value, into); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	a.object = o
	return o, nil
}

// writing runs a StatusWriter against an API in a bubble of its own time.
func writing(t *testing.T, test func(t *testing.T, w *StatusWriter, api *announcerAPI)) {
	synctest.Test(t, func(t *testing.T) {
		api := &announcerAPI{node: &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-1"}}}
		w := NewStatusWriter("n1", api, api, klog.Background())
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.Run(ctx)
		}()
		test(t, w, api)
		cancel()
		<-done
	})
}

// statusWith is the status of a node that has acted upon some request.
func statusWith(request int) v1alpha1.AnnouncerStatus {
	return v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{Rebalanced: strconv.Itoa(request)}}
}

// requestOf is what a status of statusWith was made with; 0 for another one.
func requestOf(a *v1alpha1.Announcer) int {
	request, _ := strconv.Atoi(a.Status.Layer2.Rebalanced)
	return request
}

func TestAStatusIsWrittenAtOnceAndToAnObjectOwnedByTheNode(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		start := time.Now()
		w.Write(statusWith(1))
		object, _ := api.written()
		if !time.Now().Equal(start) || object == nil || requestOf(object) != 1 {
			t.Fatalf("wrote %+v", object)
		}
		if owners := object.OwnerReferences; len(owners) != 1 || owners[0].Kind != "Node" || owners[0].UID != "uid-1" {
			t.Errorf("owned by %+v", owners)
		}
	})
}

func TestChangesInQuickSuccessionAreWrittenAsOne(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		api.set(func() { api.object = &v1alpha1.Announcer{} })
		for i := range 50 {
			w.Write(statusWith(i + 1))
			synctest.Wait()
		}
		time.Sleep(pauseAfter(0))
		if object, writes := api.written(); writes != 2 || requestOf(object) != 50 {
			t.Errorf("%d writes, the last says %d", writes, requestOf(object))
		}
	})
}

func TestWhateverChangesWritesAreBoundedAndTheLastStateIsWritten(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		api.set(func() { api.object = &v1alpha1.Announcer{} })
		const changes = 6000
		for i := range changes { // in a minute
			w.Write(statusWith(i + 1))
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Second)
		if object, writes := api.written(); writes > writeBurst+61*writeRate || requestOf(object) != changes {
			t.Errorf("%d writes in a minute, the last says %d", writes, requestOf(object))
		}
	})
}

func TestTheMoreAddressesAStatusHasTheFewerWritesAreMade(t *testing.T) {
	for _, tt := range []struct{ addresses, writes int }{{0, writeBurst + 60*writeRate}, {500, writeBurst + 60*writeRate}, {2000, writeBurst/2 + 60*writeRate/2}} {
		writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
			api.set(func() { api.object = &v1alpha1.Announcer{} })
			status := statusWith(0)
			status.Layer2.Addresses = make([]v1alpha1.Layer2Address, tt.addresses)
			for i := range 120 { // in a minute
				status.Layer2.Rebalanced = strconv.Itoa(i)
				w.Write(status)
				time.Sleep(500 * time.Millisecond)
			}
			time.Sleep(time.Second)
			object, writes := api.written()
			if writes > tt.writes+1 || requestOf(object) != 119 {
				t.Errorf("%d addresses: %d writes in a minute, want at most %d; the last says %d", tt.addresses, writes, tt.writes+1, requestOf(object))
			}
			api.set(func() { api.writes = 0 })
			time.Sleep(time.Minute)
			w.Write(statusWith(1))
			if _, writes := api.written(); writes != 1 {
				t.Errorf("%d addresses: the first change after a while is not written at once", tt.addresses)
			}
		})
	}
}

func TestWhatTheAPIHasIsNotWrittenAgain(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		w.Write(statusWith(1))
		_, before := api.written()
		time.Sleep(time.Minute)
		w.Recheck()
		w.Write(statusWith(1))
		time.Sleep(time.Minute)
		if _, after := api.written(); after != before {
			t.Errorf("%d writes too many", after-before)
		}
	})
}

func TestBothHalvesOfAStatusAreWrittenAndNeitherReplacesTheOther(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		expect := func(request int, boot string, sessions int) {
			t.Helper()
			time.Sleep(pauseAfter(0))
			object, _ := api.written()
			if s := object.Status; requestOf(object) != request || s.BGP.BootID != boot || len(s.BGP.Peers) != sessions {
				t.Errorf("wrote %+v, want request %d, boot %q and %d sessions", s, request, boot, sessions)
			}
		}
		api.set(func() {
			api.object = &v1alpha1.Announcer{Status: v1alpha1.AnnouncerStatus{BGP: v1alpha1.BGPStatus{BootID: "before"}}}
		})
		w.Write(statusWith(1))
		expect(1, "before", 0)
		since := metav1.NewTime(time.Now().Truncate(time.Second))
		w.WriteBGP(v1alpha1.BGPStatus{BootID: "now", Peers: []v1alpha1.BGPSession{{Name: "tor", State: v1alpha1.BGPEstablished, Since: &since}}})
		expect(1, "now", 1)
		w.Write(statusWith(2))
		expect(2, "now", 1)
		_, before := api.written()
		w.Recheck()
		time.Sleep(pauseAfter(0))
		if _, after := api.written(); after != before {
			t.Errorf("%d writes too many", after-before)
		}
	})
}

func TestAStatusThatSomebodyElseChangedIsPutRight(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		w.Write(statusWith(1))
		time.Sleep(time.Minute)
		for _, changed := range []*v1alpha1.Announcer{{}, nil} {
			api.set(func() { api.object = changed })
			w.Recheck()
			time.Sleep(time.Second)
			if object, _ := api.written(); object == nil || requestOf(object) != 1 {
				t.Errorf("left it at %+v", object)
			}
		}
	})
}

func TestTheLastStatusIsWrittenWhenTheAPIIsBack(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		api.set(func() { api.object, api.down = &v1alpha1.Announcer{}, true })
		w.Write(statusWith(1))
		time.Sleep(30 * time.Minute)
		w.Write(statusWith(2))
		time.Sleep(30 * time.Minute)
		if _, tries := api.written(); tries < 60*60/20 || tries > 60*60/10 {
			t.Errorf("%d tries in an hour", tries)
		}
		api.set(func() { api.down = false })
		time.Sleep(20 * time.Second)
		if object, _ := api.written(); requestOf(object) != 2 {
			t.Errorf("wrote %+v", object.Status)
		}
	})
}

func TestWhatTheAPIRefusesForGoodIsSaidInTheConditions(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		ready := metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}
		with := func(request int) v1alpha1.AnnouncerStatus {
			status := statusWith(request)
			status.Conditions = []metav1.Condition{ready}
			return status
		}
		expect := func(request int, want string) (writes int) {
			t.Helper()
			object, writes := api.written()
			got := ""
			if c := meta.FindStatusCondition(object.Status.Conditions, v1alpha1.ConditionRecorded); c != nil {
				got = fmt.Sprintf("%s %s: %s", c.Status, c.Reason, c.Message)
			}
			if got != want || requestOf(object) != request || !meta.IsStatusConditionTrue(object.Status.Conditions, ready.Type) {
				t.Errorf("says %q of request %d, want %q of %d", got, requestOf(object), want, request)
			}
			return writes
		}
		w.Write(with(1))
		time.Sleep(time.Second)
		expect(1, "")
		// What the API server answers if etcd takes no object that large.
		api.set(func() {
			api.refusal = &apierrors.StatusError{ErrStatus: metav1.Status{Code: 500, Message: "etcdserver: request is too large"}}
		})
		w.Write(with(2))
		synctest.Wait()
		expect(1, "") // once may be a mishap
		time.Sleep(time.Minute)
		const refused = "False WriteRefused: The API server refuses what this node has to record, so that others go by what it recorded last: etcdserver: request is too large"
		before := expect(1, refused)
		time.Sleep(10 * time.Minute)
		if tries := expect(1, refused) - before; tries > 10*60/10 {
			t.Errorf("%d writes in ten minutes", tries)
		}
		api.set(func() { api.refusal = nil })
		time.Sleep(20 * time.Second)
		expect(2, "")
	})
}

func TestWithoutANodeNothingIsCreated(t *testing.T) {
	writing(t, func(t *testing.T, w *StatusWriter, api *announcerAPI) {
		node := api.node
		api.set(func() { api.node = nil })
		w.Write(statusWith(1))
		time.Sleep(time.Second)
		if object, _ := api.written(); object != nil {
			t.Fatal("created an Announcer without a Node")
		}
		api.set(func() { api.node = node })
		time.Sleep(time.Minute)
		if object, _ := api.written(); object == nil || requestOf(object) != 1 {
			t.Errorf("wrote %+v", object)
		}
	})
}

func TestTheSummaryCountsWhatIsAnnounced(t *testing.T) {
	claim := func(interfaces ...string) v1alpha1.Layer2Address {
		return v1alpha1.Layer2Address{Interfaces: interfaces}
	}
	session := func(state v1alpha1.BGPState) v1alpha1.BGPSession { return v1alpha1.BGPSession{State: state} }
	for name, tt := range map[string]struct {
		claims   []v1alpha1.Layer2Address
		sessions []v1alpha1.BGPSession
		want     v1alpha1.AnnouncerSummary
	}{
		"nothing":             {nil, nil, v1alpha1.AnnouncerSummary{}},
		"one is tentative":    {[]v1alpha1.Layer2Address{claim(), claim("eth0"), claim("eth0", "eth1")}, nil, v1alpha1.AnnouncerSummary{Addresses: 2}},
		"no session":          {nil, []v1alpha1.BGPSession{session(v1alpha1.BGPRefused)}, v1alpha1.AnnouncerSummary{Sessions: "0/1"}},
		"one of two sessions": {nil, []v1alpha1.BGPSession{session(v1alpha1.BGPEstablished), session(v1alpha1.BGPConnecting)}, v1alpha1.AnnouncerSummary{Sessions: "1/2"}},
	} {
		status := &v1alpha1.AnnouncerStatus{Layer2: v1alpha1.Layer2Status{Addresses: tt.claims}, BGP: v1alpha1.BGPStatus{Peers: tt.sessions}}
		if got := *SummaryOf(status); got != tt.want {
			t.Errorf("%s: %+v, want %+v", name, got, tt.want)
		}
	}
}
