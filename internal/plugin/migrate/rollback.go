package migrate

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/util/retry"

	"github.com/clarionlb/clarion/internal/migrate"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/scope"
)

// runRollback undoes what a record has, the last first: Services are given back, then the objects go.
func (o *options) runRollback(ctx context.Context) error {
	entries, err := readRecord(o.rollback)
	if errors.Is(err, fs.ErrNotExist) {
		return plugin.Usagef("there is no record %s. Without one, kubectl clarion uninstall --hand-over leaves Services their addresses, "+
			"for the other load balancer to take over", o.rollback)
	}
	if err != nil {
		return err
	}
	if len(entries) == 0 {
		fmt.Fprintf(o.Out, "%s records nothing that is not undone yet\n", o.rollback)
		return nil
	}
	a, err := o.newApplier()
	if err != nil {
		return err
	}
	if err := a.refuseServedByClass(ctx, entries); err != nil {
		return err
	}
	if err := a.rollback(ctx, entries); err != nil {
		return err
	}
	if a.record, err = openRecord(o.rollback); err != nil {
		return err
	}
	defer a.record.file.Close()
	return a.record.add(entry{RolledBack: true})
}

// refuseServedByClass has nothing undone while Clarion serves a Service by its class: nobody but its flag can give that back, and until
// then no pool goes.
func (a *applier) refuseServedByClass(ctx context.Context, entries []entry) error {
	for _, e := range entries {
		if e.How != migrate.ByFlag {
			continue
		}
		now, err := a.kube.CoreV1().Services(e.Service.Namespace).Get(ctx, e.Service.Name, metav1.GetOptions{})
		switch {
		case apierrors.IsNotFound(err):
		case err != nil:
			return fmt.Errorf("read Service %s: %w", e.name(), err)
		case now.UID == e.Service.UID && scope.Marked(now):
			return plugin.Refusef("Clarion serves Service %s by its class: have both programs run without --load-balancer-class=%s first",
				e.name(), scope.ClassOf(now))
		}
	}
	return nil
}

// resume puts Services back that an earlier run has left in the middle of their move: it was killed, or the network went. They are
// moved anew then.
func (o *options) resume(ctx context.Context) error {
	entries, err := readRecord(o.record)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	left := unsettled(entries)
	if err != nil || len(left) == 0 {
		return err
	}
	a, err := o.newApplier()
	if err != nil {
		return err
	}
	if a.record, err = openRecord(o.record); err != nil {
		return err
	}
	defer a.record.file.Close()
	return a.settle(ctx, left)
}

