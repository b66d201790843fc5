package migrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/migrate"
	"github.com/clarionlb/clarion/internal/plugin"
)

// poll is how often the API is asked for what is waited for.
const poll = 200 * time.Millisecond

// applier carries a plan out.
type applier struct {
	kube    kubernetes.Interface
	dynamic dynamic.Interface
	record  *record
	timeout time.Duration
	out     io.Writer
}

func (o *options) newApplier() (*applier, error) {
	clients, err := o.Clients()
	if err != nil {
		return nil, err
	}
	return &applier{kube: clients.Kube, dynamic: clients.Dynamic, timeout: o.timeout, out: o.Out}, nil
}

func (o *options) runApply(ctx context.Context, plan *migrate.Plan) error {
	moves, err := selected(plan.Moves, o.canary)
	if err != nil {
		return err
	}
	a, err := o.newApplier()
	if err != nil {
		return err
	}
	fmt.Fprintln(o.Out)
	if err := a.dryRun(ctx, plan); err != nil {
		return err
	}
	if a.record, err = openRecord(o.record); err != nil {
		return err
	}
	defer a.record.file.Close()
	if err := errors.Join(a.create(ctx, plan), a.awaitPools(ctx, plan)); err != nil {
		return err
	}
	for _, group := range migrate.Groups(moves) {
		if err := a.move(ctx, group); err != nil {
			return err
		}
	}
	fmt.Fprintf(o.Out, "What was changed is recorded in %s. The steps that are yours are above.\n", o.record)
	return nil
}

// selected are the moves that a canary names: those of a Service, or of a namespace. Services that share an address go together.
func selected(moves []migrate.Move, canary string) ([]migrate.Move, error) {
	if canary == "" {
		return moves, nil
	}
	var chosen []migrate.Move
	for _, group := range migrate.Groups(moves) {
		if slices.ContainsFunc(group, func(m migrate.Move) bool { return m.Service.String() == canary || m.Service.Namespace == canary }) {
			chosen = append(chosen, group...)
		}
	}
	if len(chosen) == 0 {
		return nil, plugin.Usagef("no Service to move is, or is in, %s", canary)
	}
	return chosen, nil
}

// resourceOf is the resource of one of Clarion's kinds.
func resourceOf(kind string) schema.GroupVersionResource {
	plural := strings.ToLower(kind) + "s"
	if kind == "Community" {
		plural = "communities"
	}
	return v1alpha1.SchemeGroupVersion.WithResource(plural)
}

// dryRun has the API server look at every object, so that nothing is changed if one is refused.
func (a *applier) dryRun(ctx context.Context, plan *migrate.Plan) error {
	var errs []error
	for _, object := range plan.Objects {
		_, err := a.dynamic.Resource(resourceOf(object.GetKind())).Create(ctx, object.DeepCopy(),
			metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}, FieldValidation: metav1.FieldValidationStrict})
		switch {
		case apierrors.IsNotFound(err):
			return plugin.Refusef("the cluster has no %s: install Clarion first", object.GetKind())
		case err != nil && !apierrors.IsAlreadyExists(err):
			errs = append(errs, fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err))
		}
	}
	return errors.Join(errs...)
}

// create makes what there is not yet. What is there is left as it is.
func (a *applier) create(ctx context.Context, plan *migrate.Plan) error {
	for _, secret := range plan.Secrets {
		made, err := a.kube.CoreV1().Secrets(secret.Namespace).Create(ctx, &secret, metav1.CreateOptions{})
		if err := a.created(created{Kind: "Secret", Namespace: secret.Namespace, Name: secret.Name}, made, err); err != nil {
			return err
		}
	}
	for _, object := range plan.Objects {
		made, err := a.createObject(ctx, &object)
		if err := a.created(created{Kind: object.GetKind(), Name: object.GetName()}, made, err); err != nil {
			return err
		}
	}
	return nil
}

// createObject makes an object of Clarion's. If one of its name is just going, as after a rollback, it waits for that: what goes would
// take with it what the Services get. Where one stays, the error is AlreadyExists.
func (a *applier) createObject(ctx context.Context, object *unstructured.Unstructured) (made *unstructured.Unstructured, err error) {
	client := a.dynamic.Resource(resourceOf(object.GetKind()))
	gone := a.poll(ctx, func(ctx context.Context) (bool, error) {
		if made, err = client.Create(ctx, object.DeepCopy(), metav1.CreateOptions{}); !apierrors.IsAlreadyExists(err) {
			return true, nil
		}
		there, getErr := client.Get(ctx, object.GetName(), metav1.GetOptions{})
		if apierrors.IsNotFound(getErr) {
			return false, nil
		}
		return getErr == nil && there.GetDeletionTimestamp() == nil, getErr
	})
	if gone != nil {
		return nil, fmt.Errorf("wait for the former one, which is being deleted, to go: %w", gone)
	}
	return made, err
}

// poll asks until the answer is yes, for as long as the user waits.
func (a *applier) poll(ctx context.Context, ask wait.ConditionWithContextFunc) error {
	return wait.PollUntilContextTimeout(ctx, poll, a.timeout, true, ask)
}

// created records an object that was made.
func (a *applier) created(c created, made metav1.Object, err error) error {
	name := strings.TrimPrefix(c.Namespace+"/"+c.Name, "/")
	switch {
	case apierrors.IsAlreadyExists(err):
		fmt.Fprintf(a.out, "%s %s is there, and is left as it is\n", c.Kind, name)
		return nil
	case err != nil:
		return fmt.Errorf("make %s %s: %w", c.Kind, name, err)
	}
	c.UID = made.GetUID()
	fmt.Fprintf(a.out, "%s %s is made\n", c.Kind, name)
	return a.record.add(entry{Created: &c})
}

// awaitPools waits until the cloud-controller-manager has looked at all pools.
func (a *applier) awaitPools(ctx context.Context, plan *migrate.Plan) error {
	for _, object := range plan.Objects {
		if object.GetKind() != "IPAddressPool" {
			continue
		}
		last := "nobody has looked at it: does the cloud-controller-manager run?"
		err := a.poll(ctx, func(ctx context.Context) (bool, error) {
			got, err := a.dynamic.Resource(resourceOf("IPAddressPool")).Get(ctx, object.GetName(), metav1.GetOptions{})
			if err != nil {
				return false, err
			}
			conditions, _, _ := unstructured.NestedSlice(got.Object, "status", "conditions")
			for _, c := range conditions {
				if c, _ := c.(map[string]any); c["type"] == v1alpha1.ConditionReady {
					last = fmt.Sprint(c["message"])
					return c["status"] == string(metav1.ConditionTrue), nil
				}
			}
			return false, nil
		})
		if err != nil {
			return fmt.Errorf("IPAddressPool %s is not ready (%s): %w", object.GetName(), last, err)
		}
	}
	return nil
}

// addressesOf are the addresses in a Service's status.
func addressesOf(service *corev1.Service) []string {
	var list []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		list = append(list, ingress.IP)
	}
	slices.Sort(list)
	return list
}
