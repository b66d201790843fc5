package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

const (
	// A container that ended is started again at once, and then, if it goes on ending, after 1 s, 2
	// s, 4 s and so on (as a kubelet does since ReduceDefaultCrashLoopBackOffDecay). A container
	// that ran for backOffReset begins anew.
	backOffFirst = time.Second
	backOffMax   = time.Minute
	backOffReset = 2 * backOffMax

	// configRetry is how soon a container is tried again that lacks something to which it refers.
	configRetry = 2 * time.Second
)

// container runs one container of a pod: it starts the process, probes it, starts it again and
// stops it.
type container struct {
	spec *v1.Container
	// restart is the policy by which an ended process is started again.
	restart v1.RestartPolicy
	pod     *podRun
	// env is the environment of the process that was started last.
	env []string

	mu     sync.Mutex
	status v1.ContainerStatus
}

// newContainer continues from what the API server knows of the container from an earlier run, of
// which nothing runs any more.
func newContainer(pod *podRun, spec *v1.Container, restart v1.RestartPolicy, earlier []v1.ContainerStatus) *container {
	c := &container{spec: spec, restart: restart, pod: pod}
	c.status = v1.ContainerStatus{
		Name: spec.Name, Image: spec.Image, ImageID: spec.Image, Started: ptr.To(false),
		State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "ContainerCreating"}},
	}
	for _, before := range earlier {
		ran := before.State.Waiting == nil || before.LastTerminationState.Terminated != nil
		if before.Name != spec.Name || !ran {
			continue
		}
		c.status.RestartCount = before.RestartCount + 1
		c.status.LastTerminationState = before.LastTerminationState
		if before.State.Terminated != nil {
			c.status.LastTerminationState = before.State
		} else if before.State.Running != nil {
			c.status.LastTerminationState = v1.ContainerState{Terminated: &v1.ContainerStateTerminated{
				ExitCode: 137, Reason: "ContainerStatusUnknown", Message: "The container could not be located when the node came back",
				StartedAt: before.State.Running.StartedAt, FinishedAt: metav1.NewTime(now()), ContainerID: before.ContainerID,
			}}
		}
	}
	return c
}

// change edits the status and makes the pod report it.
func (c *container) change(edit func(*v1.ContainerStatus)) {
	c.mu.Lock()
	edit(&c.status)
	c.mu.Unlock()
	c.pod.changed()
}

func (c *container) snapshot() v1.ContainerStatus {
	c.mu.Lock()
	defer c.mu.Unlock()
	return *c.status.DeepCopy()
}

// run runs the container, again and again as its restart policy says. When stop ends it asks the
// process to end, and when kill ends it kills the process.
func (c *container) run(stop, kill context.Context) {
	delay := time.Duration(0)
	for stop.Err() == nil {
		begun := time.Now()
		p, err := c.start(stop)
		var config configError
		switch {
		case stop.Err() != nil && err != nil:
			return
		case errors.As(err, &config):
			c.wait("CreateContainerConfigError", config.Error())
			c.pod.event(v1.EventTypeWarning, "Failed", "Error: "+config.Error())
			sleep(stop, configRetry)
			continue
		case err != nil:
			c.ended(&v1.ContainerStateTerminated{ExitCode: enterFailed, Reason: "StartError", Message: err.Error(), StartedAt: metav1.NewTime(begun)})
		default:
			c.attend(p, stop, kill)
		}
		if stop.Err() != nil || !c.again() {
			return
		}
		if time.Since(begun) >= backOffReset {
			delay = 0
		}
		if delay > 0 {
			message := fmt.Sprintf("back-off %s restarting failed container=%s pod=%s", delay, c.spec.Name, klog.KObj(c.pod.object))
			c.wait("CrashLoopBackOff", message)
			c.pod.event(v1.EventTypeWarning, "BackOff", message)
			if sleep(stop, delay); stop.Err() != nil {
				return
			}
		}
		delay = min(max(2*delay, backOffFirst), backOffMax)
		c.mu.Lock()
		c.status.RestartCount++
		c.mu.Unlock()
	}
}