// settle puts Services back, the last first.
func (a *applier) settle(ctx context.Context, begun []entry) error {
	var errs []error
	for _, e := range slices.Backward(begun) {
		err := a.putBack(ctx, e)
		if err == nil {
			err = a.record.add(entry{Settled: e.name()})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

func (a *applier) rollback(ctx context.Context, entries []entry) error {
	var errs []error
	poolsWent := false
	for _, e := range slices.Backward(entries) {
		var err error
		switch {
		case e.Service != nil:
			err = a.putBack(ctx, e)
		case e.Created != nil && len(errs) == 0: // what is left of Services may need it
			err = a.remove(ctx, e.Created)
			poolsWent = poolsWent || e.Created.Kind == "IPAddressPool"
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) > 0 || !poolsWent {
		return errors.Join(errs...)
	}
	for _, e := range entries {
		if e.Service != nil {
			errs = append(errs, a.returnFinalizer(ctx, e.Service))
		}
	}
	return errors.Join(errs...)
}

// returnFinalizer puts the finalizer of load balancers back on a Service that had that of another one. It is Clarion's, too: who knows the
// Service as Clarion's, and has not seen the finalizer go, takes it for one that still is. So this comes last, when there is no pool any
// more by which a node would announce the address.
func (a *applier) returnFinalizer(ctx context.Context, before *corev1.Service) error {
	if !slices.Contains(before.Finalizers, scope.Finalizer) || scope.Marked(before) {
		return nil
	}
	services := a.kube.CoreV1().Services(before.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		service, err := services.Get(ctx, before.Name, metav1.GetOptions{})
		if err != nil || service.UID != before.UID || service.DeletionTimestamp != nil || scope.Marked(service) || slices.Contains(service.Finalizers, scope.Finalizer) {
			return err
		}
		service.Finalizers = append(service.Finalizers, scope.Finalizer)
		_, err = services.Update(ctx, service, metav1.UpdateOptions{})
		return err
	})
	if err != nil && !apierrors.IsNotFound(err) {
		return fmt.Errorf("put the finalizer of Service %s/%s back: %w", before.Namespace, before.Name, err)
	}
	return nil
}

// putBack makes a Service what it was before it was moved. One that is gone, or another one by now, is left alone.
func (a *applier) putBack(ctx context.Context, e entry) error {
	before := e.Service
	name := types.NamespacedName{Namespace: before.Namespace, Name: before.Name}
	service, err := a.kube.CoreV1().Services(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		fmt.Fprintf(a.out, "Service %s is gone\n", name)
		return nil
	case err != nil:
		return fmt.Errorf("read Service %s: %w", name, err)
	case service.UID != before.UID:
		fmt.Fprintf(a.out, "Service %s is another one by now, and is left as it is\n", name)
		return nil
	}
	switch e.How {
	case migrate.Adopt:
		err = plugin.HandOver(ctx, a.kube, name, func(s *corev1.Service) { s.Status.LoadBalancer = before.Status.LoadBalancer })
	case migrate.Recreate:
		err = a.unmake(ctx, name, e)
	case migrate.Convert:
		err = a.remake(ctx, before, func(s *corev1.Service) {
			s.Spec.ExternalIPs = before.Spec.ExternalIPs
			withdraw(s)
			if before.Spec.Type != corev1.ServiceTypeClusterIP {
				restore(s, before, nil)
			}
		})
	}
	if err != nil {
		return err
	}
	annotations := map[string]*string{}
	for _, annotation := range e.Annotations {
		annotations[annotation] = nil
		if value, had := before.Annotations[annotation]; had {
			annotations[annotation] = &value
		}
	}
	if err := a.annotate(ctx, name, annotations); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Service %s is as it was\n", name)
	return nil
}

// unmake gives a Service that was made anew back to the other load balancer, which has to hand its addresses out once more.
func (a *applier) unmake(ctx context.Context, name types.NamespacedName, e entry) error {
	before := e.Service
	if err := a.update(ctx, name, withdraw); err != nil {
		return err
	}
	for _, annotation := range slices.Sorted(maps.Keys(e.Reclaim)) {
		fmt.Fprintf(a.out, "Service %s asks for its address: %s: %s\n", name, annotation, e.Reclaim[annotation])
	}
	err := a.remake(ctx, before, func(s *corev1.Service) {
		restore(s, before, before.Spec.LoadBalancerClass)
		for annotation, value := range e.Reclaim {
			metav1.SetMetaDataAnnotation(&s.ObjectMeta, annotation, value)
		}
	})
	if err != nil {
		return err
	}
	return a.await(ctx, name, func(s *corev1.Service) error {
		want, has := addressesOf(before), addressesOf(s)
		if len(want) > 0 && !slices.Equal(want, has) {
			return fmt.Errorf("its load balancer has given it %q in place of %q: does it run?", has, want)
		}
		return nil
	})
}

// remove deletes an object that was made, if it is still the same one, and waits until it is gone: a pool stays for as long as Services
// have addresses of it.
func (a *applier) remove(ctx context.Context, c *created) error {
	var client dynamic.ResourceInterface = a.dynamic.Resource(resourceOf(c.Kind))
	if c.Kind == "Secret" {
		client = a.dynamic.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(c.Namespace)
	}
	err := client.Delete(ctx, c.Name, metav1.DeleteOptions{Preconditions: &metav1.Preconditions{UID: &c.UID}})
	switch {
	case apierrors.IsNotFound(err), apierrors.IsConflict(err):
		return nil
	case err != nil:
		return fmt.Errorf("delete %s %s: %w", c.Kind, c.Name, err)
	}
	var held []string
	err = a.poll(ctx, func(ctx context.Context) (bool, error) {
		object, err := client.Get(ctx, c.Name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) || err == nil && object.GetUID() != c.UID {
			return true, nil
		}
		if err == nil {
			held = object.GetFinalizers()
		}
		return false, err
	})
	if err != nil {
		return fmt.Errorf("wait for %s %s, which is being deleted, to go (finalizers %s): %w", c.Kind, c.Name, strings.Join(held, ", "), err)
	}
	fmt.Fprintf(a.out, "%s %s is deleted\n", c.Kind, c.Name)
	return nil
}
