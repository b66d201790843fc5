package bundle

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/transport/spdy"
)

const (
	// metricsPatience is how long a pod may take to give its metrics, and mostMetrics how many bytes they may have.
	metricsPatience = 10 * time.Second
	mostMetrics     = 16 << 20
)

// endpoint is where a pod answers to HTTP.
type endpoint struct {
	scheme string
	port   int32
}

// scraper reads the metrics of a pod.
type scraper interface {
	Scrape(ctx context.Context, pod *corev1.Pod, at endpoint) ([]byte, error)
}

// addMetrics adds what the pods of both programs measure.
func (b *bundle) addMetrics(ctx context.Context, pods []*corev1.Pod, from scraper) error {
	for _, pod := range pods {
		at, found := endpointOf(pod)
		if !found {
			continue
		}
		name := fmt.Sprintf("metrics/%s/%s.txt", pod.Namespace, pod.Name)
		text, err := from.Scrape(ctx, pod, at)
		if err != nil {
			fmt.Fprintf(&b.missing, "%s: %v\n", name, err)
			continue
		}
		if err := b.add(name, text); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// endpointOf is where the kubelet asks whether a pod is ready: both programs have their metrics there, too.
func endpointOf(pod *corev1.Pod) (at endpoint, found bool) {
	for _, c := range pod.Spec.Containers {
		if c.ReadinessProbe == nil || c.ReadinessProbe.HTTPGet == nil {
			continue
		}
		get := c.ReadinessProbe.HTTPGet
		at = endpoint{strings.ToLower(string(get.Scheme)), get.Port.IntVal}
		if get.Scheme == "" {
			at.scheme = "http"
		}
		for _, port := range c.Ports {
			if get.Port.Type == intstr.String && port.Name == get.Port.StrVal {
				at.port = port.ContainerPort
			}
		}
		return at, at.port > 0
	}
	return endpoint{}, false
}

// forwarder reaches pods as kubectl port-forward does, with the rights of the caller.
type forwarder struct {
	config *rest.Config
	kube   kubernetes.Interface
}

// Scrape implements scraper. A program that asks who reads its metrics is shown the client certificate of the caller. A token is never
// sent: who gets it could use it, and nothing proves that it is the program that listens.
func (f forwarder) Scrape(ctx context.Context, pod *corev1.Pod, at endpoint) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, metricsPatience)
	defer cancel()
	client, err := f.client()
	if err != nil {
		return nil, err
	}
	local, err := f.forward(ctx, pod, at.port)
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s://127.0.0.1:%d/metrics", at.scheme, local), nil)
	if err != nil {
		return nil, err
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	switch response.StatusCode {
	case http.StatusOK:
		return io.ReadAll(io.LimitReader(response.Body, mostMetrics))
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, fmt.Errorf("%s: it gives its metrics to those alone who show a client certificate of the cluster with the right to get /metrics", response.Status)
	}
	return nil, errors.New(response.Status)
}

// client shows the certificate of the caller, if he has one.
func (f forwarder) client() (*http.Client, error) {
	own, err := rest.TLSConfigFor(f.config)
	if err != nil {
		return nil, err
	}
	insecure := &tls.Config{InsecureSkipVerify: true} // the API server has chosen the pod; its certificate is its own
	if own != nil {
		insecure.Certificates, insecure.GetClientCertificate = own.Certificates, own.GetClientCertificate
	}
	return &http.Client{Transport: &http.Transport{TLSClientConfig: insecure, DisableKeepAlives: true}}, nil
}

// forward has a port of this host lead to one of a pod until the context ends, and returns it.
func (f forwarder) forward(ctx context.Context, pod *corev1.Pod, port int32) (local uint16, err error) {
	transport, upgrader, err := spdy.RoundTripperFor(f.config)
	if err != nil {
		return 0, err
	}
	url := f.kube.CoreV1().RESTClient().Post().Resource("pods").Namespace(pod.Namespace).Name(pod.Name).SubResource("portforward").URL()
	dialer := spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, url)
	ready, failed := make(chan struct{}), make(chan error, 1)
	ports, err := portforward.NewOnAddresses(dialer, []string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, ctx.Done(), ready, io.Discard, io.Discard)
	if err != nil {
		return 0, err
	}
	go func() { failed <- ports.ForwardPorts() }()
	select {
	case <-ready:
	case err := <-failed:
		return 0, err
	case <-ctx.Done():
		return 0, ctx.Err()
	}
	forwarded, err := ports.GetPorts()
	if err != nil {
		return 0, err
	}
	return forwarded[0].Local, nil
}