// again tells whether the process that ended is to be started again.
func (c *container) again() bool {
	switch c.restart {
	case v1.RestartPolicyAlways:
		return true
	case v1.RestartPolicyOnFailure:
		t := c.snapshot().State.Terminated
		return t == nil || t.ExitCode != 0
	default:
		return false
	}
}

func sleep(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

func (c *container) wait(reason, message string) {
	c.change(func(status *v1.ContainerStatus) {
		if status.State.Terminated != nil {
			status.LastTerminationState = status.State
		}
		status.State = v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: reason, Message: message}}
	})
}

func (c *container) ended(t *v1.ContainerStateTerminated) {
	t.FinishedAt = metav1.NewTime(now())
	c.change(func(status *v1.ContainerStatus) {
		t.ContainerID = status.ContainerID
		status.State = v1.ContainerState{Terminated: t}
		status.Ready, status.Started = false, ptr.To(false)
	})
}

// attend waits until the process has ended: by itself, because a probe failed, or because the pod
// stops.
func (c *container) attend(p *process, stop, kill context.Context) {
	begun := metav1.NewTime(now())
	c.change(func(status *v1.ContainerStatus) {
		if status.State.Terminated != nil {
			status.LastTerminationState = status.State
		}
		status.State = v1.ContainerState{Running: &v1.ContainerStateRunning{StartedAt: begun}}
		status.ContainerID = fmt.Sprintf("process://%d", p.pid)
		status.Started = ptr.To(c.spec.StartupProbe == nil)
		status.Ready = c.spec.StartupProbe == nil && c.spec.ReadinessProbe == nil
	})
	c.pod.event(v1.EventTypeNormal, "Started", "Started container "+c.spec.Name)
	c.pod.logger.Info("Started container", "container", c.spec.Name, "pid", p.pid)

	prober := prober{container: c.spec, host: c.pod.ips()[0].String(), exec: func(ctx context.Context, args []string) error {
		return c.exec(ctx, p, args)
	}}
	if hook := c.spec.Lifecycle; hook != nil && hook.PostStart != nil {
		if err := prober.hook(kill, hook.PostStart); err != nil {
			c.pod.event(v1.EventTypeWarning, "FailedPostStartHook", err.Error())
		}
	}
	condemned := make(chan string, 1)
	probing, stopProbing := context.WithCancel(kill)
	var probes sync.WaitGroup
	probes.Go(func() { c.probe(probing, stop, prober, condemned) })

	select {
	case <-p.done:
	case reason := <-condemned:
		c.pod.event(v1.EventTypeNormal, "Killing", fmt.Sprintf("Container %s failed %s probe, will be restarted", c.spec.Name, reason))
		grace, cancel := context.WithTimeout(kill, c.grace(reason))
		c.end(p, prober, grace)
		cancel()
	case <-stop.Done():
		c.end(p, prober, kill)
	}
	stopProbing()
	probes.Wait()

	code, signal := p.exitCode()
	reason := "Completed"
	if code != 0 {
		reason = "Error"
	}
	c.pod.logger.Info("Container ended", "container", c.spec.Name, "pid", p.pid, "exitCode", code, "signal", signal)
	c.ended(&v1.ContainerStateTerminated{ExitCode: code, Signal: signal, Reason: reason, StartedAt: begun})
}

// end runs the preStop hook, asks the process to end, and kills it when kill ends.
func (c *container) end(p *process, prober prober, kill context.Context) {
	if hook := c.spec.Lifecycle; hook != nil && hook.PreStop != nil {
		hooking, cancel := context.WithCancel(kill)
		go func() {
			select {
			case <-p.done:
			case <-hooking.Done():
			}
			cancel()
		}()
		if err := prober.hook(hooking, hook.PreStop); err != nil && hooking.Err() == nil {
			c.pod.event(v1.EventTypeWarning, "FailedPreStopHook", err.Error())
		}
		cancel()
	}
	if kill.Err() == nil {
		p.terminate()
	}
	select {
	case <-p.done:
	case <-kill.Done():
		p.kill()
		<-p.done
	}
}

// configError says why it cannot be known what to start.
type configError struct{ error }

