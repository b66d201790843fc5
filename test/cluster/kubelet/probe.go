package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"
)

// verdict is the outcome of the last results of a probe.
type verdict struct {
	successThreshold, failureThreshold int32

	healthy bool
	last    bool
	run     int32
}

// newVerdict is the verdict before the first probe: a container is not ready and not started until
// probes say so, and alive until probes say that it is not.
func newVerdict(probe *v1.Probe, healthy bool) *verdict {
	return &verdict{
		successThreshold: max(1, probe.SuccessThreshold),
		failureThreshold: orDefault(probe.FailureThreshold, 3),
		healthy:          healthy,
	}
}

// observe takes one result, and reports whether enough results in a row agreed for a verdict.
func (v *verdict) observe(success bool) (decided bool) {
	if success != v.last || v.run == 0 {
		v.last, v.run = success, 0
	}
	v.run++
	threshold := v.failureThreshold
	if success {
		threshold = v.successThreshold
	}
	if v.run < threshold {
		return false
	}
	v.healthy = success
	return true
}

func orDefault(value, otherwise int32) int32 {
	if value <= 0 {
		return otherwise
	}
	return value
}

func seconds(n int32) time.Duration { return time.Duration(n) * time.Second }

// watch probes until ctx ends: first after the probe's initial delay, then every period. After each
// probe it reports the verdict if there is one, and the probe's error; it ends early when report
// says so.
func watch(ctx context.Context, probe *v1.Probe, initially bool, check func(context.Context) error, report func(healthy, decided bool, err error) (more bool)) {
	state := newVerdict(probe, initially)
	next := time.NewTimer(seconds(probe.InitialDelaySeconds))
	defer next.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-next.C:
		}
		next.Reset(seconds(orDefault(probe.PeriodSeconds, 10)))
		checking, cancel := context.WithTimeout(ctx, seconds(orDefault(probe.TimeoutSeconds, 1)))
		err := check(checking)
		cancel()
		if ctx.Err() != nil {
			return
		}
		decided := state.observe(err == nil)
		if !report(state.healthy, decided, err) {
			return
		}
	}
}

// prober performs the actions of one container's probes and hooks.
type prober struct {
	container *v1.Container
	// host is where network actions go that do not name a host.
	host string
	// exec runs a command in the container.
	exec func(ctx context.Context, command []string) error
}

var errNoAction = errors.New("this kind of probe is not supported")

func (p prober) check(ctx context.Context, handler v1.ProbeHandler) error {
	switch {
	case handler.HTTPGet != nil:
		return p.httpGet(ctx, handler.HTTPGet)
	case handler.TCPSocket != nil:
		return p.tcp(ctx, handler.TCPSocket)
	case handler.Exec != nil:
		return p.exec(ctx, handler.Exec.Command)
	}
	return errNoAction
}

// hook performs a lifecycle handler.
func (p prober) hook(ctx context.Context, handler *v1.LifecycleHandler) error {
	if handler.Sleep != nil {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(handler.Sleep.Seconds) * time.Second):
		}
		return nil
	}
	return p.check(ctx, v1.ProbeHandler{HTTPGet: handler.HTTPGet, TCPSocket: handler.TCPSocket, Exec: handler.Exec})
}

// probeClient opens a connection for every probe and takes any certificate, as a kubelet's does.
var probeClient = &http.Client{
	Transport: &http.Transport{
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true},
		DisableKeepAlives: true,
	},
	CheckRedirect: func(next *http.Request, via []*http.Request) error {
		if next.URL.Hostname() != via[0].URL.Hostname() {
			return http.ErrUseLastResponse
		}
		return nil
	},
}

