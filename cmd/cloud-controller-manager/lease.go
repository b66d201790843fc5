package main

import (
	"context"
	"maps"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/resourceversion"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// leaseClient is the client that the leader election gets, which makes its requests one after the other. By it, processes learn more of each
// other than who leads, at no request more than the election makes.
//
// What it writes says why the holder of the Lease cannot do its work, if so: who may not read the API can tell nobody but by the Lease.
//
// And it notices that etcd was restored from a copy, however much was written since (compare package rollback): the Lease is written every
// few seconds, so the holder finds it in an earlier version than it wrote. It has the Lease tell the others, of which one may come to read
// it when its version is a later one again.
type leaseClient struct {
	typedcoordinationv1.CoordinationV1Interface
	problem func() error
	// goneBack is called when the API has gone back.
	goneBack func()
	// wentBack is when the process before this one noticed that, as AnnotationWentBack has it; empty if it did not.
	wentBack string
	last     *coordinationv1.Lease // as it was read or written last; nil before
}

// Leases implements typedcoordinationv1.LeasesGetter.
func (c *leaseClient) Leases(namespace string) typedcoordinationv1.LeaseInterface {
	return leases{c.CoordinationV1Interface.Leases(namespace), c}
}

type leases struct {
	typedcoordinationv1.LeaseInterface
	client *leaseClient
}

func (l leases) Get(ctx context.Context, name string, options metav1.GetOptions) (*coordinationv1.Lease, error) {
	lease, err := l.LeaseInterface.Get(ctx, name, options)
	if err == nil && l.client.lost(lease) {
		l.client.goneBack()
	}
	return l.client.keep(lease, err)
}

func (l leases) Create(ctx context.Context, lease *coordinationv1.Lease, options metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return l.client.keep(l.LeaseInterface.Create(ctx, l.client.annotated(lease), options))
}

func (l leases) Update(ctx context.Context, lease *coordinationv1.Lease, options metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return l.client.keep(l.LeaseInterface.Update(ctx, l.client.annotated(lease), options))
}

func (c *leaseClient) keep(lease *coordinationv1.Lease, err error) (*coordinationv1.Lease, error) {
	if err == nil {
		c.last = lease.DeepCopy() // the election changes the one that it gets
	}
	return lease, err
}

// lost says whether the Lease, as it was just read, tells that the API has lost what was read or written of it before.
func (c *leaseClient) lost(lease *coordinationv1.Lease) bool {
	if c.last == nil {
		return false
	}
	order, err := resourceversion.CompareResourceVersion(lease.ResourceVersion, c.last.ResourceVersion)
	return err == nil && order < 0 || lease.Annotations[v1alpha1.AnnotationWentBack] != c.last.Annotations[v1alpha1.AnnotationWentBack]
}

// annotated is the Lease with what this process has to tell now. Nobody has a problem in a Lease that is left.
func (c *leaseClient) annotated(lease *coordinationv1.Lease) *coordinationv1.Lease {
	out := *lease
	out.Annotations = maps.Clone(lease.Annotations)
	if out.Annotations == nil {
		out.Annotations = map[string]string{}
	}
	delete(out.Annotations, v1alpha1.AnnotationProblem)
	if held := lease.Spec.HolderIdentity; held != nil && *held != "" {
		if err := c.problem(); err != nil {
			out.Annotations[v1alpha1.AnnotationProblem] = err.Error()
		}
	}
	if c.wentBack > out.Annotations[v1alpha1.AnnotationWentBack] {
		out.Annotations[v1alpha1.AnnotationWentBack] = c.wentBack
	}
	return &out
}
