package kube

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/clarionlb/clarion/internal/gossipkey"
)

func TestTheKeyIsThatOfTheSecretIfItCanBeUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		secret := func(key string) *corev1.Secret {
			return &corev1.Secret{
				ObjectMeta: metav1.ObjectMeta{Namespace: gossipkey.Namespace, Name: gossipkey.Secret},
				Data:       map[string][]byte{gossipkey.Field: []byte(key)},
			}
		}
		kube := fake.NewClientset()
		secrets := kube.CoreV1().Secrets(gossipkey.Namespace)
		k := NewKeyWatcher(kube)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- k.Run(ctx) }()
		expect := func(when, want, problem string, news bool) {
			t.Helper()
			synctest.Wait()
			key, err := k.Key()
			if string(key) != want || (err == nil) != (problem == "") || err != nil && !strings.Contains(err.Error(), problem) {
				t.Errorf("%s: the key is %q, error %v; want %q, %q", when, key, err, want, problem)
			}
			select {
			case <-k.Changed():
				if !news {
					t.Errorf("%s: it says that the key has changed", when)
				}
			default:
				if news {
					t.Errorf("%s: it does not say that the key has changed", when)
				}
			}
		}
		expect("at first", "", "", false)
		for _, step := range []struct {
			do                  func() error
			when, want, problem string
			news                bool
		}{
			{func() error { _, err := secrets.Create(ctx, secret("too short"), metav1.CreateOptions{}); return err }, "with a bad key", "", "has a key of 9 bytes", true},
			{func() error {
				_, err := secrets.Update(ctx, secret("sixteen bytes, ok"[:16]), metav1.UpdateOptions{})
				return err
			}, "with a good one", "sixteen bytes, o", "", true},
			{func() error {
				_, err := secrets.Update(ctx, &corev1.Secret{ObjectMeta: secret("").ObjectMeta}, metav1.UpdateOptions{})
				return err
			}, "without the field", "", "has a key of 0 bytes", true},
			{func() error { return secrets.Delete(ctx, gossipkey.Secret, metav1.DeleteOptions{}) }, "without the Secret", "", "", false},
		} {
			if err := step.do(); err != nil {
				t.Fatal(err)
			}
			expect(step.when, step.want, step.problem, step.news)
		}
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}
