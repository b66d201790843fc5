package migrate

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/clarionlb/clarion/internal/plugin"
)

// podKind is read in kube-system alone, where static pods of load balancers are.
var podKind = schema.GroupKind{Kind: "Pod"}

// kinds are those that internal/migrate reads. Which a cluster has, discovery says.
var kinds = []schema.GroupKind{
	{Kind: "Service"}, {Kind: "Node"}, {Kind: "ConfigMap"}, podKind,
	{Group: "apps", Kind: "DaemonSet"}, {Group: "apps", Kind: "Deployment"},
	{Group: "metallb.io", Kind: "IPAddressPool"}, {Group: "metallb.io", Kind: "AddressPool"}, {Group: "metallb.io", Kind: "L2Advertisement"},
	{Group: "metallb.io", Kind: "BGPAdvertisement"}, {Group: "metallb.io", Kind: "BGPPeer"}, {Group: "metallb.io", Kind: "BFDProfile"},
	{Group: "metallb.io", Kind: "Community"}, {Group: "frrk8s.metallb.io", Kind: "FRRConfiguration"},
	{Group: "cilium.io", Kind: "CiliumLoadBalancerIPPool"}, {Group: "cilium.io", Kind: "CiliumL2AnnouncementPolicy"},
	{Group: "cilium.io", Kind: "CiliumBGPClusterConfig"}, {Group: "cilium.io", Kind: "CiliumBGPPeerConfig"},
	{Group: "cilium.io", Kind: "CiliumBGPAdvertisement"}, {Group: "cilium.io", Kind: "CiliumBGPPeeringPolicy"},
	{Group: "cilium.io", Kind: "CiliumBGPNodeConfigOverride"},
}

// ciliumSecrets are the namespaces that Cilium reads the passwords of BGP sessions from, by its version.
var ciliumSecrets = []string{"kube-system", "cilium-secrets"}

// readCluster has all objects of these kinds, and the Secrets that they name.
func readCluster(ctx context.Context, clients *plugin.Clients) ([]unstructured.Unstructured, error) {
	var objects []unstructured.Unstructured
	for _, kind := range kinds {
		mapping, err := clients.Mapper.RESTMapping(kind)
		if meta.IsNoMatchError(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("find out about %s: %w", kind, err)
		}
		namespace := metav1.NamespaceAll
		if kind == podKind {
			namespace = metav1.NamespaceSystem
		}
		list, err := clients.Dynamic.Resource(mapping.Resource).Namespace(namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("read all %s: %w", mapping.Resource.GroupResource(), err)
		}
		for _, object := range list.Items {
			if object.GetKind() == "" {
				object.SetGroupVersionKind(mapping.GroupVersionKind)
			}
			objects = append(objects, object)
		}
	}
	for _, object := range objects {
		secrets, err := readSecrets(ctx, clients, &object)
		if err != nil {
			return nil, err
		}
		objects = append(objects, secrets...)
	}
	return objects, nil
}

// readSecrets has the Secrets that an object names. One that is not there, or that the user may not read, is left out; the plan
// says so.
func readSecrets(ctx context.Context, clients *plugin.Clients, object *unstructured.Unstructured) ([]unstructured.Unstructured, error) {
	var name string
	var namespaces []string
	switch object.GetKind() {
	case "BGPPeer":
		name, _, _ = unstructured.NestedString(object.Object, "spec", "passwordSecret", "name")
		namespaces = []string{object.GetNamespace()}
	case "CiliumBGPPeerConfig":
		name, _, _ = unstructured.NestedString(object.Object, "spec", "authSecretRef")
		namespaces = ciliumSecrets
	}
	if name == "" {
		return nil, nil
	}
	for _, namespace := range namespaces {
		secret, err := clients.Dynamic.Resource(corev1.SchemeGroupVersion.WithResource("secrets")).Namespace(namespace).Get(ctx, name, metav1.GetOptions{})
		switch {
		case err == nil:
			return []unstructured.Unstructured{*secret}, nil
		case !apierrors.IsNotFound(err) && !apierrors.IsForbidden(err):
			return nil, fmt.Errorf("read Secret %s/%s: %w", namespace, name, err)
		}
	}
	return nil, nil
}
