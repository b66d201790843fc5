package chaos

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/test/cluster"
)

// attempt is how long one request to the API may take. It is repeated, since the API server may be away.
const attempt = 5 * time.Second

// edit repeats a request until it is answered.
func edit(ctx context.Context, request func(context.Context) error) error {
	for {
		trying, cancel := context.WithTimeout(ctx, attempt)
		err := request(trying)
		cancel()
		if err == nil || ctx.Err() != nil || apierrors.IsInvalid(err) {
			return err
		}
		wait(ctx, 200*time.Millisecond)
	}
}

// sane undoes, object by object, what faults edit. It is applied at the end of each round, since a restored etcd may have them edited again.
var sane = map[string]string{
	"ipaddresspools/public":   `{"spec": {"addresses": ["192.168.10.200-192.168.10.211", "fd00:10::200-fd00:10::203"]}}`,
	"l2advertisements/public": `{"spec": {"ipAddressPools": ["public"]}}`,
	"bgppeers/tor":            `{"spec": {"bfdProfile": null, "holdTime": "3s"}}`,
}

// edited has an object of Clarion's changed by a merge patch, until the end of the fault.
func (r *run) edited(ctx context.Context, object, patch string) (ender, error) {
	end := func(ctx context.Context) error { return r.patch(ctx, object, sane[object]) }
	return end, r.patch(ctx, object, patch)
}

func (r *run) patch(ctx context.Context, object, patch string) error {
	resource, name, _ := strings.Cut(object, "/")
	return edit(ctx, func(ctx context.Context) error {
		return r.Clarion.ClarionV1alpha1().RESTClient().Patch(types.MergePatchType).Resource(resource).Name(name).Body([]byte(patch)).Do(ctx).Error()
	})
}

func (r *run) badPool(ctx context.Context, _ Fault) (ender, error) {
	return r.edited(ctx, "ipaddresspools/public", `{"spec": {"addresses": ["192.168.10.211-192.168.10.200", "fd00:10::200-fd00:10::203"]}}`)
}

func (r *run) badAdvertisement(ctx context.Context, _ Fault) (ender, error) {
	return r.edited(ctx, "l2advertisements/public", `{"spec": {"ipAddressPools": ["publik"]}}`)
}

func (r *run) badPeer(ctx context.Context, _ Fault) (ender, error) {
	return r.edited(ctx, "bgppeers/tor", `{"spec": {"bfdProfile": "fats"}}`)
}

func (r *run) changedPeer(ctx context.Context, _ Fault) (ender, error) {
	return r.edited(ctx, "bgppeers/tor", `{"spec": {"holdTime": "4s"}}`)
}

func (r *run) overlappingPool(ctx context.Context, _ Fault) (ender, error) {
	return r.removeOverlappingPool, r.apply(ctx, overlappingPool)
}

func (r *run) apply(ctx context.Context, manifests string) error {
	return edit(ctx, func(ctx context.Context) error { return r.ApplyYAML(ctx, manifests) })
}

// removeOverlappingPool does not wait until it is gone: a Service may have got an address of it.
func (r *run) removeOverlappingPool(ctx context.Context) error {
	return r.deletePool(ctx, "overlapping")
}

