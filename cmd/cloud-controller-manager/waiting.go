package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/rest"
	"k8s.io/cloud-provider/names"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/apiserver"
	"github.com/clarionlb/clarion/internal/selfsigned"
)

// workCheck is the health check that says whether the program can do its work. It is for the readiness probe. The liveness
// probe leaves it out, by /healthz?exclude=service-lb-controller, because to start the program anew would not help.
const workCheck = names.ServiceLBController

// awaitAPIServer blocks until an API server answers; an error means that the context has ended before. The framework would end
// the process instead, and a kubelet that starts it again and again waits longer each time, in the end for five minutes.
func awaitAPIServer(ctx context.Context, client discovery.DiscoveryInterface) error {
	return apiserver.Await(ctx, client.RESTClient(), func(err error) bool {
		// One that refuses answers too: what is missing is said by those who need it.
		return err == nil || apierrors.IsForbidden(err) || apierrors.IsUnauthorized(err)
	})
}

// standIn answers the kubelet's probes for as long as the framework does not: the program lives, and cannot do its work.
type standIn struct{ server *http.Server }

// newStandIn listens where the framework will, with a certificate of its own.
func newStandIn(ctx context.Context, address net.IP, port int) (*standIn, error) {
	config, err := selfsigned.New()
	if err != nil {
		return nil, err
	}
	listener, err := tls.Listen("tcp", net.JoinHostPort(address.String(), strconv.Itoa(port)), config)
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	s := &standIn{&http.Server{Handler: http.HandlerFunc(answerProbe), ReadHeaderTimeout: 5 * time.Second}}
	go func() {
		if err := s.server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Cannot answer probes")
		}
	}()
	return s, nil
}

func answerProbe(w http.ResponseWriter, r *http.Request) {
	for _, excluded := range r.URL.Query()["exclude"] {
		if r.URL.Path == "/healthz" && excluded == workCheck {
			fmt.Fprintln(w, "ok")
			return
		}
	}
	http.Error(w, "waiting for the API server", http.StatusServiceUnavailable)
}

// stop frees the port.
func (s *standIn) stop() { s.server.Close() }

// waitForCluster blocks until there is a cluster to work for. It answers probes meanwhile, if there is something to wait for.
func waitForCluster(ctx context.Context, config *rest.Config, address net.IP, port int) error {
	client, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	soon, cancel := context.WithTimeout(ctx, 2*apiserver.Retry)
	err = awaitAPIServer(soon, client)
	cancel()
	if err == nil || ctx.Err() != nil {
		return ctx.Err()
	}
	if port != 0 {
		standIn, err := newStandIn(ctx, address, port)
		if err != nil {
			return err
		}
		defer standIn.stop()
	}
	if err := awaitAPIServer(ctx, client); err != nil {
		return err
	}
	klog.FromContext(ctx).Info("The API server answers")
	return nil
}
