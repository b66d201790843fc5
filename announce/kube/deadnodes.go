package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	coordinationclients "k8s.io/client-go/kubernetes/typed/coordination/v1"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/notify"
)

const (
	// recordRate is how many records are written in a second if nodes come and go all the time, and recordBurst how many at once.
	recordRate, recordBurst = 1, 10
	recordTimeout           = 5 * time.Second
)

// DeadNodesWriter records which nodes the announcer of a node takes for dead.
type DeadNodesWriter struct {
	node    string
	leases  coordinationclients.LeaseInterface
	objects Objects
	logger  klog.Logger
	limiter *rate.Limiter
	wake    notify.Signal

	mu sync.Mutex
	// known says that there has been a Write; silent and unknown are from the last one.
	known           bool
	silent, unknown []string
	// wentBack says that the API may have another record than the last one that was written.
	wentBack bool
	// found is what is to be recorded: nil until it is known what was before this process began. record is what the API has, once read
	// says that this is known. Run alone uses them.
	found, record deadnodes.Record
	read          bool
}

// NewDeadNodesWriter returns a DeadNodesWriter that writes nothing until it runs.
func NewDeadNodesWriter(node string, kube kubernetes.Interface, objects Objects, logger klog.Logger) *DeadNodesWriter {
	return &DeadNodesWriter{
		node:    node,
		leases:  kube.CoordinationV1().Leases(deadnodes.Namespace),
		objects: objects,
		logger:  logger,
		limiter: rate.NewLimiter(recordRate, recordBurst),
		wake:    notify.New(),
	}
}

// Write has it recorded which nodes are silent, and of which nothing is known: those stay as they were recorded. All others are alive.
func (w *DeadNodesWriter) Write(silent, unknown []string) {
	w.mu.Lock()
	w.known, w.silent, w.unknown = true, silent, unknown
	w.mu.Unlock()
	w.wake.Notify()
}

// WentBack takes note that the API has gone back, as if restored from a copy: it may have a record that was taken back since.
func (w *DeadNodesWriter) WentBack() {
	w.mu.Lock()
	w.wentBack = true
	w.mu.Unlock()
	w.wake.Notify()
}

// Run writes until the context ends, and then returns nil.
func (w *DeadNodesWriter) Run(ctx context.Context) error {
	retry := Retry()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-w.wake:
		}
		var delay time.Duration
		var err error
		if guard.Run("deadnodes", "", func() { err = w.flush(ctx) }) != nil || err != nil {
			if err != nil && ctx.Err() == nil {
				w.logger.Error(err, "Cannot record which nodes are dead")
			}
			delay = retry.Step()
			w.wake.Notify()
		} else {
			retry = Retry()
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(delay):
		}
	}
}

// flush writes what is to be recorded, unless the API has it.
func (w *DeadNodesWriter) flush(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recordTimeout)
	defer cancel()
	owner := w.objects.Node(w.node)
	if owner == nil {
		return fmt.Errorf("there is no Node %s", w.node)
	}
	w.mu.Lock()
	w.read, w.wentBack = w.read && !w.wentBack, false
	w.mu.Unlock()
	if !w.read {
		if err := w.recall(ctx, owner); err != nil {
			return err
		}
	}
	w.mu.Lock()
	known, next := w.known, w.found.Next(w.silent, w.unknown, time.Now())
	w.mu.Unlock()
	if !known || next.Equal(w.record) {
		return nil
	}
	if err := w.limiter.Wait(ctx); err != nil {
		return err
	}
	if err := w.replace(ctx, owner, next); err != nil {
		return err
	}
	w.logger.Info("The nodes that are silent have changed", "dead", next.String())
	w.found, w.record = next, next
	return nil
}

// recall reads what this node has recorded, before it was started or before the API went back. If it has recorded nothing yet, it does: so everybody sees that it takes
// part.
func (w *DeadNodesWriter) recall(ctx context.Context, owner *corev1.Node) error {
	lease, err := w.leases.Get(ctx, w.node, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		if err := w.create(ctx, owner, deadnodes.Record{}); err != nil {
			return err
		}
		w.record = deadnodes.Record{}
	case err != nil:
		return fmt.Errorf("read the Lease of node %s: %w", w.node, err)
	default:
		w.record = deadnodes.Of(lease)
	}
	w.read = true
	if w.found == nil {
		w.found = w.record
	}
	return nil
}

func (w *DeadNodesWriter) create(ctx context.Context, owner *corev1.Node, record deadnodes.Record) error {
	reference := metav1.OwnerReference{APIVersion: corev1.SchemeGroupVersion.String(), Kind: "Node", Name: owner.Name, UID: owner.UID}
	if _, err := w.leases.Create(ctx, record.Lease(reference, time.Now()), metav1.CreateOptions{}); err != nil {
		return fmt.Errorf("create the Lease of node %s: %w", w.node, err)
	}
	return nil
}

// replace writes a record, also if somebody has deleted the last one.
func (w *DeadNodesWriter) replace(ctx context.Context, owner *corev1.Node, record deadnodes.Record) error {
	patch, err := json.Marshal(map[string]any{
		"metadata": map[string]any{"annotations": map[string]string{v1alpha1.AnnotationDeadNodes: record.String()}},
		"spec":     map[string]any{"renewTime": metav1.NowMicro()},
	})
	if err != nil {
		return fmt.Errorf("encode the record of node %s: %w", w.node, err)
	}
	_, err = w.leases.Patch(ctx, w.node, types.MergePatchType, patch, metav1.PatchOptions{})
	if apierrors.IsNotFound(err) {
		return w.create(ctx, owner, record)
	}
	if err != nil {
		return fmt.Errorf("write the Lease of node %s: %w", w.node, err)
	}
	return nil
}
