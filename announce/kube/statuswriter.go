package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
	"github.com/clarionlb/clarion/internal/notify"
)

// StatusWriter writes the status of a node's Announcer. What it is given while a write is under
// way, or cannot succeed, goes out as one.
type StatusWriter struct {
	node    string
	client  clients.AnnouncerInterface
	objects Objects
	logger  klog.Logger
	// limiter bounds how many writes there are if there is always something to write: all nodes watch them.
	limiter *rate.Limiter
	// timeout is how long a write may take: what it says may be old by then.
	timeout time.Duration
	wake    notify.Signal

	mu sync.Mutex
	// status is what to write, but for its part about BGP; nil until the first Write.
	status *v1alpha1.AnnouncerStatus
	// bgp is that part, which comes from elsewhere; until the first WriteBGP, what the API has stays.
	bgp *v1alpha1.BGPStatus
	// keepClaims says that the claims stay as the API has them, whatever status says.
	keepClaims bool

	// claimSlices is for Run alone.
	claimSlices claimSlices
}

// Objects are those that a StatusWriter goes by: a Watcher has them.
type Objects interface {
	// Node returns the Node of that name; nil if there is none.
	Node(name string) *corev1.Node
	// Announcer returns the Announcer of that name; nil if there is none.
	Announcer(name string) *v1alpha1.Announcer
}

const (
	// writeRate is how many writes there are in a second if there is always something to write, and
	// writeBurst how many there are before that counts.
	writeRate, writeBurst = 2, 20
	// writeCost is in tokens of the limiter what a write takes of up to 1,000 addresses. One of 2,000 or more takes twice as much.
	writeCost = 10
)

// pauseAfter is the shortest time from one write to the next: the more addresses the last one had, the more the next one is to have
// gathered. A new address is probed for 450 ms while its claim is written, so that this takes no time from it.
func pauseAfter(addresses int) time.Duration {
	return min(100*time.Millisecond+time.Duration(addresses)*10*time.Millisecond, 400*time.Millisecond)
}

// costOf is what a write takes of the limiter.
func costOf(addresses int) int { return min(max(addresses/100, writeCost), 2*writeCost) }

// Retry is how long a write that failed waits for the next try.
func Retry() wait.Backoff {
	return wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 8, Cap: 15 * time.Second}
}

// NewStatusWriter returns a StatusWriter for the Announcer of a node that writes nothing until it
// runs.
func NewStatusWriter(node string, client clients.AnnouncerInterface, objects Objects, logger klog.Logger) *StatusWriter {
	return &StatusWriter{
		node:    node,
		client:  client,
		objects: objects,
		logger:  logger,
		limiter: rate.NewLimiter(writeRate*writeCost, writeBurst*writeCost),
		timeout: 5 * time.Second,
		wake:    notify.New(),
	}
}

// Write has a status written as soon as that can be.
func (w *StatusWriter) Write(status v1alpha1.AnnouncerStatus) {
	w.mu.Lock()
	w.status, w.keepClaims = &status, false
	w.mu.Unlock()
	w.Recheck()
}

// WriteRest has a status written as soon as that can be, but for the claims, which stay as they are in the API.
func (w *StatusWriter) WriteRest(status v1alpha1.AnnouncerStatus) {
	w.mu.Lock()
	w.status, w.keepClaims = &status, true
	w.mu.Unlock()
	w.Recheck()
}

// WriteBGP has the part of the status that is about BGP written with the rest, once there is a rest.
func (w *StatusWriter) WriteBGP(status v1alpha1.BGPStatus) {
	w.mu.Lock()
	w.bgp = &status
	w.mu.Unlock()
	w.Recheck()
}

// Recheck has the status written again if the API has another one.
func (w *StatusWriter) Recheck() { w.wake.Notify() }

