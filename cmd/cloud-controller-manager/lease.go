package main

import (
	"context"
	"maps"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// problemClient is the client that the leader election gets. What it writes of the Lease says why its
// holder cannot do its work, if so: who may not read the API can tell nobody but by the Lease. That
// takes no write more than the election makes.
type problemClient struct {
	typedcoordinationv1.CoordinationV1Interface
	problem func() error
}

func (c problemClient) Leases(namespace string) typedcoordinationv1.LeaseInterface {
	return problemLeases{c.CoordinationV1Interface.Leases(namespace), c.problem}
}

type problemLeases struct {
	typedcoordinationv1.LeaseInterface
	problem func() error
}

func (l problemLeases) Create(ctx context.Context, lease *coordinationv1.Lease, options metav1.CreateOptions) (*coordinationv1.Lease, error) {
	return l.LeaseInterface.Create(ctx, l.annotated(lease), options)
}

func (l problemLeases) Update(ctx context.Context, lease *coordinationv1.Lease, options metav1.UpdateOptions) (*coordinationv1.Lease, error) {
	return l.LeaseInterface.Update(ctx, l.annotated(lease), options)
}

// annotated is the Lease with the problem that there is now. Nobody has one in a Lease that is left.
func (l problemLeases) annotated(lease *coordinationv1.Lease) *coordinationv1.Lease {
	out := *lease
	out.Annotations = maps.Clone(lease.Annotations)
	delete(out.Annotations, v1alpha1.AnnotationProblem)
	if held := lease.Spec.HolderIdentity; held != nil && *held != "" {
		if err := l.problem(); err != nil {
			if out.Annotations == nil {
				out.Annotations = map[string]string{}
			}
			out.Annotations[v1alpha1.AnnotationProblem] = err.Error()
		}
	}
	return &out
}
