package main

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
)

// observed is what this node sees of a pod.
type observed struct {
	started time.Time
	hostIPs []netip.Addr
	// podIPs are the pod's own, or the node's for hostNetwork; none before the pod has a network.
	podIPs []netip.Addr
	// inits and containers are in the order of the spec.
	inits, containers []v1.ContainerStatus
	// ended says that nothing of the pod will run again.
	ended bool
}

// podStatus computes the status of a pod from what this node sees and from the status that the API
// server holds, as a kubelet does (pkg/kubelet/kubelet_pods.go, pkg/kubelet/status/generate.go). It
// keeps conditions that others have set.
func podStatus(pod *v1.Pod, seen observed, now time.Time) v1.PodStatus {
	status := *pod.Status.DeepCopy()
	status.ObservedGeneration = pod.Generation
	status.StartTime = &metav1.Time{Time: seen.started}
	status.HostIP, status.HostIPs = "", nil
	for _, ip := range seen.hostIPs {
		status.HostIPs = append(status.HostIPs, v1.HostIP{IP: ip.String()})
		status.HostIP = status.HostIPs[0].IP
	}
	status.PodIP, status.PodIPs = "", nil
	for _, ip := range seen.podIPs {
		status.PodIPs = append(status.PodIPs, v1.PodIP{IP: ip.String()})
		status.PodIP = status.PodIPs[0].IP
	}
	status.InitContainerStatuses, status.ContainerStatuses = seen.inits, seen.containers
	status.QOSClass = pod.Status.QOSClass
	status.Phase = phase(pod, seen)

	set := func(kind v1.PodConditionType, value bool, reason, message string) {
		setPodCondition(&status, v1.PodCondition{
			Type: kind, Status: conditionStatus(value), Reason: reason, Message: message, ObservedGeneration: pod.Generation,
		}, metav1.NewTime(now))
	}
	set(v1.PodScheduled, true, "", "")
	set(v1.PodReadyToStartContainers, len(seen.podIPs) > 0 && !seen.ended, "", "")

	done := status.Phase == v1.PodSucceeded || status.Phase == v1.PodFailed
	if waiting := names(seen.inits, func(c v1.ContainerStatus) bool { return !initialized(pod, c) }); len(waiting) > 0 {
		set(v1.PodInitialized, false, "ContainersNotInitialized", fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(waiting, " ")))
	} else if status.Phase == v1.PodSucceeded {
		set(v1.PodInitialized, true, "PodCompleted", "")
	} else {
		set(v1.PodInitialized, true, "", "")
	}

	unready := names(seen.containers, func(c v1.ContainerStatus) bool { return !c.Ready })
	reason, message := "ContainersNotReady", fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	switch {
	case status.Phase == v1.PodSucceeded:
		reason, message = "PodCompleted", ""
	case status.Phase == v1.PodFailed:
		reason, message = "PodFailed", ""
	}
	ready := len(unready) == 0 && !done
	if ready {
		reason, message = "", ""
	}
	set(v1.ContainersReady, ready, reason, message)
	if gate := closedGate(pod); ready && gate != "" {
		ready, reason, message = false, "ReadinessGatesNotReady", fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist or is not True.", gate)
	}
	set(v1.PodReady, ready, reason, message)
	return status
}

func conditionStatus(value bool) v1.ConditionStatus {
	if value {
		return v1.ConditionTrue
	}
	return v1.ConditionFalse
}

func setPodCondition(status *v1.PodStatus, c v1.PodCondition, now metav1.Time) {
	c.LastTransitionTime = now
	i := slices.IndexFunc(status.Conditions, func(held v1.PodCondition) bool { return held.Type == c.Type })
	if i < 0 {
		status.Conditions = append(status.Conditions, c)
		return
	}
	if status.Conditions[i].Status == c.Status {
		c.LastTransitionTime = status.Conditions[i].LastTransitionTime
	}
	status.Conditions[i] = c
}

// initialized tells whether an init container no longer holds up the others.
func initialized(pod *v1.Pod, c v1.ContainerStatus) bool {
	for _, spec := range pod.Spec.InitContainers {
		if spec.Name == c.Name && isSidecar(&spec) {
			return c.Started != nil && *c.Started
		}
	}
	return c.State.Terminated != nil && c.State.Terminated.ExitCode == 0
}

// isSidecar tells whether an init container keeps running next to the pod's containers.
func isSidecar(container *v1.Container) bool {
	return container.RestartPolicy != nil && *container.RestartPolicy == v1.ContainerRestartPolicyAlways
}

func closedGate(pod *v1.Pod) v1.PodConditionType {
	for _, gate := range pod.Spec.ReadinessGates {
		open := slices.ContainsFunc(pod.Status.Conditions, func(c v1.PodCondition) bool {
			return c.Type == gate.ConditionType && c.Status == v1.ConditionTrue
		})
		if !open {
			return gate.ConditionType
		}
	}
	return ""
}

func names(statuses []v1.ContainerStatus, match func(v1.ContainerStatus) bool) []string {
	var names []string
	for _, c := range statuses {
		if match(c) {
			names = append(names, c.Name)
		}
	}
	return names
}

// phase sums up the containers (getPhase in pkg/kubelet/kubelet_pods.go).
func phase(pod *v1.Pod, seen observed) v1.PodPhase {
	if held := pod.Status.Phase; held == v1.PodSucceeded || held == v1.PodFailed {
		return held
	}
	for _, c := range seen.inits {
		if t := c.State.Terminated; t != nil && t.ExitCode != 0 && pod.Spec.RestartPolicy == v1.RestartPolicyNever {
			return v1.PodFailed
		}
		if !initialized(pod, c) && !seen.ended {
			return v1.PodPending
		}
	}
	var waiting, running, failed int
	for _, c := range seen.containers {
		ended := c.State.Terminated
		if ended == nil && c.State.Waiting != nil {
			ended = c.LastTerminationState.Terminated
		}
		switch {
		case c.State.Running != nil:
			running++
		case ended == nil && seen.ended:
			failed++ // never started, and never will
		case ended == nil:
			waiting++
		case ended.ExitCode != 0:
			failed++
		}
	}
	switch {
	case waiting > 0:
		return v1.PodPending
	case running > 0:
		return v1.PodRunning
	case !seen.ended && pod.Spec.RestartPolicy == v1.RestartPolicyAlways:
		return v1.PodRunning
	case failed == 0:
		return v1.PodSucceeded
	case !seen.ended && pod.Spec.RestartPolicy == v1.RestartPolicyOnFailure:
		return v1.PodRunning
	default:
		return v1.PodFailed
	}
}

// mergePatch is the strategic merge patch that turns one version of an object into another. It
// names the UID, so that it applies to no other object.
func mergePatch(from, to metav1.Object, kind any) ([]byte, error) {
	before, err := json.Marshal(from)
	if err != nil {
		return nil, err
	}
	after, err := json.Marshal(to)
	if err != nil {
		return nil, err
	}
	patch, err := strategicpatch.CreateTwoWayMergePatch(before, after, kind)
	if err != nil {
		return nil, err
	}
	var fields map[string]any
	if err := json.Unmarshal(patch, &fields); err != nil {
		return nil, err
	}
	fields["metadata"] = map[string]any{"uid": from.GetUID()}
	return json.Marshal(fields)
}
