package e2e

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// testGossipKey covers that there is always a gossip key, and that nobody has rights to spare.
func testGossipKey(d *deployment) {
	secrets := d.Kubernetes().CoreV1().Secrets("clarion-system")
	key := func(not types.UID) (secret *corev1.Secret) {
		d.t.Helper()
		d.eventually("a gossip key", func(ctx context.Context) (err error) {
			if secret, err = secrets.Get(ctx, "clarion-gossip", metav1.GetOptions{}); err == nil && secret.UID == not {
				err = errors.New("it is still the old one")
			}
			return err
		})
		if size := len(secret.Data["key"]); size != 32 || secret.Type != corev1.SecretTypeOpaque {
			d.t.Errorf("got a key of %d bytes in a Secret of type %s, want 32 bytes in an opaque one", size, secret.Type)
		}
		return secret
	}

	first := key("")
	d.restartCCM()
	if again := key(""); again.UID != first.UID || !bytes.Equal(again.Data["key"], first.Data["key"]) {
		d.t.Error("a restart of the cloud-controller-manager replaced the key")
	}

	if err := secrets.Delete(d.ctx, first.Name, metav1.DeleteOptions{}); err != nil {
		d.t.Fatal(err)
	}
	if second := key(first.UID); bytes.Equal(second.Data["key"], first.Data["key"]) {
		d.t.Error("the key after the deletion is the one before")
	}

	d.t.Run("the cloud-controller-manager may see no other Secret", func(t *testing.T) {
		for _, verb := range []string{"get", "list", "watch", "update", "delete"} {
			for name, want := range map[string]string{"clarion-gossip": "yes", "another": "no", "": "no"} {
				if verb != "list" && verb != "watch" {
					want = "no"
				}
				resource := "secrets"
				if name != "" {
					resource += "/" + name
				}
				out, _ := d.Kubectl(t.Context(), "auth", "can-i", verb, resource, "--namespace=clarion-system",
					"--as=system:serviceaccount:kube-system:"+ccm)
				if got := strings.TrimSpace(out); got != want {
					t.Errorf("%s %s: got %q, want %q", verb, resource, got, want)
				}
			}
		}
	})
	testRights(d)
}