func (c *container) start(ctx context.Context) (*process, error) {
	output, err := os.OpenFile(c.logFile(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	defer output.Close()
	command, err := c.command(ctx)
	if err != nil {
		return nil, err
	}
	command.output = output
	return c.pod.kubelet.spawn.start(command)
}

func (c *container) logFile() string {
	name := c.pod.object.Namespace + "_" + c.pod.object.Name + "_" + c.spec.Name + ".log"
	return filepath.Join(c.pod.kubelet.options.LogDir, name)
}

// command is the process to start for the container.
func (c *container) command(ctx context.Context) (command, error) {
	variables, err := c.pod.environment().variables(ctx, c.spec)
	if err != nil {
		return command{}, configError{err}
	}
	c.env = list(variables)
	image, real := c.pod.kubelet.options.imageDir(c.spec)
	if !real {
		config := echoConfig(c.pod.object, c.spec)
		return command{args: append([]string{echoCommand}, echo.Args(config, readyFD)...), env: c.env, netns: c.pod.netns()}, nil
	}
	id, err := newIdentity(&c.pod.object.Spec, c.spec)
	if err != nil {
		return command{}, configError{err}
	}
	mounts, err := c.pod.volumes.mounts(c.spec, variables)
	if err != nil {
		return command{}, configError{err}
	}
	root := filepath.Join(c.pod.dir(), "roots", c.spec.Name)
	if err := os.MkdirAll(root, 0o755); err != nil {
		return command{}, err
	}
	return command{
		args: []string{enterCommand},
		stdin: entry{
			Root: root, Image: image, Mounts: mounts, Files: c.pod.files(), Hostname: variables["HOSTNAME"],
			ReadOnly: c.spec.SecurityContext != nil && first(false, c.spec.SecurityContext.ReadOnlyRootFilesystem),
			Args:     commandLine(c.spec, variables), Env: c.env, Dir: workingDir(c.spec), Identity: id,
		},
		private: true,
		netns:   c.pod.netns(),
	}, nil
}

func workingDir(spec *v1.Container) string {
	if spec.WorkingDir == "" {
		return "/"
	}
	return spec.WorkingDir
}

// commandLine is a container's command and arguments. The entry point of an image is the file in
// its root that is named like the image.
func commandLine(spec *v1.Container, variables map[string]string) []string {
	line := expandAll(spec.Command, variables)
	if len(line) == 0 {
		line = []string{"/" + filepath.Base(imageRepository(spec.Image))}
	}
	return append(line, expandAll(spec.Args, variables)...)
}

// exec runs a command beside the process p of the container: in its root and as its user if it runs
// for real, otherwise with the files of the machine.
func (c *container) exec(ctx context.Context, p *process, args []string) error {
	e := entry{Args: args, Env: c.env, Dir: workingDir(c.spec)}
	if _, real := c.pod.kubelet.options.imageDir(c.spec); real {
		e.Join = p.pid
		var err error
		if e.Identity, err = newIdentity(&c.pod.object.Spec, c.spec); err != nil {
			return err
		}
	} else {
		e.Dir = "/"
		for number := range capabilityNames {
			e.Identity.Capabilities = append(e.Identity.Capabilities, uintptr(number))
		}
	}
	return c.pod.kubelet.spawn.outcome(ctx, command{args: []string{enterCommand}, stdin: e, netns: c.pod.netns()})
}

// echoConfig says what an echo server of a pod serves.
func echoConfig(pod *v1.Pod, spec *v1.Container) echo.Config {
	config := echo.Config{Pod: pod.Name, Namespace: pod.Namespace, Node: pod.Spec.NodeName}
	for _, port := range spec.Ports {
		number := uint16(port.ContainerPort)
		switch {
		case port.Protocol == v1.ProtocolUDP:
			config.UDP = append(config.UDP, number)
		case port.Protocol == v1.ProtocolSCTP:
		case port.Name == "tcp" || strings.HasPrefix(port.Name, "tcp-"):
			config.TCP = append(config.TCP, number)
		default:
			config.HTTP = append(config.HTTP, number)
		}
	}
	declares := func(c v1.Container) bool { return len(c.Ports) > 0 }
	if !slices.ContainsFunc(pod.Spec.Containers, declares) && spec.Name == pod.Spec.Containers[0].Name {
		config.HTTP = []uint16{8080}
	}
	return config
}
