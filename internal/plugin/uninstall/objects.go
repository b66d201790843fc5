package uninstall

import (
	"context"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// kinds are those of the manifests, in the order in which they are removed: what runs first, what it needs last. A test holds them
// against the manifests.
var kinds = []schema.GroupKind{
	{Group: "monitoring.coreos.com", Kind: "PodMonitor"}, {Group: "monitoring.coreos.com", Kind: "ServiceMonitor"},
	{Group: "monitoring.coreos.com", Kind: "PrometheusRule"}, {Kind: "ConfigMap"},
	{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "DaemonSet"}, {Group: "policy", Kind: "PodDisruptionBudget"}, {Kind: "Service"},
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"},
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"},
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"},
	{Group: "rbac.authorization.k8s.io", Kind: "ClusterRoleBinding"}, {Group: "rbac.authorization.k8s.io", Kind: "ClusterRole"},
	{Group: "rbac.authorization.k8s.io", Kind: "RoleBinding"}, {Group: "rbac.authorization.k8s.io", Kind: "Role"},
	{Kind: "Secret"}, {Kind: "ServiceAccount"}, {Kind: "Namespace"},
}

// partOfClarion is the label of all objects of the manifests and of the Helm chart.
const partOfClarion = "app.kubernetes.io/part-of=clarion"

// inUsePolicy is the admission policy by which definitions and namespaces are kept while Services have addresses.
const inUsePolicy = "clarion-in-use"

// namespaces are those in which the manifests have objects.
var namespaces = []string{controllerNamespace, v1alpha1.SystemNamespace, v1alpha1.PasswordNamespace}

// object is one that is to be removed.
type object struct {
	kind, namespace, name string
	client                dynamic.ResourceInterface
}

func (o object) String() string {
	return o.kind + " " + strings.TrimPrefix(o.namespace+"/"+o.name, "/")
}

// objects are those of the manifests that there are, in the order in which they are removed. helm says whether Helm has made one.
func (r *remover) objects(ctx context.Context) (all []object, helm bool, err error) {
	for _, kind := range kinds {
		mapping, err := r.Mapper.RESTMapping(kind)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, false, fmt.Errorf("find out about %s: %w", kind, err)
		}
		list, err := r.Dynamic.Resource(mapping.Resource).List(ctx, metav1.ListOptions{LabelSelector: partOfClarion})
		if err != nil {
			return nil, false, fmt.Errorf("read all %s: %w", mapping.Resource.GroupResource(), err)
		}
		for _, item := range list.Items {
			namespaced := mapping.Scope.Name() == meta.RESTScopeNameNamespace
			if namespaced && !slices.Contains(namespaces, item.GetNamespace()) {
				continue // somebody else's label
			}
			o := object{kind: kind.Kind, namespace: item.GetNamespace(), name: item.GetName(), client: r.Dynamic.Resource(mapping.Resource)}
			if namespaced {
				o.client = r.Dynamic.Resource(mapping.Resource).Namespace(o.namespace)
			}
			all = append(all, o)
			helm = helm || isOfHelm(&item)
		}
	}
	lease := schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
	leases := r.Dynamic.Resource(lease).Namespace(controllerNamespace)
	if _, err := leases.Get(ctx, controller, metav1.GetOptions{}); err == nil {
		all = append(all, object{"Lease", controllerNamespace, controller, leases})
	} else if !apierrors.IsNotFound(err) {
		return nil, false, fmt.Errorf("read the lease of the cloud-controller-manager: %w", err)
	}
	return all, helm, nil
}

func isOfHelm(item *unstructured.Unstructured) bool {
	return item.GetLabels()["app.kubernetes.io/managed-by"] == "Helm"
}

// removeObjects deletes the objects of the manifests, and waits until they are gone.
func (r *remover) removeObjects(ctx context.Context) error {
	objects, helm, err := r.objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		if err := r.delete(ctx, o); err != nil {
			return err
		}
		r.say("%s is deleted", o)
	}
	for _, o := range objects {
		if err := r.await(ctx, o.String()+" to be gone", func(ctx context.Context) (bool, error) {
			_, err := o.client.Get(ctx, o.name, metav1.GetOptions{})
			return apierrors.IsNotFound(err), ignoreNotFound(err)
		}); err != nil {
			return err
		}
	}
	if helm {
		r.say("Helm still lists the release: helm uninstall removes that")
	}
	return nil
}

// delete deletes an object. The API server hears with a delay that the pools are gone, and that the policy is which protects what
// they need.
func (r *remover) delete(ctx context.Context, o object) error {
	var last error
	err := r.await(ctx, "leave to delete "+o.String(), func(ctx context.Context) (bool, error) {
		last = ignoreNotFound(o.client.Delete(ctx, o.name, metav1.DeleteOptions{}))
		if last != nil && strings.Contains(last.Error(), inUsePolicy) {
			return false, nil
		}
		return true, last
	})
	if err != nil && last != nil {
		return fmt.Errorf("delete %s: %w", o, last)
	}
	return err
}

func ignoreNotFound(err error) error {
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// tell says what would be removed.
func (r *remover) tell(ctx context.Context, services []corev1.Service) error {
	objects, _, err := r.objects(ctx)
	if err != nil {
		return err
	}
	for _, o := range objects {
		r.say("%s would be deleted", o)
	}
	for _, s := range services {
		r.say("Service %s/%s would lose what Clarion has put on it; it has %s", s.Namespace, s.Name, strings.Join(addressesOf(&s), ", "))
	}
	return nil
}
