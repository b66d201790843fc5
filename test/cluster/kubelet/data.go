package main

import (
	"context"
	"maps"
	"net"
	"strconv"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

const (
	// fetchTimeout bounds a request for something never seen; refetchTimeout one that has an answer
	// from before.
	fetchTimeout   = 5 * time.Second
	refetchTimeout = time.Second
)

// data gets what one pod refers to in its namespace, and remembers it, so that its containers are
// started again while the API server is away.
type data struct {
	client    kubernetes.Interface
	namespace string

	mu   sync.Mutex
	seen map[string]map[string][]byte
}

func newData(client kubernetes.Interface, namespace string) *data {
	return &data{client: client, namespace: namespace, seen: map[string]map[string][]byte{}}
}

// fetch gets an object's data, or nothing where it is optional and missing. No answer from the API
// server, as opposed to a refusal, brings back the data of last time.
func (d *data) fetch(ctx context.Context, name string, optional bool, get func(context.Context) (map[string][]byte, error)) (map[string][]byte, error) {
	d.mu.Lock()
	before, known := d.seen[name]
	d.mu.Unlock()
	timeout := fetchTimeout
	if known {
		timeout = refetchTimeout
	}
	asking, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	now, err := get(asking)
	switch {
	case apierrors.IsNotFound(err) && optional:
		return nil, nil
	case apierrors.IsNotFound(err) || apierrors.IsForbidden(err) || err != nil && !known:
		return nil, err
	case err != nil:
		return before, nil
	}
	d.mu.Lock()
	d.seen[name] = now
	d.mu.Unlock()
	return now, nil
}

// configMap gives the data of a ConfigMap.
func (d *data) configMap(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	return d.fetch(ctx, "configmap/"+name, first(false, optional), func(ctx context.Context) (map[string][]byte, error) {
		object, err := d.client.CoreV1().ConfigMaps(d.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		values := map[string][]byte{}
		maps.Copy(values, object.BinaryData)
		for key, value := range object.Data {
			values[key] = []byte(value)
		}
		return values, nil
	})
}

// secret gives the data of a Secret.
func (d *data) secret(ctx context.Context, name string, optional *bool) (map[string][]byte, error) {
	return d.fetch(ctx, "secret/"+name, first(false, optional), func(ctx context.Context) (map[string][]byte, error) {
		object, err := d.client.CoreV1().Secrets(d.namespace).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		return object.Data, nil
	})
}

// apiServer gives the address and port by which pods reach the API server.
func (d *data) apiServer(ctx context.Context) (host, port string, err error) {
	values, err := d.fetch(ctx, "service", false, func(ctx context.Context) (map[string][]byte, error) {
		service, err := d.client.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, "kubernetes", metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		port := strconv.Itoa(int(service.Spec.Ports[0].Port))
		return map[string][]byte{"address": []byte(net.JoinHostPort(service.Spec.ClusterIP, port))}, nil
	})
	if err != nil {
		return "", "", err
	}
	return net.SplitHostPort(string(values["address"]))
}
