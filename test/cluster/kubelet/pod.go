package main

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	"github.com/vishvananda/netns"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const (
	shortIDPattern = "[0-9a-f]{10}"

	// apiTimeout bounds one request, so that a pod notices its deletion soon although the API
	// server does not answer.
	apiTimeout = 10 * time.Second

	// What a new pod needs is often available a moment later, because the Node authorizer has to
	// learn of the pod first.
	persistFirst = 50 * time.Millisecond
	persistMax   = 2 * time.Second
)

// shortID is the beginning of a pod's UID, enough to tell the pods of a node apart.
func shortID(uid types.UID) string { return strings.ReplaceAll(string(uid), "-", "")[:10] }

// podRun is one pod on this node, from its binding to its end.
type podRun struct {
	kubelet *kubelet
	logger  logr.Logger
	// object is the pod as it was first seen: its spec and identity do not change.
	object  *v1.Pod
	started time.Time

	// wake has a token when there is something new: the state of a container, or an update of the
	// pod.
	wake chan struct{}

	inits, containers []*container
	data              *data
	volumes           *volumes

	mu sync.Mutex
	// held is the newest version of the object that the API server is known to have; outdated says that
	// it may be one that the API server has no more.
	held     *v1.Pod
	outdated bool
	// attachment is nil for hostNetwork, before the pod is attached, and after it is detached. The
	// addresses remain after that.
	attachment *podNetwork
	addresses  []netip.Addr
	ended      bool
}

func newPodRun(k *kubelet, pod *v1.Pod) *podRun {
	p := &podRun{
		kubelet: k, object: pod, held: pod, started: now(), wake: make(chan struct{}, 1),
		logger: k.logger.WithValues("pod", klog.KObj(pod)),
		data:   newData(k.client, pod.Namespace),
	}
	if pod.Status.StartTime != nil {
		p.started = pod.Status.StartTime.Time
	}
	for i := range pod.Spec.InitContainers {
		spec, restart := &pod.Spec.InitContainers[i], v1.RestartPolicyOnFailure
		if isSidecar(spec) {
			restart = v1.RestartPolicyAlways
		} else if pod.Spec.RestartPolicy == v1.RestartPolicyNever {
			restart = v1.RestartPolicyNever
		}
		p.inits = append(p.inits, newContainer(p, spec, restart, pod.Status.InitContainerStatuses))
	}
	for i := range pod.Spec.Containers {
		p.containers = append(p.containers, newContainer(p, &pod.Spec.Containers[i], pod.Spec.RestartPolicy, pod.Status.ContainerStatuses))
	}
	p.volumes = newVolumes(p.environment(), filepath.Join(p.dir(), "volumes"))
	return p
}

// changed makes run look again.
func (p *podRun) changed() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// update takes a newer version of the object. An older one may be news that comes late, or the API server has no newer one any more.
func (p *podRun) update(pod *v1.Pod) {
	p.mu.Lock()
	if version(pod) >= version(p.held) {
		p.held = pod
	} else {
		p.outdated = true
	}
	p.mu.Unlock()
	p.changed()
}

// reread makes the pod ask which version of the object the API server has.
func (p *podRun) reread() {
	p.mu.Lock()
	p.outdated = true
	p.mu.Unlock()
	p.changed()
}

