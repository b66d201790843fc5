package main

import (
	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func exited(code int32) v1.ContainerState {
	return v1.ContainerState{Terminated: &v1.ContainerStateTerminated{ExitCode: code}}
}

var (
	creating = v1.ContainerStatus{Name: "c", State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "ContainerCreating"}}}
	up       = v1.ContainerStatus{Name: "c", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}, Started: ptr.To(true)}
	ready    = v1.ContainerStatus{Name: "c", State: v1.ContainerState{Running: &v1.ContainerStateRunning{}}, Started: ptr.To(true), Ready: true}
	backOff  = v1.ContainerStatus{Name: "c", State: v1.ContainerState{Waiting: &v1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}}, LastTerminationState: exited(1)}
	success  = v1.ContainerStatus{Name: "c", State: exited(0)}
	failure  = v1.ContainerStatus{Name: "c", State: exited(1)}
)
