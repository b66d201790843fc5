package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	coordinationv1 "k8s.io/api/coordination/v1"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
)

const (
	// kubeletVersion is the release whose kubelet this program stands for.
	kubeletVersion = "v1.37.1"

	// taintUninitialized and annotationNodeIP ask the cloud-controller-manager to initialise a Node
	// (k8s.io/cloud-provider/api).
	taintUninitialized = "node.cloudprovider.kubernetes.io/uninitialized"
	annotationNodeIP   = "alpha.kubernetes.io/provided-node-ip"

	// leaseInterval is shorter than a kubelet's ten seconds, so that a cluster whose controller
	// manager has a short --node-monitor-grace-period notices a dead node soon and never suspects a
	// live one.
	leaseInterval = time.Second
	leaseDuration = 40 * time.Second
	// statusInterval and statusReport are a kubelet's nodeStatusUpdateFrequency and
	// nodeStatusReportFrequency.
	statusInterval = 10 * time.Second
	statusReport   = 5 * time.Minute

	retryInterval = 500 * time.Millisecond
)

// node writes the Node object and its lease. Its status does not depend on what runs: a node of a
// test cluster is healthy for as long as this process lives.
type node struct {
	options options
	client  kubernetes.Interface
}

// register creates the Node, or brings an existing one up to date as a restarted kubelet does:
// labels and annotation, but not the taint, which only a new Node gets.
func (n *node) register(ctx context.Context) (*v1.Node, error) {
	var registered *v1.Node
	err := wait.PollUntilContextCancel(ctx, retryInterval, true, func(ctx context.Context) (bool, error) {
		var err error
		registered, err = n.tryRegister(ctx)
		if apierrors.IsInvalid(err) {
			return false, err
		}
		if err != nil {
			klog.FromContext(ctx).Info("Cannot register the node yet", "err", err)
		}
		return err == nil, nil
	})
	if err != nil {
		return nil, fmt.Errorf("register node %s: %w", n.options.NodeName, err)
	}
	return registered, nil
}

func (n *node) tryRegister(ctx context.Context) (*v1.Node, error) {
	nodes := n.client.CoreV1().Nodes()
	wanted := n.newNode()
	created, err := nodes.Create(ctx, wanted, metav1.CreateOptions{})
	if err == nil {
		klog.FromContext(ctx).Info("Registered the node", "addresses", n.options.NodeIPs, "podCIDRs", wanted.Spec.PodCIDRs)
		return created, nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return nil, err
	}
	existing, err := nodes.Get(ctx, n.options.NodeName, metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	updated := existing.DeepCopy()
	for key, value := range wanted.Labels {
		metav1.SetMetaDataLabel(&updated.ObjectMeta, key, value)
	}
	metav1.SetMetaDataAnnotation(&updated.ObjectMeta, annotationNodeIP, wanted.Annotations[annotationNodeIP])
	updated.Spec.PodCIDR, updated.Spec.PodCIDRs = wanted.Spec.PodCIDR, wanted.Spec.PodCIDRs
	if equality.Semantic.DeepEqual(existing, updated) {
		return existing, nil
	}
	return nodes.Update(ctx, updated, metav1.UpdateOptions{})
}

func (n *node) newNode() *v1.Node {
	o := n.options
	fresh := &v1.Node{
		ObjectMeta: metav1.ObjectMeta{
			Name: o.NodeName,
			Labels: map[string]string{
				v1.LabelHostname:          o.NodeName,
				v1.LabelOSStable:          runtime.GOOS,
				v1.LabelArchStable:        runtime.GOARCH,
				"beta.kubernetes.io/os":   runtime.GOOS,
				"beta.kubernetes.io/arch": runtime.GOARCH,
			},
			Annotations: map[string]string{annotationNodeIP: join(o.NodeIPs)},
		},
		Spec: v1.NodeSpec{
			Taints: []v1.Taint{{Key: taintUninitialized, Value: "true", Effect: v1.TaintEffectNoSchedule}},
		},
	}
	for _, cidr := range o.PodCIDRs {
		fresh.Spec.PodCIDRs = append(fresh.Spec.PodCIDRs, cidr.Masked().String())
	}
	fresh.Spec.PodCIDR = fresh.Spec.PodCIDRs[0]
	fresh.Status = n.status(fresh.Status, time.Now())
	return fresh
}

// status is what the node reports at a time, given what the API server holds. The addresses are
// those of the command line until others are set. From then on they belong to the cloud provider
// (pkg/kubelet/nodestatus/setters.go).
func (n *node) status(held v1.NodeStatus, now time.Time) v1.NodeStatus {
	status := *held.DeepCopy()
	if len(status.Addresses) == 0 {
		for _, ip := range n.options.NodeIPs {
			status.Addresses = append(status.Addresses, v1.NodeAddress{Type: v1.NodeInternalIP, Address: ip.String()})
		}
		status.Addresses = append(status.Addresses, v1.NodeAddress{Type: v1.NodeHostName, Address: n.options.NodeName})
	}
	status.Capacity = nodeCapacity()
	status.Allocatable = status.Capacity.DeepCopy()
	status.NodeInfo = n.nodeInfo()
	for _, c := range []v1.NodeCondition{
		{Type: v1.NodeMemoryPressure, Status: v1.ConditionFalse, Reason: "KubeletHasSufficientMemory", Message: "kubelet has sufficient memory available"},
		{Type: v1.NodeDiskPressure, Status: v1.ConditionFalse, Reason: "KubeletHasNoDiskPressure", Message: "kubelet has no disk pressure"},
		{Type: v1.NodePIDPressure, Status: v1.ConditionFalse, Reason: "KubeletHasSufficientPID", Message: "kubelet has sufficient PID available"},
		{Type: v1.NodeReady, Status: v1.ConditionTrue, Reason: "KubeletReady", Message: "kubelet is posting ready status"},
	} {
		setNodeCondition(&status, c, metav1.NewTime(now))
	}
	return status
}

// nodeCapacity is more than any machine that runs the tests has: what a pod asks for must not
// decide whether it is scheduled.
func nodeCapacity() v1.ResourceList {
	return v1.ResourceList{
		v1.ResourceCPU:              resource.MustParse("32"),
		v1.ResourceMemory:           resource.MustParse("128Gi"),
		v1.ResourceEphemeralStorage: resource.MustParse("100Gi"),
		v1.ResourcePods:             resource.MustParse("250"),
	}
}

func setNodeCondition(status *v1.NodeStatus, c v1.NodeCondition, now metav1.Time) {
	c.LastHeartbeatTime, c.LastTransitionTime = now, now
	i := slices.IndexFunc(status.Conditions, func(held v1.NodeCondition) bool { return held.Type == c.Type })
	if i < 0 {
		status.Conditions = append(status.Conditions, c)
		return
	}
	if status.Conditions[i].Status == c.Status {
		c.LastTransitionTime = status.Conditions[i].LastTransitionTime
	}
	status.Conditions[i] = c
}

func (n *node) nodeInfo() v1.NodeSystemInfo {
	var uts unix.Utsname
	unix.Uname(&uts)
	bootID, _ := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if n.options.BootID != "" {
		bootID = []byte(n.options.BootID)
	}
	return v1.NodeSystemInfo{
		MachineID:               n.options.NodeName,
		SystemUUID:              n.options.NodeName,
		BootID:                  strings.TrimSpace(string(bootID)),
		KernelVersion:           unix.ByteSliceToString(uts.Release[:]),
		OSImage:                 "Test cluster node",
		ContainerRuntimeVersion: "process://" + kubeletVersion,
		KubeletVersion:          kubeletVersion,
		OperatingSystem:         runtime.GOOS,
		Architecture:            runtime.GOARCH,
	}
}

// keepStatus writes the Node's status when it changed or was last written long ago, until ctx ends.
func (n *node) keepStatus(ctx context.Context) {
	var reported time.Time
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		written, err := n.updateStatus(ctx, time.Since(reported) >= statusReport)
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Info("Cannot update the node's status", "err", err)
		}
		if written {
			reported = time.Now()
		}
	}, statusInterval)
}

