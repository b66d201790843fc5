package bench

import (
	"context"
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

const (
	// batch is how many new Services a run has.
	batch = 1000
	// workers is how many Services the shipped cloud-controller-manager works on at once.
	workers = 20
)

// names returns that many names.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}

// newService is a load balancer without node ports, which would cost the API server time that is
// not to be measured. It selects the pods of the sample Deployment.
func newService(name string) *corev1.Service {
	return &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:                          corev1.ServiceTypeLoadBalancer,
			Selector:                      map[string]string{"app": "myapp"},
			Ports:                         []corev1.ServicePort{{Port: 80, TargetPort: intstr.FromInt32(8080)}},
			AllocateLoadBalancerNodePorts: ptr.To(false),
		},
	}
}

// forEach calls f for every name, for as many at once as the cloud-controller-manager has workers.
func forEach(b *testing.B, names []string, f func(ctx context.Context, name string) error) {
	b.Helper()
	g, ctx := errgroup.WithContext(b.Context())
	g.SetLimit(workers)
	for _, name := range names {
		g.Go(func() error { return f(ctx, name) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