func (r *run) deletePool(ctx context.Context, name string) error {
	return edit(ctx, func(ctx context.Context) error {
		err := r.Clarion.ClarionV1alpha1().IPAddressPools().Delete(ctx, name, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

// deletedPool deletes the pool, which waits for its Services then, and in the end has it go nevertheless and come again.
func (r *run) deletedPool(ctx context.Context, _ Fault) (ender, error) {
	return r.revivePools, r.deletePool(ctx, "public")
}

// revivePools has pools go that are being deleted, and applies those of the configuration.
func (r *run) revivePools(ctx context.Context) error {
	pools := r.Clarion.ClarionV1alpha1().IPAddressPools()
	err := edit(ctx, func(ctx context.Context) error {
		list, err := pools.List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pool := range list.Items {
			if pool.DeletionTimestamp == nil {
				continue
			}
			_, err := pools.Patch(ctx, pool.Name, types.MergePatchType, []byte(`{"metadata": {"finalizers": null}}`), metav1.PatchOptions{})
			if err != nil && !apierrors.IsNotFound(err) {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	return r.apply(ctx, configuration)
}

// rotateKey has the cloud-controller-manager make another key. Announcers that do not reach the API are without it meanwhile.
func (r *run) rotateKey(ctx context.Context, _ Fault) (ender, error) {
	return done, edit(ctx, func(ctx context.Context) error {
		err := r.Kubernetes().CoreV1().Secrets(gossipkey.Namespace).Delete(ctx, gossipkey.Secret, metav1.DeleteOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return err
	})
}

func rollout(namespace, workload string) func(*run, context.Context, Fault) (ender, error) {
	return func(r *run, ctx context.Context, _ Fault) (ender, error) {
		return done, edit(ctx, func(ctx context.Context) error {
			_, err := r.Kubectl(ctx, "rollout", "restart", "--namespace="+namespace, workload)
			return err
		})
	}
}

func (r *run) drain(ctx context.Context, f Fault) (ender, error) {
	node := r.node(f)
	return func(ctx context.Context) error { return r.undrain(ctx, node) }, r.setDrain(ctx, node, `"yes"`)
}

func (r *run) undrain(ctx context.Context, node *cluster.Node) error {
	return r.setDrain(ctx, node, "null")
}

func (r *run) setDrain(ctx context.Context, node *cluster.Node, value string) error {
	patch := fmt.Sprintf(`{"metadata": {"annotations": {%q: %s}}}`, v1alpha1.AnnotationDrain, value)
	return edit(ctx, func(ctx context.Context) error {
		_, err := r.Kubernetes().CoreV1().Nodes().Patch(ctx, node.Name, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
		return err
	})
}

// comeOrGo deletes a guest that is there, and creates one that is not.
func (r *run) comeOrGo(ctx context.Context, f Fault) (ender, error) {
	services := r.Kubernetes().CoreV1().Services(metav1.NamespaceDefault)
	return done, edit(ctx, func(ctx context.Context) error {
		guest, err := services.Get(ctx, guestName(f.guest()), metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
			_, err = services.Create(ctx, newGuest(f.guest()), metav1.CreateOptions{})
		case err == nil && guest.DeletionTimestamp == nil:
			err = services.Delete(ctx, guest.Name, metav1.DeleteOptions{})
		}
		return err
	})
}

// guestEdit changes a guest as kubectl edit does, or creates one that is changed.
func guestEdit(change func(guest *corev1.Service, number int)) func(*run, context.Context, Fault) (ender, error) {
	return func(r *run, ctx context.Context, f Fault) (ender, error) {
		services := r.Kubernetes().CoreV1().Services(metav1.NamespaceDefault)
		return done, edit(ctx, func(ctx context.Context) error {
			guest, err := services.Get(ctx, guestName(f.guest()), metav1.GetOptions{})
			if apierrors.IsNotFound(err) {
				guest = newGuest(f.guest())
				change(guest, f.Choice/Guests)
				_, err = services.Create(ctx, guest, metav1.CreateOptions{})
				return err
			}
			if err != nil || guest.DeletionTimestamp != nil {
				return err
			}
			change(guest, f.Choice/Guests)
			_, err = services.Update(ctx, guest, metav1.UpdateOptions{})
			return err
		})
	}
}

// wish has a guest ask for one of the last addresses of the pool, for one that no pool has, or for none.
func wish(guest *corev1.Service, number int) {
	delete(guest.Annotations, sharingKey)
	if number%9 == 0 {
		delete(guest.Annotations, addressesKey)
		return
	}
	metav1.SetMetaDataAnnotation(&guest.ObjectMeta, addressesKey, fmt.Sprintf("192.168.10.%d", 205+number%9))
}

// share has a guest share an address with all that do, or no more.
func share(guest *corev1.Service, _ int) {
	if guest.Annotations[sharingKey] != "" {
		delete(guest.Annotations, sharingKey)
		delete(guest.Annotations, addressesKey)
		return
	}
	metav1.SetMetaDataAnnotation(&guest.ObjectMeta, sharingKey, "guests")
	metav1.SetMetaDataAnnotation(&guest.ObjectMeta, addressesKey, "192.168.10.205")
}

func changeType(guest *corev1.Service, _ int) {
	if guest.Spec.Type == corev1.ServiceTypeLoadBalancer {
		guest.Spec.Type = corev1.ServiceTypeClusterIP
		guest.Spec.LoadBalancerClass = nil
	} else {
		guest.Spec.Type = corev1.ServiceTypeLoadBalancer
	}
}

func changePolicy(guest *corev1.Service, _ int) {
	switch {
	case guest.Spec.Type != corev1.ServiceTypeLoadBalancer:
	case guest.Spec.ExternalTrafficPolicy == corev1.ServiceExternalTrafficPolicyLocal:
		guest.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyCluster
	default:
		guest.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
	}
}

// foreign has a guest be another load balancer's, or Clarion's again. A class cannot be changed: the guest is deleted and created.
func (r *run) foreign(ctx context.Context, f Fault) (ender, error) {
	services := r.Kubernetes().CoreV1().Services(metav1.NamespaceDefault)
	next := newGuest(f.guest())
	if f.Choice/Guests%2 == 0 {
		next.Spec.LoadBalancerClass = ptr.To("example.com/other")
	}
	var old types.UID
	return done, edit(ctx, func(ctx context.Context) error {
		guest, err := services.Get(ctx, next.Name, metav1.GetOptions{})
		if err == nil && (old == "" || guest.UID == old) {
			old = guest.UID
			if err := services.Delete(ctx, next.Name, metav1.DeleteOptions{}); err != nil {
				return err
			}
			return fmt.Errorf("%s is being deleted", next.Name)
		}
		if !apierrors.IsNotFound(err) {
			return err
		}
		_, err = services.Create(ctx, next, metav1.CreateOptions{})
		return err
	})
}
