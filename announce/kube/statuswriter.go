package kube

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

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
	"github.com/clarionlb/clarion/internal/notify"
)

// StatusWriter writes a node's Announcer. What is recorded while a write is under way, or cannot succeed, goes out as one.
type StatusWriter struct {
	node    string
	client  clients.AnnouncerInterface
	objects interface {
		Node(name string) *corev1.Node
		Announcer(name string) *v1alpha1.Announcer
	}
	logger klog.Logger
	// pause is the shortest time between two writes: all nodes watch them.
	pause time.Duration
	// timeout is how long a write may take: what it says may be old by then.
	timeout time.Duration
	// Retry is how long a write that failed waits for the next try.
	Retry wait.Backoff
	wake  notify.Signal

	mu     sync.Mutex
	status *v1alpha1.AnnouncerStatus
	// bgp belongs to the status, but comes from elsewhere; until it has come, what the API has stays.
	bgp *v1alpha1.BGPStatus
}

func NewStatusWriter(node string, client clients.AnnouncerInterface, watcher *Watcher, logger klog.Logger) *StatusWriter {
	return &StatusWriter{
		node:    node,
		client:  client,
		objects: watcher,
		logger:  logger,
		pause:   100 * time.Millisecond,
		timeout: 5 * time.Second,
		Retry:   wait.Backoff{Duration: 250 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 8, Cap: 15 * time.Second},
		wake:    notify.New(),
	}
}

// Write has a status written as soon as that can be.
func (r *StatusWriter) Write(status v1alpha1.AnnouncerStatus) {
	r.mu.Lock()
	r.status = &status
	r.mu.Unlock()
	r.Recheck()
}

// WriteBGP has the part of the status that is about BGP written with the rest.
func (r *StatusWriter) WriteBGP(status v1alpha1.BGPStatus) {
	r.mu.Lock()
	r.bgp = &status
	r.mu.Unlock()
	r.Recheck()
}

// Recheck has the status written again if the API has another one than was recorded.
func (r *StatusWriter) Recheck() { r.wake.Notify() }

// Run writes until the context ends.
func (r *StatusWriter) Run(ctx context.Context) {
	retry, failing := r.Retry, false
	for {
		select {
		case <-ctx.Done():
			return
		case <-r.wake:
		}
		var delay time.Duration
		switch wrote, err := r.flush(ctx); {
		case err == nil && failing:
			r.logger.Info("The status of this node can be written again")
			fallthrough
		case err == nil:
			retry, failing = r.Retry, false
			if wrote {
				delay = r.pause
			}
		case ctx.Err() == nil:
			if failing {
				r.reportRefusal(ctx, err)
			} else {
				r.logger.Error(err, "Cannot write the status of this node, announcing goes on")
			}
			failing = true
			delay = retry.Step()
			r.Recheck()
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(delay):
		}
	}
}

// flush writes what was recorded last, unless the API has it.
func (r *StatusWriter) flush(ctx context.Context) (wrote bool, err error) {
	r.mu.Lock()
	recorded, bgp := r.status, r.bgp
	r.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if recorded == nil {
		return false, nil
	}
	current, status := r.objects.Announcer(r.node), *recorded
	if bgp != nil {
		status.BGP = *bgp
	} else if current != nil {
		status.BGP = current.Status.BGP
	}
	if current != nil && apiequality.Semantic.DeepEqual(current.Status, status) {
		return false, nil
	}
	err = r.replace(ctx, &status)
	if !apierrors.IsNotFound(err) {
		return true, err
	}
	if err := r.Create(ctx); err != nil {
		return false, err
	}
	return true, r.replace(ctx, &status)
}

// replace replaces the whole status, whatever it is: nobody else has a say in it.
func (r *StatusWriter) replace(ctx context.Context, status *v1alpha1.AnnouncerStatus) error {
	return r.patch(ctx, "/status", status)
}

// WriteConditions replaces the conditions alone, which is quick however many claims there are.
func (r *StatusWriter) WriteConditions(ctx context.Context, conditions []metav1.Condition) error {
	return r.patch(ctx, "/status/conditions", conditions)
}

// reportRefusal writes the conditions alone, which are small, with one that says why the API server refuses the rest: what does not
// fit in an object, say. If it cannot be reached, that is known without. The next status that is written has no such condition.
func (r *StatusWriter) reportRefusal(ctx context.Context, why error) {
	var refusal apierrors.APIStatus
	current := r.objects.Announcer(r.node)
	if current == nil || !errors.As(why, &refusal) {
		return
	}
	r.mu.Lock()
	conditions := slices.Clone(r.status.Conditions)
	r.mu.Unlock()
	if before := meta.FindStatusCondition(current.Status.Conditions, v1alpha1.ConditionRecorded); before != nil {
		conditions = append(conditions, *before)
	}
	meta.SetStatusCondition(&conditions, metav1.Condition{
		Type:    v1alpha1.ConditionRecorded,
		Status:  metav1.ConditionFalse,
		Reason:  v1alpha1.ReasonWriteRefused,
		Message: "The API server refuses what this node has to record, so that others go by what it recorded last: " + refusal.Status().Message,
	})
	if apiequality.Semantic.DeepEqual(conditions, current.Status.Conditions) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, r.timeout)
	defer cancel()
	if err := r.WriteConditions(ctx, conditions); err != nil {
		r.logger.Error(err, "Cannot write either that the status was refused")
	}
}

func (r *StatusWriter) patch(ctx context.Context, path string, value any) error {
	patch, err := json.Marshal([]map[string]any{{"op": "add", "path": path, "value": value}})
	if err != nil {
		return fmt.Errorf("encode the status: %w", err)
	}
	if _, err := r.client.Patch(ctx, r.node, types.JSONPatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		return fmt.Errorf("write the status of Announcer %s: %w", r.node, err)
	}
	return nil
}

// Create makes the Announcer, which goes when its Node goes. It is no error if there is one.
func (r *StatusWriter) Create(ctx context.Context) error {
	node := r.objects.Node(r.node)
	if node == nil {
		return fmt.Errorf("create Announcer %s: there is no such Node", r.node)
	}
	_, err := r.client.Create(ctx, &v1alpha1.Announcer{
		ObjectMeta: metav1.ObjectMeta{
			Name: r.node,
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: corev1.SchemeGroupVersion.String(),
				Kind:       "Node",
				Name:       node.Name,
				UID:        node.UID,
			}},
		},
	}, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("create Announcer %s: %w", r.node, err)
	}
	return nil
}
