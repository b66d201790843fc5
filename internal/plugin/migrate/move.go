package migrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/retry"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/migrate"
	"github.com/clarionlb/clarion/internal/scope"
)

// move moves Services that share an address, one after the other. If one does not get its address, those that this call has moved
// are put back.
func (a *applier) move(ctx context.Context, group []migrate.Move) error {
	var begun []entry
	undo := func(err error) error { return errors.Join(err, a.settle(context.WithoutCancel(ctx), begun)) }
	var pending []migrate.Move
	for _, m := range group {
		service, err := a.get(ctx, m.Service)
		if err != nil {
			return undo(err)
		}
		if isMoved(service, &m) {
			fmt.Fprintf(a.out, "Service %s is moved already\n", m.Service)
			continue
		}
		service.ManagedFields = nil
		e := entry{Service: service, How: m.How, Annotations: slices.Sorted(maps.Keys(m.Annotations)), Reclaim: m.Reclaim}
		if err := a.record.add(e); err != nil {
			return undo(err)
		}
		begun, pending = append(begun, e), append(pending, m)
		if err := a.begin(ctx, &m); err != nil {
			return undo(err)
		}
	}
	for i, m := range pending {
		if err := a.finish(ctx, &m, begun[i].Service); err != nil {
			return undo(err)
		}
	}
	for _, e := range begun { // together: before that, all of them are put back
		if err := a.record.add(entry{Settled: e.name()}); err != nil {
			return err
		}
	}
	return nil
}

// isMoved says whether a Service is as it is to be after its move.
func isMoved(service *corev1.Service, m *migrate.Move) bool {
	for name, value := range m.Annotations {
		if service.Annotations[name] != value {
			return false
		}
	}
	return m.How == migrate.ByFlag || assigned(service, m.Addresses) == nil && (m.How != migrate.Convert || len(service.Spec.ExternalIPs) == 0)
}

// assigned says why a Service does not have these addresses from Clarion; without addresses, any are good.
func assigned(service *corev1.Service, addresses []string) error {
	said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	switch {
	case said == nil || said.Status == metav1.ConditionUnknown:
		return errors.New("there is no answer yet: does the cloud-controller-manager run?")
	case said.Status != metav1.ConditionTrue:
		return errors.New(said.Message)
	}
	want, has := slices.Sorted(slices.Values(addresses)), addressesOf(service)
	if len(want) > 0 && !slices.Equal(want, has) {
		return fmt.Errorf("it has %s in place of %s", strings.Join(has, ", "), strings.Join(want, ", "))
	}
	return nil
}

// begin does what all Services that share an address need before the first of them is finished.
func (a *applier) begin(ctx context.Context, m *migrate.Move) error {
	annotations := map[string]*string{}
	for name, value := range m.Annotations {
		annotations[name] = &value
	}
	if err := a.annotate(ctx, m.Service, annotations); err != nil {
		return err
	}
	if m.How == migrate.Recreate {
		return a.update(ctx, m.Service, withdraw)
	}
	return nil
}

// finish has Clarion serve a Service, and waits until it does.
func (a *applier) finish(ctx context.Context, m *migrate.Move, before *corev1.Service) error {
	var err error
	switch m.How {
	case migrate.ByFlag:
		fmt.Fprintf(a.out, "Service %s asks for its address, and is Clarion's when it serves the class\n", m.Service)
		return nil
	case migrate.Adopt:
		err = a.takeUp(ctx, before)
	case migrate.Recreate:
		err = a.remake(ctx, before, func(s *corev1.Service) { restore(s, before, ptr.To(m.Class)) })
	case migrate.Convert:
		err = a.update(ctx, m.Service, func(s *corev1.Service) { convert(s, m.Class) })
	}
	if err != nil {
		return err
	}
	if err := a.await(ctx, m.Service, func(s *corev1.Service) error { return assigned(s, m.Addresses) }); err != nil {
		return err
	}
	if m.How == migrate.Convert {
		if err := a.await(ctx, m.Service, isAnnounced); err != nil {
			return err
		}
		if err := a.update(ctx, m.Service, func(s *corev1.Service) { s.Spec.ExternalIPs = nil }); err != nil {
			return err
		}
	}
	service, err := a.get(ctx, m.Service)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "Service %s is Clarion's, with %s\n", m.Service, strings.Join(addressesOf(service), ", "))
	return nil
}

// isAnnounced says why a Service is not announced.
func isAnnounced(service *corev1.Service) error {
	said := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
	switch {
	case said == nil:
		return errors.New("nobody says whether it is announced")
	case said.Status != metav1.ConditionTrue:
		return errors.New(said.Message)
	}
	return nil
}