// holds returns the version of the object that the API server has, as far as is known without asking.
func (p *podRun) holds(ctx context.Context) (*v1.Pod, error) {
	p.mu.Lock()
	held, outdated := p.held, p.outdated
	p.mu.Unlock()
	if !outdated {
		return held, nil
	}
	read, err := p.kubelet.client.CoreV1().Pods(held.Namespace).Get(ctx, held.Name, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if read.UID == held.UID {
		p.held, p.outdated = read, false
	}
	return p.held, nil
}

func version(pod *v1.Pod) uint64 {
	n, _ := strconv.ParseUint(pod.ResourceVersion, 10, 64)
	return n
}

func (p *podRun) current() *v1.Pod {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.held
}

func (p *podRun) event(kind, reason, message string) {
	p.kubelet.events.Event(p.object, kind, reason, message)
}

// dir is the pod's folder on the machine.
func (p *podRun) dir() string { return filepath.Join(p.kubelet.dir(), "pods", string(p.object.UID)) }

// ips are the pod's addresses; only a pod that has its network has them.
func (p *podRun) ips() []netip.Addr {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.addresses
}

func (p *podRun) netns() netns.NsHandle {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.attachment == nil {
		return p.kubelet.spawn.home
	}
	return p.attachment.netns
}

func (p *podRun) environment() environment {
	return environment{data: p.data, pod: p.object, podIPs: p.ips(), hostIPs: p.kubelet.options.NodeIPs}
}

// files are the small files that the kubelet gives every container.
func (p *podRun) files() map[string]string {
	hosts := "127.0.0.1\tlocalhost\n::1\tlocalhost\n"
	for _, ip := range p.ips() {
		hosts += fmt.Sprintf("%s\t%s\n", ip, p.object.Name)
	}
	files := map[string]string{"/etc/hosts": hosts}
	if resolv, err := os.ReadFile("/etc/resolv.conf"); err == nil {
		files["/etc/resolv.conf"] = string(resolv)
	}
	return files
}

// run runs the pod until ctx ends, which kills it, or until it has been deleted with its grace
// period and is gone from the API server.
func (p *podRun) run(ctx context.Context) {
	stop, stopNow := context.WithCancel(ctx)
	defer stopNow()
	kill, killNow := context.WithCancel(ctx)
	defer killNow()
	var work sync.WaitGroup
	defer work.Wait()

	work.Go(func() {
		if !isTerminal(p.object) {
			p.live(stop, kill)
		}
		p.mu.Lock()
		p.ended = true
		p.mu.Unlock()
		p.changed()
	})

	var grace *time.Timer
	var deadline time.Time
	retry := time.NewTimer(0)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			if grace != nil {
				grace.Stop()
			}
			return
		case <-p.wake:
		case <-retry.C:
		}
		if pod := p.current(); pod.DeletionTimestamp != nil {
			stopNow()
			by := time.Now().Add(time.Duration(first(30, pod.DeletionGracePeriodSeconds)) * time.Second)
			switch {
			case grace == nil:
				p.logger.Info("Stopping pod", "gracePeriodSeconds", pod.DeletionGracePeriodSeconds)
				grace, deadline = time.AfterFunc(time.Until(by), killNow), by
			case by.Before(deadline):
				grace.Reset(time.Until(by))
				deadline = by
			}
		}
		if err := p.report(ctx); err != nil && ctx.Err() == nil {
			p.logger.Info("Cannot report the pod's status yet", "err", err)
			retry.Reset(retryInterval)
		}
	}
}