// Run writes until the context ends.
func (w *StatusWriter) Run(ctx context.Context) {
	retry, failing := Retry(), false
	for {
		select {
		case <-ctx.Done():
			return
		case <-w.wake:
		case <-w.claimSlices.foldTimer():
		}
		var delay time.Duration
		switch wrote, addresses, err := w.flush(ctx); {
		case err == nil && failing:
			w.logger.Info("The status of this node can be written again")
			fallthrough
		case err == nil:
			retry, failing = Retry(), false
			if wrote {
				delay = max(pauseAfter(addresses), w.limiter.ReserveN(time.Now(), costOf(addresses)).Delay())
			}
		case ctx.Err() == nil:
			if failing {
				w.reportRefusal(ctx, err)
			} else {
				w.logger.Error(err, "Cannot write the status of this node, announcing goes on")
			}
			failing = true
			delay = retry.Step()
			w.Recheck()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// flush writes the status unless the API has it, and returns how many addresses it has.
func (w *StatusWriter) flush(ctx context.Context) (wrote bool, addresses int, err error) {
	w.mu.Lock()
	given, bgp, keepClaims := w.status, w.bgp, w.keepClaims
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	if given == nil {
		return false, 0, nil
	}
	current, status := w.objects.Announcer(w.node), *given
	recorded := w.claimSlices.recorded(current)
	if keepClaims {
		status.Layer2.Addresses = recorded.claims
	}
	addresses = len(status.Layer2.Addresses)
	if bgp != nil {
		status.BGP = *bgp
	} else if current != nil {
		status.BGP = current.Status.BGP
	}
	status.Summary = SummaryOf(&status)
	if current != nil && w.claimSlices.inSlices(current, &status, recorded) {
		wrote, done, err := w.writeSlice(ctx, current, status.Layer2.Addresses, recorded)
		if done && !refused(err) {
			return wrote, addresses, err
		}
	} else if current != nil && len(recorded.since) == 0 && equalStatus(current.Status, status) && w.claimSlices.saysReads(current) {
		w.claimSlices.foldAt = time.Time{} // nothing waits for the list
		return false, addresses, nil
	}
	if w.claimSlices.client != nil {
		status.Layer2.Revision = w.claimSlices.nextRevision(current, recorded)
	}
	err = w.replace(ctx, &status)
	if apierrors.IsNotFound(err) {
		if err := w.Create(ctx); err != nil {
			return false, addresses, err
		}
		err = w.replace(ctx, &status)
	}
	if err == nil {
		w.claimSlices.listed(status.Layer2.Revision)
	}
	return true, addresses, err
}

// equalStatus says whether two statuses mean the same. Claims, of which there may be thousands, are compared without reflection.
func equalStatus(a, b v1alpha1.AnnouncerStatus) bool {
	return slices.EqualFunc(a.Layer2.Addresses, b.Layer2.Addresses, claims.Equal) && equalRest(a, b)
}

// equalRest says whether two statuses mean the same but for the claims.
func equalRest(a, b v1alpha1.AnnouncerStatus) bool {
	a.Layer2.Addresses, b.Layer2.Addresses = nil, nil
	a.Layer2.Revision, b.Layer2.Revision = 0, 0
	return apiequality.Semantic.DeepEqual(a, b)
}

// SummaryOf counts what a status says is announced.
func SummaryOf(status *v1alpha1.AnnouncerStatus) *v1alpha1.AnnouncerSummary {
	summary := &v1alpha1.AnnouncerSummary{}
	for _, claim := range status.Layer2.Addresses {
		if len(claim.Interfaces) > 0 {
			summary.Addresses++
		}
	}
	established := 0
	for _, session := range status.BGP.Peers {
		if session.State == v1alpha1.BGPEstablished {
			established++
		}
	}
	if all := len(status.BGP.Peers); all > 0 {
		summary.Sessions = fmt.Sprintf("%d/%d", established, all)
	}
	return summary
}

// replace replaces the whole status, whatever it is: nobody else has a say in it.
func (w *StatusWriter) replace(ctx context.Context, status *v1alpha1.AnnouncerStatus) error {
	return w.patch(ctx, "/status", status)
}

// WriteStopped replaces the conditions alone, which is quick however many claims there are; or else all, if the Announcer does not list
// all claims: what is started next may be an older announcer, which reads nothing else. It is to be called when Run has ended.
func (w *StatusWriter) WriteStopped(ctx context.Context, conditions []metav1.Condition) error {
	current := w.objects.Announcer(w.node)
	recorded := w.claimSlices.recorded(current)
	w.mu.Lock()
	given, keepClaims := w.status, w.keepClaims
	w.mu.Unlock()
	if given == nil || keepClaims || current == nil || len(recorded.since) == 0 {
		return w.patch(ctx, "/status/conditions", conditions)
	}
	status := *given
	status.BGP, status.Summary, status.Conditions = current.Status.BGP, current.Status.Summary, conditions
	status.Layer2.Revision = w.claimSlices.nextRevision(current, recorded)
	return w.replace(ctx, &status)
}

// reportRefusal writes the conditions alone, which are small, with one that says why the API server
// refuses the rest: it may not fit in an object. If the API server cannot be reached, nothing is
// written. The next status that is written has no such condition.
func (w *StatusWriter) reportRefusal(ctx context.Context, why error) {
	var refusal apierrors.APIStatus
	current := w.objects.Announcer(w.node)
	if current == nil || !errors.As(why, &refusal) {
		return
	}
	w.mu.Lock()
	conditions := slices.Clone(w.status.Conditions)
	w.mu.Unlock()
	if before := meta.FindStatusCondition(current.Status.Conditions, v1alpha1.ConditionRecorded); before != nil {
		conditions = append(conditions, *before)
	}
	meta.SetStatusCondition(&conditions, metav1.Condition{
		Type:               v1alpha1.ConditionRecorded,
		Status:             metav1.ConditionFalse,
		LastTransitionTime: metav1.Now().Rfc3339Copy(), // as the API keeps it
		Reason:             v1alpha1.ReasonWriteRefused,
		Message:            "The API server refuses what this node has to record, so that others go by what it recorded last: " + refusal.Status().Message,
	})
	if apiequality.Semantic.DeepEqual(conditions, current.Status.Conditions) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, w.timeout)
	defer cancel()
	if err := w.patch(ctx, "/status/conditions", conditions); err != nil {
		w.logger.Error(err, "Cannot write either that the status was refused")
	}
}

func (w *StatusWriter) patch(ctx context.Context, path string, value any) error {
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": path, "value": value}})
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	if _, err := w.client.Patch(ctx, w.node, types.JSONPatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("write the status of Announcer %s: %w", w.node, err)
	}
	return nil
}

// Create creates the Announcer, owned by the Node and deleted with it. It is no error if there is
// one.
func (w *StatusWriter) Create(ctx context.Context) error {
	node := w.objects.Node(w.node)
	if node == nil {
		return fmt.Errorf("create Announcer %s: there is no such Node", w.node)
	}
	_, err := w.client.Create(ctx, &v1alpha1.Announcer{
		ObjectMeta: metav1.ObjectMeta{
			Name: w.node,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: corev1.SchemeGroupVersion.String(),
				Kind:       "Node",
				Name:       node.Name,
				UID:        node.UID,
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Announcer %s: %w", w.node, err)
	}
	return nil
}
