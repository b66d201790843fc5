package migrate

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// input is what there is, by kind.
type input struct {
	objects    []unstructured.Unstructured
	services   []corev1.Service
	nodes      []corev1.Node
	secrets    map[types.NamespacedName]corev1.Secret
	configMaps []corev1.ConfigMap
	pods       []corev1.Pod
}

// read sorts objects by name, so that a plan is the same for the same objects.
func read(objects []unstructured.Unstructured) (*input, error) {
	in := &input{secrets: map[types.NamespacedName]corev1.Secret{}}
	objects = slices.Clone(objects)
	slices.SortStableFunc(objects, func(a, b unstructured.Unstructured) int {
		return strings.Compare(refOf(&a).String(), refOf(&b).String())
	})
	for _, object := range objects {
		if group, _, _ := strings.Cut(object.GetAPIVersion(), "/"); group != "v1" {
			in.objects = append(in.objects, object)
			continue
		}
		var err error
		switch object.GetKind() {
		case "Service":
			in.services, err = decoded(in.services, object)
		case "Node":
			in.nodes, err = decoded(in.nodes, object)
		case "ConfigMap":
			in.configMaps, err = decoded(in.configMaps, object)
		case "Pod":
			in.pods, err = decoded(in.pods, object)
		case "Secret":
			var secrets []corev1.Secret
			if secrets, err = decoded(secrets, object); err == nil {
				in.secrets[types.NamespacedName{Namespace: object.GetNamespace(), Name: object.GetName()}] = secrets[0]
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return in, nil
}

func decoded[T any](list []T, object unstructured.Unstructured) ([]T, error) {
	var typed T
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, &typed); err != nil {
		return nil, fmt.Errorf("%s cannot be read: %w", refOf(&object), err)
	}
	return append(list, typed), nil
}

// of are the objects of a kind in an API group.
func (in *input) of(group, kind string) []unstructured.Unstructured {
	var list []unstructured.Unstructured
	for _, object := range in.objects {
		if strings.HasPrefix(object.GetAPIVersion(), group+"/") && object.GetKind() == kind {
			list = append(list, object)
		}
	}
	return list
}

// kinds are those that there are of an API group, sorted.
func (in *input) kinds(group string) []string {
	var list []string
	for _, object := range in.objects {
		if strings.HasPrefix(object.GetAPIVersion(), group+"/") {
			list = append(list, object.GetKind())
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// arguments are those of the containers with a name, of all Deployments and DaemonSets with a label app of that product.
func (in *input) arguments(product, container string) []string {
	var all []string
	for _, kind := range []string{"DaemonSet", "Deployment"} {
		for _, workload := range in.of("apps", kind) {
			labels := workload.GetLabels()
			if labels["app"] != product && labels["app.kubernetes.io/name"] != product {
				continue
			}
			containers, _, _ := unstructured.NestedSlice(workload.Object, "spec", "template", "spec", "containers")
			for _, c := range containers {
				c, _ := c.(map[string]any)
				if name, _, _ := unstructured.NestedString(c, "name"); !strings.HasSuffix(name, container) {
					continue
				}
				for _, field := range []string{"command", "args"} {
					arguments, _, _ := unstructured.NestedStringSlice(c, field)
					all = append(all, arguments...)
				}
			}
		}
	}
	return all
}

// flagValue is the value of a flag among arguments, and whether it is there. One without a value is "true".
func flagValue(arguments []string, name string) (string, bool) {
	for i, argument := range arguments {
		text := strings.TrimLeft(argument, "-")
		if text == argument {
			continue
		}
		if value, is := strings.CutPrefix(text, name+"="); is {
			return value, true
		}
		if text == name {
			if i+1 < len(arguments) && !strings.HasPrefix(arguments[i+1], "-") {
				return arguments[i+1], true
			}
			return "true", true
		}
	}
	return "", false
}

// addressesOf are the addresses in a Service's status.
func addressesOf(service *corev1.Service) []string {
	var list []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		if addr, err := netip.ParseAddr(ingress.IP); err == nil && !slices.Contains(list, addr.String()) {
			list = append(list, addr.String())
		}
	}
	return list
}

// nodeWith is the node that has an address; "" if none has.
func (in *input) nodeWith(address string) string {
	for _, node := range in.nodes {
		for _, has := range node.Status.Addresses {
			if has.Address == address {
				return node.Name
			}
		}
	}
	return ""
}

func serviceRef(service *corev1.Service) Ref { return Ref{"Service", service.Namespace, service.Name} }

func nameOf(service *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
}
