package main

import (
	"encoding/json"
	"net/netip"
	"testing"
	"time"

	v1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestPhaseSumsUpTheContainers(t *testing.T) {
	type statuses = []v1.ContainerStatus
	for _, test := range []struct {
		name       string
		policy     v1.RestartPolicy
		inits      statuses
		containers statuses
		ended      bool
		want       v1.PodPhase
	}{
		{"nothing started", v1.RestartPolicyAlways, nil, statuses{creating}, false, v1.PodPending},
		{"one of two started", v1.RestartPolicyAlways, nil, statuses{up, creating}, false, v1.PodPending},
		{"all started", v1.RestartPolicyAlways, nil, statuses{up, ready}, false, v1.PodRunning},
		{"init container not done", v1.RestartPolicyAlways, statuses{up}, statuses{creating}, false, v1.PodPending},
		{"init container failed for good", v1.RestartPolicyNever, statuses{failure}, statuses{creating}, false, v1.PodFailed},
		{"init container failed for now", v1.RestartPolicyAlways, statuses{failure}, statuses{creating}, false, v1.PodPending},
		{"init container done", v1.RestartPolicyAlways, statuses{success}, statuses{up}, false, v1.PodRunning},
		{"waiting to be started again", v1.RestartPolicyAlways, nil, statuses{backOff}, false, v1.PodRunning},
		{"ended, to be started again", v1.RestartPolicyAlways, nil, statuses{success}, false, v1.PodRunning},
		{"done", v1.RestartPolicyNever, nil, statuses{success, success}, false, v1.PodSucceeded},
		{"done, on failure", v1.RestartPolicyOnFailure, nil, statuses{success}, false, v1.PodSucceeded},
		{"failed, to be started again", v1.RestartPolicyOnFailure, nil, statuses{failure}, false, v1.PodRunning},
		{"failed", v1.RestartPolicyNever, nil, statuses{success, failure}, false, v1.PodFailed},
		{"half done", v1.RestartPolicyNever, nil, statuses{success, up}, false, v1.PodRunning},
		{"deleted and ended well", v1.RestartPolicyAlways, nil, statuses{success}, true, v1.PodSucceeded},
		{"deleted and killed", v1.RestartPolicyAlways, nil, statuses{failure}, true, v1.PodFailed},
		{"deleted before it started", v1.RestartPolicyAlways, nil, statuses{creating}, true, v1.PodFailed},
	} {
		pod := &v1.Pod{Spec: v1.PodSpec{RestartPolicy: test.policy, InitContainers: []v1.Container{{Name: "c"}}}}
		got := phase(pod, observed{inits: test.inits, containers: test.containers, ended: test.ended})
		if got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}

func TestPodIsReadyWhenItsContainersAndGatesAre(t *testing.T) {
	gate := v1.PodConditionType("example.org/gate")
	for _, test := range []struct {
		name                          string
		containers                    []v1.ContainerStatus
		gate                          v1.ConditionStatus
		wantContainersReady, wantGate v1.ConditionStatus
		reason                        string
	}{
		{"ready", []v1.ContainerStatus{ready}, v1.ConditionTrue, v1.ConditionTrue, v1.ConditionTrue, ""},
		{"one unready", []v1.ContainerStatus{ready, up}, v1.ConditionTrue, v1.ConditionFalse, v1.ConditionFalse, "ContainersNotReady"},
		{"gate closed", []v1.ContainerStatus{ready}, v1.ConditionFalse, v1.ConditionTrue, v1.ConditionFalse, "ReadinessGatesNotReady"},
	} {
		pod := &v1.Pod{
			Spec:   v1.PodSpec{ReadinessGates: []v1.PodReadinessGate{{ConditionType: gate}}},
			Status: v1.PodStatus{Conditions: []v1.PodCondition{{Type: gate, Status: test.gate}}},
		}
		status := podStatus(pod, observed{containers: test.containers}, time.Now())
		if got := condition(status, v1.ContainersReady).Status; got != test.wantContainersReady {
			t.Errorf("%s: ContainersReady is %s", test.name, got)
		}
		if got := condition(status, v1.PodReady); got.Status != test.wantGate || got.Reason != test.reason {
			t.Errorf("%s: Ready is %s (%s), want %s (%s)", test.name, got.Status, got.Reason, test.wantGate, test.reason)
		}
		if condition(status, gate).Status != test.gate {
			t.Errorf("%s: the condition of somebody else is gone", test.name)
		}
	}
}

func TestConditionsKeepTheTimeOfTheirLastTransition(t *testing.T) {
	first, later := time.Unix(1000, 0), time.Unix(2000, 0)
	pod := &v1.Pod{}
	pod.Status = podStatus(pod, observed{containers: []v1.ContainerStatus{up}}, first)
	pod.Status = podStatus(pod, observed{containers: []v1.ContainerStatus{ready}}, later)
	if got := condition(pod.Status, v1.PodScheduled).LastTransitionTime; !got.Time.Equal(first) {
		t.Errorf("PodScheduled changed at %v, want %v", got, first)
	}
	if got := condition(pod.Status, v1.PodReady).LastTransitionTime; !got.Time.Equal(later) {
		t.Errorf("Ready changed at %v, want %v", got, later)
	}
}

func condition(status v1.PodStatus, kind v1.PodConditionType) v1.PodCondition {
	for _, c := range status.Conditions {
		if c.Type == kind {
			return c
		}
	}
	return v1.PodCondition{}
}

func TestPatchReplacesAddressesAndNamesItsPod(t *testing.T) {
	before := &v1.Pod{ObjectMeta: metav1.ObjectMeta{UID: "u"}, Status: v1.PodStatus{PodIP: "10.0.0.1", PodIPs: []v1.PodIP{{IP: "10.0.0.1"}}}}
	after := before.DeepCopy()
	after.Status = podStatus(before, observed{podIPs: []netip.Addr{netip.MustParseAddr("10.0.0.2")}, containers: []v1.ContainerStatus{ready}}, time.Now())
	patch, err := mergePatch(before, after, v1.Pod{})
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Metadata map[string]string
		Status   struct{ PodIPs []map[string]string }
	}
	if err := json.Unmarshal(patch, &got); err != nil {
		t.Fatal(err)
	}
	if got.Metadata["uid"] != "u" {
		t.Errorf("patch is for uid %q: %s", got.Metadata["uid"], patch)
	}
	if ips := got.Status.PodIPs; len(ips) != 2 || ips[0]["ip"] != "10.0.0.2" || ips[1]["$patch"] != "delete" {
		t.Errorf("patch of addresses: %v", ips)
	}
}

func TestNodeAddressesBelongToTheCloudProviderOnceSet(t *testing.T) {
	n := &node{options: options{
		NodeName: "n1",
		NodeIPs:  []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")},
		PodCIDRs: []netip.Prefix{netip.MustParsePrefix("10.244.1.0/24")},
	}}
	fresh := n.newNode()
	want := []v1.NodeAddress{
		{Type: v1.NodeInternalIP, Address: "192.0.2.1"}, {Type: v1.NodeInternalIP, Address: "2001:db8::1"}, {Type: v1.NodeHostName, Address: "n1"},
	}
	if len(fresh.Status.Addresses) != 3 || fresh.Status.Addresses[0] != want[0] || fresh.Status.Addresses[1] != want[1] || fresh.Status.Addresses[2] != want[2] {
		t.Errorf("a new node has %v, want %v", fresh.Status.Addresses, want)
	}
	given := v1.NodeStatus{Addresses: []v1.NodeAddress{{Type: v1.NodeExternalIP, Address: "198.51.100.1"}}}
	if got := n.status(given, time.Now()).Addresses; len(got) != 1 || got[0] != given.Addresses[0] {
		t.Errorf("the provider's addresses became %v", got)
	}
}