func (p prober) httpGet(ctx context.Context, action *v1.HTTPGetAction) error {
	address, err := p.address(action.Host, action.Port)
	if err != nil {
		return err
	}
	target, err := url.Parse(action.Path)
	if err != nil {
		return err
	}
	target.Scheme, target.Host = "http", address
	if action.Scheme == v1.URISchemeHTTPS {
		target.Scheme = "https"
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return err
	}
	request.Header.Set("User-Agent", "kube-probe/1.37")
	for _, header := range action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
		if http.CanonicalHeaderKey(header.Name) == "Host" {
			request.Host = header.Value
		}
	}
	response, err := probeClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, io.LimitReader(response.Body, 10<<10)); err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode >= 400 {
		return fmt.Errorf("HTTP probe failed with statuscode: %d", response.StatusCode)
	}
	return nil
}

func (p prober) tcp(ctx context.Context, action *v1.TCPSocketAction) error {
	address, err := p.address(action.Host, action.Port)
	if err != nil {
		return err
	}
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	return conn.Close()
}

// address resolves the host and port of a probe; a port may be the name of one of the container's.
func (p prober) address(host string, port intstr.IntOrString) (string, error) {
	if host == "" {
		host = p.host
	}
	if port.Type == intstr.Int {
		return net.JoinHostPort(host, port.String()), nil
	}
	for _, named := range p.container.Ports {
		if named.Name == port.StrVal {
			return net.JoinHostPort(host, strconv.Itoa(int(named.ContainerPort))), nil
		}
	}
	return "", fmt.Errorf("no port %q in container %s", port.StrVal, p.container.Name)
}

// probe runs the probes of the container until ctx ends. When the process has to be ended it puts
// the kind of probe that says so into condemned. A pod that stops is probed for readiness only.
func (c *container) probe(ctx, stop context.Context, prober prober, condemned chan<- string) {
	living, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(stop, cancel)()

	var running sync.WaitGroup
	defer running.Wait()
	condemn := func(kind string) func(healthy, decided bool, err error) bool {
		return func(healthy, decided bool, err error) bool {
			c.reportFailure(kind, err)
			if decided && !healthy {
				condemned <- kind
				return false
			}
			return kind != "startup" || !decided
		}
	}
	if probe := c.spec.StartupProbe; probe != nil {
		passed := false
		watch(living, probe, false, checkOf(prober, probe), func(healthy, decided bool, err error) bool {
			passed = decided && healthy
			return condemn("startup")(healthy, decided, err)
		})
		if !passed {
			return
		}
		c.change(func(status *v1.ContainerStatus) {
			status.Started, status.Ready = ptr.To(true), c.spec.ReadinessProbe == nil
		})
	}
	if probe := c.spec.LivenessProbe; probe != nil {
		running.Go(func() { watch(living, probe, true, checkOf(prober, probe), condemn("liveness")) })
	}
	if probe := c.spec.ReadinessProbe; probe != nil {
		running.Go(func() {
			watch(ctx, probe, false, checkOf(prober, probe), func(healthy, decided bool, err error) bool {
				c.reportFailure("readiness", err)
				if decided && healthy != c.snapshot().Ready {
					c.pod.logger.Info("Container's readiness changed", "container", c.spec.Name, "ready", healthy)
					c.change(func(status *v1.ContainerStatus) { status.Ready = healthy })
				}
				return true
			})
		})
	}
}

func checkOf(prober prober, probe *v1.Probe) func(context.Context) error {
	return func(ctx context.Context) error { return prober.check(ctx, probe.ProbeHandler) }
}

func (c *container) reportFailure(kind string, err error) {
	if err != nil {
		c.pod.event(v1.EventTypeWarning, "Unhealthy", fmt.Sprintf("%s%s probe failed: %v", strings.ToUpper(kind[:1]), kind[1:], err))
	}
}

// grace is how long a process has to end after a probe of this kind has failed.
func (c *container) grace(kind string) time.Duration {
	probe := c.spec.LivenessProbe
	if kind == "startup" {
		probe = c.spec.StartupProbe
	}
	return time.Duration(first(30, probe.TerminationGracePeriodSeconds, c.pod.object.Spec.TerminationGracePeriodSeconds)) * time.Second
}
