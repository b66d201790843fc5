package install

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
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/test/cluster"
)

// Usage is what a process holds, and gives back when what it was for is gone. The heap is the size, in bytes, at which it is collected
// next: it follows from what is alive, and not from what is garbage by chance.
type Usage struct{ Goroutines, Descriptors, Heap float64 }

// slack is by how much processes may hold more than before: connections to the API server come and go, and so do lists of objects.
var slack = Usage{Goroutines: 15, Descriptors: 5, Heap: 32 << 20}

// Exceeds says whether a process holds more than before.
func (u Usage) Exceeds(before Usage) bool {
	return u.isAbove(Usage{before.Goroutines + slack.Goroutines, before.Descriptors + slack.Descriptors, before.Heap + slack.Heap})
}

func (u Usage) isAbove(limit Usage) bool {
	return u.Goroutines > limit.Goroutines || u.Descriptors > limit.Descriptors || u.Heap > limit.Heap
}

// atMost is what no program may hold at the end of any test: a multiple of what both hold on these clusters, and less than what is left
// behind by something that happens often.
var atMost = Usage{Goroutines: 500, Descriptors: 150, Heap: 128 << 20}

// checkUsage fails the test if a program that runs holds more than atMost. One that does not answer, because it is stopped or cut off, is
// left out.
func (i *Installation) checkUsage(t testing.TB) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience) // that of the test has ended
	defer cancel()
	for _, node := range i.Nodes() {
		for program, read := range map[string]func(context.Context, *cluster.Node) (Usage, error){
			"announcer": AnnouncerUsage,
			CCMProcess: func(ctx context.Context, node *cluster.Node) (Usage, error) {
				return CCMUsage(ctx, node, i.RESTConfig())
			},
		} {
			if processes, err := node.Processes(program); err != nil || len(processes) == 0 {
				continue
			}
			soon, cancel := context.WithTimeout(ctx, 5*time.Second)
			u, err := read(soon, node)
			cancel()
			if err != nil {
				t.Logf("what %s on %s holds is not known: %v", program, node.Name, err)
				continue
			}
			if u.isAbove(atMost) {
				t.Errorf("%s on %s holds %+v at the end, and may hold %+v", program, node.Name, u, atMost)
			}
		}
	}
}

// AnnouncerUsage reads what the announcer of a node holds from its metrics.
func AnnouncerUsage(ctx context.Context, node *cluster.Node) (Usage, error) {
	return usageOf(ctx, node, nil, "http://127.0.0.1:7948/metrics")
}

// CCMUsage reads what the cloud-controller-manager on a node holds from its metrics. The configuration has the credentials for them.
func CCMUsage(ctx context.Context, node *cluster.Node, config *rest.Config) (Usage, error) {
	credentials, err := rest.TLSConfigFor(config)
	if err != nil {
		return Usage{}, err
	}
	credentials.InsecureSkipVerify = true // it signs its certificate itself
	return usageOf(ctx, node, credentials, fmt.Sprintf("https://%s/metrics", net.JoinHostPort(node.IPs()[0].String(), "10258")))
}

func usageOf(ctx context.Context, node *cluster.Node, credentials *tls.Config, url string) (u Usage, err error) {
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
	return Usage{read("go_goroutines"), read("process_open_fds"), read("go_memstats_next_gc_bytes")}, err
}
