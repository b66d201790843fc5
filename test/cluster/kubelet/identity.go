package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
	v1 "k8s.io/api/core/v1"
)

// identity is who a container's process is: what the security contexts of its pod and container
// come to.
type identity struct {
	UID, GID int
	Groups   []int
	// Capabilities is the bounding set. As Kubernetes knows no ambient capabilities, only root has
	// them in fact.
	Capabilities []uintptr
	NoNewPrivs   bool
}

// capabilityNames is in the order of the capabilities' numbers (linux/capability.h).
var capabilityNames = []string{
	"CHOWN", "DAC_OVERRIDE", "DAC_READ_SEARCH", "FOWNER", "FSETID", "KILL", "SETGID", "SETUID", "SETPCAP",
	"LINUX_IMMUTABLE", "NET_BIND_SERVICE", "NET_BROADCAST", "NET_ADMIN", "NET_RAW", "IPC_LOCK", "IPC_OWNER", "SYS_MODULE",
	"SYS_RAWIO", "SYS_CHROOT", "SYS_PTRACE", "SYS_PACCT", "SYS_ADMIN", "SYS_BOOT", "SYS_NICE", "SYS_RESOURCE", "SYS_TIME",
	"SYS_TTY_CONFIG", "MKNOD", "LEASE", "AUDIT_WRITE", "AUDIT_CONTROL", "SETFCAP", "MAC_OVERRIDE", "MAC_ADMIN", "SYSLOG",
	"WAKE_ALARM", "BLOCK_SUSPEND", "AUDIT_READ", "PERFMON", "BPF", "CHECKPOINT_RESTORE",
}

// defaultCapabilities is what containerd gives a container that asks for nothing.
var defaultCapabilities = []string{
	"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
	"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
}

// imageUser is the user and group that every image is taken to declare, as the product's does: a
// container that needs to be root has to say so.
const imageUser = 65532

var errRunsAsRoot = errors.New("container's runAsUser breaks non-root policy")

// newIdentity applies the security contexts.
func newIdentity(pod *v1.PodSpec, container *v1.Container) (identity, error) {
	podContext, context := pod.SecurityContext, container.SecurityContext
	if podContext == nil {
		podContext = &v1.PodSecurityContext{}
	}
	if context == nil {
		context = &v1.SecurityContext{}
	}
	id := identity{
		UID:        int(first(imageUser, context.RunAsUser, podContext.RunAsUser)),
		NoNewPrivs: !first(true, context.AllowPrivilegeEscalation),
	}
	// A user that the image does not declare has no group of its own.
	group := int64(0)
	if context.RunAsUser == nil && podContext.RunAsUser == nil {
		group = imageUser
	}
	id.GID = int(first(group, context.RunAsGroup, podContext.RunAsGroup))
	if first(false, context.RunAsNonRoot, podContext.RunAsNonRoot) && id.UID == 0 {
		return identity{}, errRunsAsRoot
	}
	for _, group := range podContext.SupplementalGroups {
		id.Groups = append(id.Groups, int(group))
	}
	if podContext.FSGroup != nil {
		id.Groups = append(id.Groups, int(*podContext.FSGroup))
	}
	names, err := capabilities(context)
	if err != nil {
		return identity{}, err
	}
	for _, name := range names {
		id.Capabilities = append(id.Capabilities, uintptr(slices.Index(capabilityNames, name)))
	}
	return id, nil
}

func capabilities(context *v1.SecurityContext) ([]string, error) {
	if first(false, context.Privileged) {
		return capabilityNames, nil
	}
	names := slices.Clone(defaultCapabilities)
	if context.Capabilities == nil {
		return names, nil
	}
	for _, c := range context.Capabilities.Drop {
		drop := capabilityName(c)
		names = slices.DeleteFunc(names, func(name string) bool { return drop == "ALL" || drop == name })
	}
	for _, c := range context.Capabilities.Add {
		add := capabilityName(c)
		if add == "ALL" {
			return capabilityNames, nil
		}
		if !slices.Contains(capabilityNames, add) {
			return nil, fmt.Errorf("unknown capability %q", c)
		}
		if !slices.Contains(names, add) {
			names = append(names, add)
		}
	}
	return names, nil
}

func capabilityName(c v1.Capability) string {
	return strings.TrimPrefix(strings.ToUpper(string(c)), "CAP_")
}

func first[T any](otherwise T, values ...*T) T {
	for _, value := range values {
		if value != nil {
			return *value
		}
	}
	return otherwise
}

// assume makes the calling thread, which must be about to execute a program, run as id.
func (id identity) assume() error {
	for c := uintptr(0); ; c++ {
		if set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0); err != nil {
			break // the first number that this kernel does not know
		} else if set == 1 && !slices.Contains(id.Capabilities, c) {
			if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
				return fmt.Errorf("drop capability %d: %w", c, err)
			}
		}
	}
	if err := syscall.Setgroups(id.Groups); err != nil {
		return fmt.Errorf("set groups: %w", err)
	}
	if err := syscall.Setresgid(id.GID, id.GID, id.GID); err != nil {
		return fmt.Errorf("set group: %w", err)
	}
	if err := syscall.Setresuid(id.UID, id.UID, id.UID); err != nil {
		return fmt.Errorf("set user: %w", err)
	}
	if id.NoNewPrivs {
		if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
			return fmt.Errorf("set no_new_privs: %w", err)
		}
	}
	// The kernel forgets the parent-death signal when the user changes.
	return unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0)
}
