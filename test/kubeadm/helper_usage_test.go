package kubeadm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// usage is what a process holds, and gives back when what it was for is gone. The heap is the size, in bytes, at which it is collected
// next: it follows from what is alive, and not from what is garbage by chance.
type usage struct{ goroutines, descriptors, heap float64 }

// slack is by how much processes may hold more than before: connections to the API server come and go, and so do lists of objects.
var slack = usage{goroutines: 15, descriptors: 5, heap: 32 << 20}

// exceeds says whether a process holds more than before.
func (u usage) exceeds(before usage) bool {
	return u.goroutines > before.goroutines+slack.goroutines || u.descriptors > before.descriptors+slack.descriptors ||
		u.heap > before.heap+slack.heap
}

// returnsAll expects that Clarion's processes hold no more after f, and when what f has made is gone, than before.
func (i *installation) returnsAll(f func()) {
	i.t.Helper()
	before, err := i.usage(i.ctx)
	if err != nil {
		i.t.Fatal(err)
	}
	f()
	i.eventually("the Services to go", func(ctx context.Context) error {
		list, err := i.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{FieldSelector: "spec.type=LoadBalancer"})
		for _, service := range list.Items {
			if service.Namespace != metav1.NamespaceDefault {
				err = fmt.Errorf("%s/%s is there", service.Namespace, service.Name)
			}
		}
		return err
	})
	i.eventually("goroutines, descriptors and memory to be given back", func(ctx context.Context) error {
		after, err := i.usage(ctx)
		for process, now := range after {
			if was := before[process]; now.exceeds(was) {
				err = errors.Join(err, fmt.Errorf("%s holds %+v, and before %+v", process, now, was))
			}
		}
		if err == nil {
			i.t.Logf("before %+v, after %+v", before, after)
		}
		return err
	})
}

// usage reads the metrics of the processes, by the node and the name of each.
func (i *installation) usage(ctx context.Context) (map[string]usage, error) {
	credentials, err := rest.TLSConfigFor(i.RESTConfig())
	if err != nil {
		return nil, err
	}
	credentials.InsecureSkipVerify = true // it signs its certificate itself
	controller := i.controller()
	metrics := map[string]usage{}
	metrics[install.CCM], err = usageOf(ctx, controller, credentials, fmt.Sprintf("https://%s/metrics", net.JoinHostPort(controller.IPs()[0].String(), "10258")))
	for _, node := range i.Nodes() {
		of, nodeErr := usageOf(ctx, node, nil, "http://127.0.0.1:7948/metrics")
		metrics["the announcer of "+node.Name], err = of, errors.Join(err, nodeErr)
	}
	return metrics, err
}

func usageOf(ctx context.Context, node *cluster.Node, credentials *tls.Config, url string) (u usage, err error) {
	client := &http.Client{Transport: &http.Transport{DialContext: node.DialContext, TLSClientConfig: credentials, DisableKeepAlives: true}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return u, err
	}
	response, err := client.Do(request)
	if err != nil {
		return u, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		return u, errors.Join(err, fmt.Errorf("%s of %s: %s", url, node.Name, response.Status))
	}
	read := func(name string) float64 {
		for line := range strings.Lines(string(text)) {
			if value, is := strings.CutPrefix(strings.TrimSpace(line), name+" "); is {
				number, parseErr := strconv.ParseFloat(value, 64)
				err = errors.Join(err, parseErr)
				return number
			}
		}
		err = errors.Join(err, fmt.Errorf("%s of %s has no %s", url, node.Name, name))
		return 0
	}
	return usage{read("go_goroutines"), read("process_open_fds"), read("go_memstats_next_gc_bytes")}, err
}
