package install

import (
	"context"
	"errors"
	"fmt"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster"
)

// Leader returns the node of the cloud-controller-manager that leads. The identity in its lease
// begins with the name of the node.
func (i *Installation) Leader(ctx context.Context) (*cluster.Node, error) {
	holder, err := i.LeaseHolder(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range i.Nodes() {
		if strings.HasPrefix(holder, node.Name+"_") {
			return node, nil
		}
	}
	return nil, fmt.Errorf("nobody leads: the lease is held by %q", holder)
}

// LeaseHolder returns the identity of the cloud-controller-manager that leads.
func (i *Installation) LeaseHolder(ctx context.Context) (string, error) {
	lease, err := i.Kubernetes().CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, CCM, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if lease.Spec.HolderIdentity == nil {
		return "", errors.New("the lease has no holder")
	}
	return *lease.Spec.HolderIdentity, nil
}
