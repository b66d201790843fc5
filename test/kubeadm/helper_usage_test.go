package kubeadm

import (
	"context"
	"errors"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/install"
)

// returnsAll expects that Clarion's processes hold no more after f, and when what f has made is gone, than before.
func (i *installation) returnsAll(f func()) {
	i.t.Helper()
	before, err := i.usage(i.ctx)
	if err != nil {
		i.t.Fatal(err)
	}
	f()
	i.eventually("the Services to go", func(ctx context.Context) error {
		list, err := i.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"})
		for _, service := range list.Items {
			if service.Namespace != metav1.NamespaceDefault {
				err = fmt.Errorf("%s/%s is there", service.Namespace, service.Name)
			}
		}
		return err
	})
	i.eventually("goroutines, descriptors and memory to be given back", func(ctx context.Context) error {
		after, err := i.usage(ctx)
		for process, now := range after {
			if was := before[process]; now.Exceeds(was) {
				err = errors.Join(err, fmt.Errorf("%s holds %+v, and before %+v", process, now, was))
			}
		}
		if err == nil {
			i.t.Logf("before %+v, after %+v", before, after)
		}
		return err
	})
}

// usage reads the metrics of the processes, by the node and the name of each.
func (i *installation) usage(ctx context.Context) (held map[string]install.Usage, err error) {
	held = map[string]install.Usage{}
	held[install.CCM], err = install.CCMUsage(ctx, i.controller(), i.RESTConfig())
	for _, node := range i.Nodes() {
		of, nodeErr := install.AnnouncerUsage(ctx, node)
		held["the announcer of "+node.Name], err = of, errors.Join(err, nodeErr)
	}
	return held, err
}
