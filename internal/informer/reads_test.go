package informer

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
)

func TestWhatCannotBeReadIsKnownUntilItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var forbidden atomic.Bool
		forbidden.Store(true)
		client := fake.NewClientset()
		client.PrependReactor("list", "nodes", func(clienttesting.Action) (bool, runtime.Object, error) {
			if !forbidden.Load() {
				return false, nil, nil
			}
			return true, nil, apierrors.NewForbidden(corev1.Resource("nodes"), "", nil)
		})
		ctx, stop := context.WithCancel(t.Context())
		factory := informers.NewSharedInformerFactory(client, 0)
		nodes, services, reads := factory.Core().V1().Nodes().Informer(), factory.Core().V1().Services().Informer(), NewReads()
		reads.Of("Nodes", nodes)
		reads.Of("Services", services)
		if err := reads.Err(); err != nil {
			t.Errorf("before anything was read: %v", err)
		}
		factory.Start(ctx.Done())
		synctest.Wait()
		if err := reads.Err(); err == nil || !strings.HasPrefix(err.Error(), "Nodes cannot be read: ") || strings.Contains(err.Error(), "Services") {
			t.Errorf("while Nodes are forbidden: %v", err)
		}
		forbidden.Store(false)
		factory.WaitForCacheSync(ctx.Done())
		if err := reads.Err(); err != nil {
			t.Errorf("when all was read: %v", err)
		}
		stop()
		factory.Shutdown()
	})
}