// report writes the status of the pod to the API server, and deletes there a pod that was to be
// deleted and has ended.
func (p *podRun) report(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	held, err := p.holds(ctx)
	if err != nil {
		return ignoreGone(err)
	}
	p.mu.Lock()
	ended := p.ended
	seen := observed{started: p.started, hostIPs: p.kubelet.options.NodeIPs, podIPs: p.addresses, ended: ended}
	p.mu.Unlock()
	seen.inits, seen.containers = snapshots(p.inits), snapshots(p.containers)
	wanted := held.DeepCopy()
	if !isTerminal(p.object) {
		wanted.Status = podStatus(held, seen, now())
	}
	pods := p.kubelet.client.CoreV1().Pods(held.Namespace)
	if !equality.Semantic.DeepEqual(held.Status, wanted.Status) {
		patch, err := mergePatch(held, wanted, v1.Pod{})
		if err != nil {
			return err
		}
		written, err := pods.Patch(ctx, held.Name, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
		if err != nil {
			return ignoreGone(err)
		}
		p.update(written)
		held = written
	}
	if !ended || held.DeletionTimestamp == nil {
		return nil
	}
	return ignoreGone(pods.Delete(ctx, held.Name, metav1.DeleteOptions{
		GracePeriodSeconds: ptr.To(int64(0)),
		Preconditions:      &metav1.Preconditions{UID: &held.UID},
	}))
}

// isTerminal tells whether a pod is over, so that nothing of it ever runs again.
func isTerminal(pod *v1.Pod) bool {
	return pod.Status.Phase == v1.PodSucceeded || pod.Status.Phase == v1.PodFailed
}

// ignoreGone treats it as success that a pod is gone, or that another pod has its name now: the
// watch will say so, too.
func ignoreGone(err error) error {
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
}

func snapshots(containers []*container) []v1.ContainerStatus {
	var statuses []v1.ContainerStatus
	for _, c := range containers {
		statuses = append(statuses, c.snapshot())
	}
	return statuses
}

// live runs through the life of the pod: network, volumes, init containers, containers. It returns
// when nothing of it runs any more.
func (p *podRun) live(stop, kill context.Context) {
	if !p.persist(stop, "FailedCreatePodSandBox", func() error { return p.attach() }) {
		return
	}
	defer p.detach()
	if p.runsForReal() {
		p.volumes.environment = p.environment()
		if !p.persist(stop, "FailedMount", func() error { return p.volumes.write(stop) }) {
			return
		}
		refreshing, cancel := context.WithCancel(kill)
		var refresh sync.WaitGroup
		refresh.Go(func() { p.volumes.keep(refreshing) })
		defer refresh.Wait()
		defer cancel()
	}

	// Sidecars end after all other containers.
	var sidecars, others sync.WaitGroup
	stopSidecars, cancel := context.WithCancel(kill)
	defer sidecars.Wait()
	defer cancel()
	for _, c := range p.inits {
		if !p.initialize(c, stop, kill, stopSidecars, &sidecars) {
			return
		}
	}
	for _, c := range p.containers {
		others.Go(func() { c.run(stop, kill) })
	}
	others.Wait()
}

// persist tries until it succeeds, and records in an event why it does not yet. It gives up when
// stop ends.
func (p *podRun) persist(stop context.Context, reason string, try func() error) bool {
	said, pause := "", persistFirst
	for stop.Err() == nil {
		err := try()
		if err == nil {
			return true
		}
		if stop.Err() == nil && err.Error() != said {
			said = err.Error()
			p.logger.Info("Cannot set the pod up yet", "reason", reason, "err", err)
			p.event(v1.EventTypeWarning, reason, said)
		}
		sleep(stop, pause)
		pause = min(2*pause, persistMax)
	}
	return false
}

// initialize runs one init container, and tells whether the next may start.
func (p *podRun) initialize(c *container, stop, kill, stopSidecars context.Context, sidecars *sync.WaitGroup) bool {
	if _, real := p.kubelet.options.imageDir(c.spec); !real {
		done := metav1.NewTime(now())
		c.change(func(status *v1.ContainerStatus) {
			status.State = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{Reason: "Completed", StartedAt: done, FinishedAt: done}}
			status.Ready, status.Started = true, ptr.To(isSidecar(c.spec))
		})
		return stop.Err() == nil
	}
	if !isSidecar(c.spec) {
		c.run(stop, kill)
		t := c.snapshot().State.Terminated
		succeeded := t != nil && t.ExitCode == 0
		if succeeded {
			c.change(func(status *v1.ContainerStatus) { status.Ready = true })
		}
		return succeeded && stop.Err() == nil
	}
	sidecars.Go(func() { c.run(stopSidecars, kill) })
	for stop.Err() == nil {
		if started := c.snapshot().Started; started != nil && *started {
			return true
		}
		sleep(stop, 50*time.Millisecond)
	}
	return false
}

// runsForReal tells whether a container of the pod is more than an echo server, and so has a use
// for volumes.
func (p *podRun) runsForReal() bool {
	return slices.ContainsFunc(slices.Concat(p.inits, p.containers), func(c *container) bool {
		_, real := p.kubelet.options.imageDir(c.spec)
		return real
	})
}

func (p *podRun) attach() error {
	addresses := p.kubelet.options.NodeIPs
	var attachment *podNetwork
	if !p.object.Spec.HostNetwork {
		var err error
		if attachment, err = p.kubelet.network.attach(shortID(p.object.UID), podIPs(p.object)); err != nil {
			return err
		}
		addresses = attachment.ips
	}
	p.mu.Lock()
	p.attachment, p.addresses = attachment, addresses
	p.mu.Unlock()
	p.changed()
	return nil
}

func (p *podRun) detach() {
	p.mu.Lock()
	attachment := p.attachment
	p.attachment = nil
	p.mu.Unlock()
	if attachment != nil {
		attachment.detach()
	}
	if err := os.RemoveAll(p.dir()); err != nil {
		p.logger.Info("Cannot remove the pod's folder", "err", err)
	}
}

// podIPs are the addresses that the API server has for a pod, from an earlier run.
func podIPs(pod *v1.Pod) []netip.Addr {
	var ips []netip.Addr
	for _, ip := range pod.Status.PodIPs {
		if addr, err := netip.ParseAddr(ip.IP); err == nil {
			ips = append(ips, addr)
		}
	}
	return ips
}
