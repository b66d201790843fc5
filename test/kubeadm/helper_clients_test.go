package kubeadm

import (
	"context"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// measure has the client open connections to an address all the time. It returns when one was answered.
func (i *installation) measure(address string) *network.Meter {
	i.t.Helper()
	return i.measureFrom(i.Client, address)
}

func (i *installation) measureFrom(from *network.Host, address string) *network.Meter {
	i.t.Helper()
	meter := from.Measure(netip.AddrPortFrom(netip.MustParseAddr(address), 80), network.MeterOptions{
		Interval: 20 * time.Millisecond, Timeout: 5 * time.Second,
	})
	i.t.Cleanup(func() { meter.Stop() })
	i.await(meter, "an answer of "+address, network.Succeeded)
	return meter
}

func (i *installation) await(meter *network.Meter, what string, match func(network.Attempt) bool) network.Attempt {
	i.t.Helper()
	return i.awaitWithin(install.Patience, meter, what, match)
}

func (i *installation) awaitWithin(
	patience time.Duration, meter *network.Meter, what string, match func(network.Attempt) bool,
) network.Attempt {
	i.t.Helper()
	ctx, cancel := context.WithTimeout(i.ctx, patience)
	defer cancel()
	attempt, err := meter.Await(ctx, match)
	if err != nil {
		i.t.Fatalf("waited in vain for %s: %v; %s", what, err, meter.Report())
	}
	return attempt
}

// answers waits until an address answers the client.
func (i *installation) answers(address string) {
	i.t.Helper()
	i.measure(address).Stop()
}

// lostNothing ends a measurement and expects that every connection was answered.
func (i *installation) lostNothing(t *testing.T, meter *network.Meter) {
	t.Helper()
	report := meter.Stop()
	t.Logf("%s", report)
	if report.Failures > 0 {
		t.Errorf("connections were lost: %s", report)
	}
}

// serve makes a Service for the pods of the page and returns its address when it answers.
func (i *installation) serve(name string) string {
	i.t.Helper()
	began := time.Now()
	if err := i.ApplyYAML(i.ctx, fmt.Sprintf(`apiVersion: v1
kind: Service
metadata: {name: %s}
spec:
  type: LoadBalancer
  selector: {app: web}
  ports: [{port: 80, targetPort: 8080}]
`, name)); err != nil {
		i.t.Fatal(err)
	}
	address := i.awaitAddress(name)
	i.answers(address)
	i.t.Logf("%s was served after %s", name, time.Since(began).Round(time.Millisecond))
	return address
}

// awaitAddress waits until a Service has an address.
func (i *installation) awaitAddress(service string) string {
	i.t.Helper()
	var address string
	i.eventually("an address of "+service, func(ctx context.Context) (err error) {
		address, err = i.Kubectl(ctx, "get", "service", service, "--output=jsonpath={.status.loadBalancer.ingress[0].ip}")
		if err == nil && address == "" {
			err = fmt.Errorf("it has none")
		}
		return err
	})
	return address
}
