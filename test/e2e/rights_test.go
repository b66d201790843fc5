package e2e

import (
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
)

// testRights has a thief use the tokens of both programs: what RBAC cannot say, admission policies do.
func testRights(d *deployment) {
	announcer := d.as("clarion-system", "announcer")
	d.t.Run("an announcer writes its own node's Announcer, and no other", func(t *testing.T) {
		d := d.in(t)
		own := d.Nodes()[0].Name
		announcers := versioned.NewForConfigOrDie(announcer).ClarionV1alpha1().Announcers()
		rebalanced := []byte(`{"status": {"layer2": {"rebalanced": "once"}}}`)
		if _, err := announcers.Patch(d.ctx, own, types.MergePatchType, rebalanced, metav1.PatchOptions{}, "status"); err != nil {
			d.t.Errorf("its own: %v", err)
		}
		if _, err := d.Clarion.ClarionV1alpha1().Announcers().Create(d.ctx, &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere"}}, metav1.CreateOptions{}); err != nil {
			d.t.Fatal(err)
		}
		_, patched := announcers.Patch(d.ctx, "elsewhere", types.MergePatchType, rebalanced, metav1.PatchOptions{}, "status")
		_, created := announcers.Create(d.ctx, &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "another"}}, metav1.CreateOptions{})
		slice := &v1alpha1.ClaimSlice{ObjectMeta: metav1.ObjectMeta{Name: own + "-0"}, Announcer: "elsewhere", Revision: 1}
		_, sliced := versioned.NewForConfigOrDie(announcer).ClarionV1alpha1().ClaimSlices().Create(d.ctx, slice, metav1.CreateOptions{})
		for what, err := range map[string]error{"patch": patched, "create": created, "ClaimSlice": sliced} {
			if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), `the announcer of node "`+own+`" may not write `) {
				d.t.Errorf("%s of another node's: got %v, want it to be forbidden, with the reason", what, err)
			}
		}
	})
	d.t.Run("the cloud-controller-manager makes no token", func(t *testing.T) {
		d := d.in(t)
		secrets := kubernetes.NewForConfigOrDie(d.as(metav1.NamespaceSystem, ccm)).CoreV1().Secrets("clarion-system")
		for _, secret := range []*corev1.Secret{
			{
				ObjectMeta: metav1.ObjectMeta{Name: "stolen", Annotations: map[string]string{corev1.ServiceAccountNameKey: "announcer"}},
				Type:       corev1.SecretTypeServiceAccountToken,
			},
			{
				ObjectMeta: metav1.ObjectMeta{Name: "clarion-gossip", Annotations: map[string]string{corev1.ServiceAccountNameKey: "announcer"}},
				Type:       corev1.SecretTypeServiceAccountToken,
			},
			{ObjectMeta: metav1.ObjectMeta{Name: "litter"}, Type: corev1.SecretTypeOpaque},
		} {
			if _, err := secrets.Create(d.ctx, secret, metav1.CreateOptions{}); !apierrors.IsForbidden(err) {
				d.t.Errorf("Secret %q of type %q: got %v, want it to be forbidden", secret.Name, secret.Type, err)
			}
		}
	})
	d.t.Run("the cloud-controller-manager says that a node is unreachable, and nothing else of an Announcer", func(t *testing.T) {
		d := d.in(t)
		announcers := versioned.NewForConfigOrDie(d.as(metav1.NamespaceSystem, ccm)).ClarionV1alpha1().Announcers()
		patch := func(patch string) error {
			_, err := announcers.Patch(d.ctx, "elsewhere", types.MergePatchType, []byte(patch), metav1.PatchOptions{}, "status")
			return err
		}
		if err := patch(`{"status": {"conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeUnreachable", "message": "", "lastTransitionTime": "2020-01-01T00:00:00Z"}]}}`); err != nil {
			d.t.Errorf("its conditions: %v", err)
		}
		for _, status := range []string{`{"layer2": {"rebalanced": "twice"}}`, `{"bgp": {"bootID": "x"}}`, `{"host": {"nodeIPs": ["192.0.2.1"]}}`} {
			if err := patch(`{"status": ` + status + `}`); !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), "may only write the conditions") {
				d.t.Errorf("%s: got %v, want it to be forbidden, with the reason", status, err)
			}
		}
	})
	d.t.Run("an announcer sees the passwords of BGP, the gossip key, and no other Secret", func(t *testing.T) {
		d := d.in(t)
		for query, want := range map[string]string{
			"list secrets --namespace=clarion-bgp":                   "yes",
			"list secrets/clarion-gossip --namespace=clarion-system": "yes",
			"list secrets --namespace=clarion-system":                "no",
			"get secrets --namespace=clarion-system":                 "no",
			"list secrets --namespace=kube-system":                   "no",
			"create secrets --namespace=clarion-bgp":                 "no",
		} {
			out, _ := d.Kubectl(d.ctx, append(append([]string{"auth", "can-i"}, strings.Fields(query)...), "--as=system:serviceaccount:clarion-system:announcer")...)
			if got := strings.TrimSpace(out); got != want {
				d.t.Errorf("%s: got %q, want %q", query, got, want)
			}
		}
	})
}

// as returns a configuration with the token that the first pod of a ServiceAccount has.
func (d *deployment) as(namespace, account string) *rest.Config {
	d.t.Helper()
	pods, err := d.Kubernetes().CoreV1().Pods(namespace).List(d.ctx, metav1.ListOptions{FieldSelector: "spec.serviceAccountName=" + account})
	if err != nil || len(pods.Items) == 0 {
		d.t.Fatalf("pods of %s/%s: %v, %v", namespace, account, pods, err)
	}
	pod := pods.Items[0]
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{
		BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: pod.Name, UID: pod.UID},
	}}
	answer, err := d.Kubernetes().CoreV1().ServiceAccounts(namespace).CreateToken(d.ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	config := rest.AnonymousClientConfig(d.RESTConfig())
	config.BearerToken = answer.Status.Token
	return config
}
