package e2e

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// loadBalancer creates a Service of type LoadBalancer for the pods of the sample Deployment.
func (d *deployment) loadBalancer(name string, change func(*corev1.Service)) {
	d.t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "myapp"},
			Ports:    []corev1.ServicePort{{Port: 80}},
		},
	}
	service.Spec.Ports[0].TargetPort.IntVal = 8080
	if change != nil {
		change(service)
	}
	if _, err := d.Kubernetes().CoreV1().Services(d.namespace).Create(d.ctx, service, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) service(name string) *corev1.Service {
	d.t.Helper()
	service, err := d.Kubernetes().CoreV1().Services(d.namespace).Get(d.ctx, name, metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return service
}

// update changes a Service as a user with kubectl edit does.
func (d *deployment) update(name string, change func(*corev1.Service)) {
	d.t.Helper()
	d.eventually("an update of Service "+name, func(ctx context.Context) error {
		service := d.service(name)
		change(service)
		_, err := d.Kubernetes().CoreV1().Services(service.Namespace).Update(ctx, service, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) {
			d.t.Fatal(err)
		}
		return err
	})
}

// delete deletes a Service and waits until it is gone.
func (d *deployment) delete(names ...string) {
	d.t.Helper()
	services := d.Kubernetes().CoreV1().Services(d.namespace)
	gone := map[string]types.UID{}
	for _, name := range names {
		gone[name] = d.service(name).UID
		if err := services.Delete(d.ctx, name, metav1.DeleteOptions{}); err != nil {
			d.t.Fatal(err)
		}
	}
	d.eventually(fmt.Sprintf("Services %v to be gone", names), func(ctx context.Context) error {
		for name, uid := range gone {
			if service, err := services.Get(ctx, name, metav1.GetOptions{}); err == nil && service.UID == uid {
				return fmt.Errorf("%s is there, with the finalizers %v", name, service.Finalizers)
			} else if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	})
}

// addresses returns the addresses in the status of a Service.
func addresses(service *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		all = append(all, netip.MustParseAddr(ingress.IP))
	}
	return all
}

// awaitAddress waits until a Service has exactly one address, and returns it.
func (d *deployment) awaitAddress(name string) netip.Addr {
	d.t.Helper()
	return d.awaitAddressCount(name, 1)[0]
}

// awaitAddressCount waits until a Service has that many addresses, and returns them.
func (d *deployment) awaitAddressCount(name string, count int) (got []netip.Addr) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Service %s to have %d addresses", name, count), func(context.Context) error {
		service := d.service(name)
		if got = addresses(service); len(got) != count {
			return fmt.Errorf("status %v", service.Status)
		}
		return nil
	})
	return got
}

// addressTexts returns the addresses in the status of a Service as they are written there.
func addressTexts(service *corev1.Service) []string {
	var all []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		all = append(all, ingress.IP)
	}
	return all
}

// loadBalancers creates Services, each when the one before has its address, and returns their
// addresses in this order.
func (d *deployment) loadBalancers(change func(*corev1.Service), names ...string) []string {
	d.t.Helper()
	var got []string
	for _, name := range names {
		d.loadBalancer(name, change)
		got = append(got, d.awaitAddress(name).String())
	}
	return got
}

// untouched waits until Services say of all their addresses how they are announced, so that Clarion
// has nothing left to write. It returns a check that nobody has written to the Services since.
func (d *deployment) untouched(names ...string) (check func()) {
	d.t.Helper()
	before := map[string]string{}
	for _, name := range names {
		d.eventually("Service "+name+" to say how its addresses are announced", func(context.Context) error {
			service := d.service(name)
			said := cmp.Or(meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced), &metav1.Condition{})
			for _, address := range addressTexts(service) {
				if !strings.Contains(said.Message, address+" is") {
					return fmt.Errorf("it has %s and says %q", address, said.Message)
				}
			}
			before[name] = service.ResourceVersion
			return nil
		})
	}
	return func() {
		d.t.Helper()
		for name, version := range before {
			if service := d.service(name); service.ResourceVersion != version {
				d.t.Errorf("Service %s was written to; its status is %v", name, service.Status)
			}
		}
	}
}

// deleteLoadBalancers deletes the Services of all namespaces and waits until they are gone.
func (d *deployment) deleteLoadBalancers() {
	d.t.Helper()
	d.eventually("load balancers to be gone", func(ctx context.Context) error {
		services, err := d.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var left []string
		for _, service := range services.Items {
			if service.Name == "kubernetes" {
				continue
			}
			left = append(left, service.Name)
			if service.DeletionTimestamp == nil {
				err = d.Kubernetes().CoreV1().Services(service.Namespace).Delete(ctx, service.Name, metav1.DeleteOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					return err
				}
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

// patchStatus writes to the status of a Service, as somebody other than Clarion.
func (d *deployment) patchStatus(name, status string) {
	d.t.Helper()
	patch := []byte(`{"status": ` + status + `}`)
	if _, err := d.Kubernetes().CoreV1().Services(d.namespace).Patch(d.ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}, "status"); err != nil {
		d.t.Fatal(err)
	}
}

// dropFinalizers removes the finalizers of a Service, so that its deletion waits for no controller.
func (d *deployment) dropFinalizers(name string) {
	d.t.Helper()
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": nil}})
	if err != nil {
		d.t.Fatal(err)
	}
	if _, err := d.Kubernetes().CoreV1().Services(d.namespace).Patch(d.ctx, name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		d.t.Fatal(err)
	}
}