func (n *node) updateStatus(ctx context.Context, always bool) (written bool, err error) {
	held, err := n.client.CoreV1().Nodes().Get(ctx, n.options.NodeName, metav1.GetOptions{})
	if err != nil {
		return false, err
	}
	wanted := held.DeepCopy()
	wanted.Status = n.status(held.Status, time.Now())
	if !always && equality.Semantic.DeepEqual(withoutHeartbeat(held.Status), withoutHeartbeat(wanted.Status)) {
		return false, nil
	}
	patch, err := mergePatch(held, wanted, v1.Node{})
	if err != nil {
		return false, err
	}
	_, err = n.client.CoreV1().Nodes().Patch(ctx, n.options.NodeName, types.StrategicMergePatchType, patch, metav1.PatchOptions{}, "status")
	return err == nil, err
}

func withoutHeartbeat(status v1.NodeStatus) v1.NodeStatus {
	status = *status.DeepCopy()
	for i := range status.Conditions {
		status.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return status
}

// keepLease renews the node's lease until ctx ends; its age is what tells the controller manager
// that the node is alive.
func (n *node) keepLease(ctx context.Context, owner *v1.Node) {
	leases := n.client.CoordinationV1().Leases(v1.NamespaceNodeLease)
	var held *coordinationv1.Lease
	wait.UntilWithContext(ctx, func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
		defer cancel()
		now := ptr.To(metav1.NewMicroTime(time.Now()))
		var err error
		if held == nil {
			held, err = leases.Get(ctx, n.options.NodeName, metav1.GetOptions{})
		}
		switch {
		case apierrors.IsNotFound(err):
			held, err = leases.Create(ctx, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{
					Name:            n.options.NodeName,
					OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: owner.Name, UID: owner.UID}},
				},
				Spec: coordinationv1.LeaseSpec{
					HolderIdentity:       &n.options.NodeName,
					LeaseDurationSeconds: ptr.To(int32(leaseDuration.Seconds())),
					RenewTime:            now,
				},
			}, metav1.CreateOptions{})
		case err == nil:
			held.Spec.RenewTime = now
			held, err = leases.Update(ctx, held, metav1.UpdateOptions{})
		}
		if err != nil {
			held = nil
			klog.FromContext(ctx).V(2).Info("Cannot renew the node's lease", "err", err)
		}
	}, leaseInterval)
}
