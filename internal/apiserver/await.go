// Package apiserver waits for the API server. Informers that begin before it answers try again ever more rarely, up to a minute apart.
package apiserver

import (
	"context"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// Retry is the time between two questions to an API server that does not answer.
const Retry = time.Second

// Await blocks until the API server answers /readyz with what will do: nil, or an error that is good enough. An error means that the
// context has ended before.
func Await(ctx context.Context, client rest.Interface, willDo func(error) bool) error {
	said := false
	return wait.PollUntilContextCancel(ctx, Retry, true, func(ctx context.Context) (bool, error) {
		err := client.Get().AbsPath("/readyz").Timeout(5 * time.Second).Do(ctx).Error()
		done := willDo(err)
		if !done && !said {
			said = true
			klog.FromContext(ctx).Info("Waiting for the API server", "err", err)
		}
		return done, nil
	})
}
