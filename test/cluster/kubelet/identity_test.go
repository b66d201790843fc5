package main

import (
	"errors"
	"slices"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
)

func TestIdentityFollowsTheSecurityContexts(t *testing.T) {
	const netBind, netRaw = 10, 13
	hardened := &v1.SecurityContext{
		RunAsUser:                ptr.To(int64(0)),
		AllowPrivilegeEscalation: ptr.To(false),
		Capabilities:             &v1.Capabilities{Drop: []v1.Capability{"ALL"}, Add: []v1.Capability{"NET_RAW", "CAP_NET_BIND_SERVICE"}},
	}
	id, err := newIdentity(&v1.PodSpec{}, &v1.Container{SecurityContext: hardened})
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(id.Capabilities)
	if !slices.Equal(id.Capabilities, []uintptr{netBind, netRaw}) || !id.NoNewPrivs || id.UID != 0 {
		t.Errorf("hardened container is %+v", id)
	}

	pod := &v1.PodSpec{SecurityContext: &v1.PodSecurityContext{
		RunAsUser: ptr.To(int64(1)), RunAsGroup: ptr.To(int64(2)), FSGroup: ptr.To(int64(3)), SupplementalGroups: []int64{4}, RunAsNonRoot: ptr.To(true),
	}}
	id, err = newIdentity(pod, &v1.Container{})
	if err != nil || id.UID != 1 || id.GID != 2 || !slices.Equal(id.Groups, []int{4, 3}) || id.NoNewPrivs || len(id.Capabilities) != len(defaultCapabilities) {
		t.Errorf("container of a non-root pod is %+v, %v", id, err)
	}
	id, err = newIdentity(pod, &v1.Container{SecurityContext: &v1.SecurityContext{RunAsUser: ptr.To(int64(9)), Privileged: ptr.To(true)}})
	if err != nil || id.UID != 9 || len(id.Capabilities) != len(capabilityNames) {
		t.Errorf("privileged container is %+v, %v", id, err)
	}
	if _, err := newIdentity(pod, &v1.Container{SecurityContext: &v1.SecurityContext{RunAsUser: ptr.To(int64(0))}}); !errors.Is(err, errRunsAsRoot) {
		t.Errorf("root in a pod that must not be: %v", err)
	}
	id, err = newIdentity(&v1.PodSpec{}, &v1.Container{SecurityContext: &v1.SecurityContext{RunAsNonRoot: ptr.To(true)}})
	if err != nil || id.UID != imageUser || id.GID != imageUser {
		t.Errorf("container that says nothing is %+v, %v", id, err)
	}
	unknown := &v1.SecurityContext{Capabilities: &v1.Capabilities{Add: []v1.Capability{"NET_EVERYTHING"}}}
	if _, err := newIdentity(&v1.PodSpec{}, &v1.Container{SecurityContext: unknown}); err == nil {
		t.Error("an unknown capability was accepted")
	}
}