// takeUp has Clarion take a Service up that has no class, whether or not it serves such Services by itself. What Clarion has answered
// meanwhile stays.
func (a *applier) takeUp(ctx context.Context, before *corev1.Service) error {
	services := a.kube.CoreV1().Services(before.Namespace)
	err := retry.RetryOnConflict(retry.DefaultRetry, func() error {
		service, err := services.Get(ctx, before.Name, metav1.GetOptions{})
		if err != nil || meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil {
			return err
		}
		patch, err := json.Marshal(map[string]any{
			"metadata": map[string]any{"uid": before.UID, "resourceVersion": service.ResourceVersion},
			"status":   map[string]any{"conditions": []metav1.Condition{scope.TakenUp(metav1.Now())}},
		})
		if err != nil {
			return err
		}
		_, err = services.Patch(ctx, service.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		return err
	})
	if err != nil {
		return fmt.Errorf("mark Service %s/%s: %w", before.Namespace, before.Name, err)
	}
	return nil
}

// await waits until there is nothing wrong with a Service, and says in the end what was.
func (a *applier) await(ctx context.Context, name types.NamespacedName, check func(*corev1.Service) error) error {
	var last error
	err := a.poll(ctx, func(ctx context.Context) (bool, error) {
		service, err := a.get(ctx, name)
		if err != nil {
			return false, err
		}
		last = check(service)
		return last == nil, nil
	})
	if err != nil && last != nil {
		return fmt.Errorf("wait for Service %s: %w", name, last)
	}
	return err
}

func (a *applier) get(ctx context.Context, name types.NamespacedName) (*corev1.Service, error) {
	service, err := a.kube.CoreV1().Services(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("read Service %s: %w", name, err)
	}
	return service, nil
}

// update changes a Service, again if somebody else has done so meanwhile, or if the API server has not given its node port up yet.
func (a *applier) update(ctx context.Context, name types.NamespacedName, change func(*corev1.Service)) error {
	patience := wait.Backoff{Steps: 10, Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.1} // some 10 s in all
	err := retry.OnError(patience, func(err error) bool { return apierrors.IsConflict(err) || isAllocated(err) }, func() error {
		service, err := a.kube.CoreV1().Services(name.Namespace).Get(ctx, name.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		change(service)
		_, err = a.kube.CoreV1().Services(name.Namespace).Update(ctx, service, metav1.UpdateOptions{})
		return err
	})
	if err != nil {
		return fmt.Errorf("change Service %s: %w", name, err)
	}
	return nil
}

// allocated ends the error about a node port that another Service has, or had a moment ago. The API server allocates it before it writes
// the Service, so that an update that came to nothing keeps it for a while (ErrAllocated of pkg/registry/core/service/portallocator). Of a
// healthCheckNodePort, the error is an internal one (allocHealthCheckNodePort of pkg/registry/core/service/storage).
const allocated = ": provided port is already allocated"

func isAllocated(err error) bool { return err != nil && strings.Contains(err.Error(), allocated) }

// While a Service was not written for as long as quiet, whoever served it has let go of it. It is waited for no longer than quietTimeout.
const (
	quiet        = 250 * time.Millisecond
	quietTimeout = 3 * time.Second
)

// awaitQuiet waits until nobody writes a Service any more. An update with a node port that conflicts with another one leaves the port allocated
// in the API server until that repairs it, after minutes (repair loop of pkg/registry/core/service/portallocator): the Service would get another one.
func (a *applier) awaitQuiet(ctx context.Context, name types.NamespacedName) error {
	version, began := "", time.Now()
	for since := began; time.Since(since) < quiet && time.Since(began) < quietTimeout; {
		service, err := a.get(ctx, name)
		if err != nil {
			return err
		}
		if service.ResourceVersion != version {
			version, since = service.ResourceVersion, time.Now()
		}
		select {
		case <-time.After(quiet / 5):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// remake makes of a Service that has no node ports one that has those from before. It gets others in place of those that another Service
// has by now: better that than no address.
func (a *applier) remake(ctx context.Context, before *corev1.Service, change func(*corev1.Service)) error {
	name := types.NamespacedName{Namespace: before.Namespace, Name: before.Name}
	if err := a.awaitQuiet(ctx, name); err != nil {
		return err
	}
	lost := sets.New[int32]()
	for {
		err := a.update(ctx, name, func(s *corev1.Service) {
			change(s)
			leaveOut(s, lost)
		})
		port := takenOf(before, err)
		if port == 0 || lost.Has(port) {
			return err
		}
		fmt.Fprintf(a.out, "Service %s gets another node port in place of %d, which another Service has\n", name, port)
		lost.Insert(port)
	}
}

// annotate sets annotations; nil removes one. The others stay.
func (a *applier) annotate(ctx context.Context, name types.NamespacedName, annotations map[string]*string) error {
	if len(annotations) == 0 {
		return nil // a patch with none at all would remove all that there are
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations}})
	if err != nil {
		return err
	}
	if _, err = a.kube.CoreV1().Services(name.Namespace).Patch(ctx, name.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("annotate Service %s: %w", name, err)
	}
	return nil
}
