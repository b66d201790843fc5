package causes

import (
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// programs are the causes of programs, nodes and pods that are away.
var programs = []Cause{
	{
		Name: "The cloud-controller-manager has never run", Symptom: Pending,
		Break: func(c *Cluster) { c.NoController = true },
		Shown: []Shown{on(web, "NotAnswered", "none has ever run, since there is no Lease kube-system/clarion-cloud-controller-manager")},
		Fix:   "Install the cloud-controller-manager, or see why its pods do not start.",
	},
	{
		Name: "The cloud-controller-manager was stopped", Symptom: Pending,
		Break: func(c *Cluster) {
			c.NoController = true
			c.add(lease(""))
		},
		Shown: []Shown{on(web, "NotAnswered", "none runs, since nobody has the Lease")},
		Fix:   "Start the Deployment `kube-system/clarion-cloud-controller-manager` again.",
	},
	{
		Name: "The cloud-controller-manager died", Symptom: Pending,
		Break: func(c *Cluster) {
			c.NoController = true
			c.add(lease("n1_1"))
		},
		Shown: []Shown{on(web, "NotAnswered", "none runs, since n1_1 has not renewed the Lease")},
		Fix:   "See the pods of the Deployment `kube-system/clarion-cloud-controller-manager`, and their nodes.",
	},
	{
		Name: "The cloud-controller-manager holds the Lease and answers nothing", Symptom: Pending,
		Break: func(c *Cluster) {
			c.NoController = true
			c.RenewsLease = true
			c.add(lease("n1_1"))
		},
		Then:  func(w *World) { w.wait(time.Minute) }, // Services are patient with somebody who is there
		Shown: []Shown{on(web, "NotAnswered", "n1_1 has the Lease kube-system/clarion-cloud-controller-manager and has not answered", "its log may say why")},
		Fix:   "See the log of the cloud-controller-manager, and restart it: `kubectl --namespace kube-system rollout restart deployment/clarion-cloud-controller-manager`.",
	},
	{
		Name: "The cloud-controller-manager may not read what it needs", Symptom: Pending,
		Break: func(c *Cluster) {
			c.Forbidden = []Access{{"list", "nodes"}}
			c.RenewsLease = true
			c.add(lease("n1_1"))
		},
		Shown: []Shown{on(web, "NotAnswered", "n1_1 has the Lease kube-system/clarion-cloud-controller-manager and cannot work", "Nodes cannot be read", `cannot list resource "nodes"`)},
		Fix:   "Apply the ClusterRole `clarion-cloud-controller-manager` and its binding again.",
	},
	{
		Name: "The cloud-controller-manager may not write the status of Services", Symptom: Pending,
		Break: func(c *Cluster) { c.Forbidden = []Access{{"patch", "services"}} },
		Shown: []Shown{on(web, "SyncLoadBalancerFailed", "failed to", "is forbidden", `cannot patch resource "services"`)},
		Fix:   "Apply the ClusterRole `clarion-cloud-controller-manager` and its binding again.",
	},
	{
		Name: "The announcer of a node may not read what it needs", Symptom: WrongAnswer,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			w.forbid(Access{"list", "endpointslices"})
			w.startWatching("n3")
			edit(w, "announcer-n3", func(pod *corev1.Pod) {
				pod.Status.Conditions[0].Status, pod.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, metav1.Now()
			})
			w.wait(2 * time.Minute)
		},
		Shown: []Shown{
			on("announcer/n3", "Ready=False AnnouncerDown", "Pod announcer-n3"),
			on("node/n3", "AnnouncerCannotRead", "EndpointSlices cannot be read", `cannot list resource "endpointslices"`),
		},
		Apart: "Another node announces the address, and this one takes no part.",
		Fix:   "Apply the ClusterRole `clarion-announcer`, the Roles of that name and their bindings again. `/readyz` of the announcer says the same.",
	},
	{
		Name: "A node is unreachable", Symptom: WrongAnswer,
		Break: func(*Cluster) {},
		Then:  losePower("n3"),
		Shown: []Shown{
			on("announcer/n3", "Ready=Unknown NodeUnreachable", "The Node is unreachable: its condition Ready is Unknown"),
			inColumn("announcer/n3", "Ready", "Unknown"),
			inColumn("announcer/n3", "Addresses", ""),
		},
		Apart: "Another node announces the address.",
		Fix:   "See the node: its power, its network, its kubelet. Other nodes have its addresses meanwhile.",
	},
	{
		Name: "A node is drained", Symptom: WrongAnswer,
		Break: func(c *Cluster) { drain(c, "n1") },
		Shown: []Shown{
			on("announcer/n1", "Ready=True Draining", "The node is drained by the annotation clarionlb.io/drain"),
			inColumn("announcer/n1", "Reason", "Draining"),
		},
		Apart: "It is meant, and another node announces the address.",
		Fix:   "Nothing, if it is meant. Else `kubectl clarion undrain`, or remove the annotation, the label or the taint that the Announcer names.",
	},
	{
		Name: "Every node is drained", Symptom: WrongAnswer,
		Break: func(c *Cluster) { drain(c, "n1", "n2", "n3") },
		Shown: []Shown{
			on("announcer/n1", "Ready=True Draining", "The node is drained by the annotation clarionlb.io/drain"),
		},
		Asked: []Shown{on(web, "1 of 3 can announce it on layer 2: if it dies, nobody takes the address over", "the node is being drained", "kubectl clarion undrain n")},
		Fix:   "Have one node at least take part. Until then, addresses stay where they are, since no other node can have them.",
	},
	{
		Name: "A node that has sessions with routers is unreachable", Symptom: WrongAnswer, Routed: true,
		Break: func(*Cluster) {},
		Then:  losePower("n3"),
		Shown: []Shown{
			on("announcer/n3", "Ready=Unknown NodeUnreachable", "The Node is unreachable: its condition Ready is Unknown"),
			inColumn("announcer/n3", "Sessions", ""),
			inColumn(tor, "Sessions", "2/3"),
		},
		Asked: []Shown{on(web, "n3 to tor", "not in sight", "the kubelet is silent", "kubectl describe node n3")},
		Fix:   "See the node: its power, its network, its kubelet.",
	},
	{
		Name: "The announcer of a node is killed again and again", Symptom: WrongAnswer,
		Break: func(*Cluster) {},
		Then:  crash("n3"),
		Shown: []Shown{
			on("announcer/n3", "Ready=False AnnouncerDown", "Pod announcer-n3 is not ready (CrashLoopBackOff; the last one ended with OOMKilled, exit code 137)"),
			inColumn("announcer/n3", "Ready", "False"),
			inColumn("announcer/n3", "Addresses", ""),
		},
		Apart: "Another node announces the address.",
		Fix:   "See the Pod of the DaemonSet `clarion-system/announcer` on this node, and what its last container wrote. After a minute other nodes have the addresses.",
	},
	{
		Name: "The announcer of a node was upgraded to an image that cannot be pulled", Symptom: WrongAnswer, Routed: true,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			edit(w, "n3", func(a *v1alpha1.Announcer) {
				say(a, v1alpha1.ConditionReady, metav1.ConditionFalse, v1alpha1.ReasonStopped, "The announcer was stopped.")
				a.Status.Conditions[len(a.Status.Conditions)-1].LastTransitionTime = metav1.Now()
			})
			waiting(w, "n3", "ErrImagePull")
			w.wait(2 * time.Minute)
		},
		Shown: []Shown{
			on("announcer/n3", "Ready=False AnnouncerDown", "was stopped, and does not run again", "Pod announcer-n3 is not ready (ImagePullBackOff)"),
			on(tor, "Established=False", "n3: the announcer is down"),
		},
		Asked: []Shown{on(web, "n3 to tor", "not in sight", "its Pod is not ready (ImagePullBackOff)", "describe pods")},
		Fix:   "See the image of the DaemonSet `clarion-system/announcer`, and whether the node reaches its registry. The other nodes are upgraded once this one is.",
	},
	{
		Name: "The announcer of a node that has sessions with routers is killed again and again", Symptom: WrongAnswer, Routed: true,
		Break: func(*Cluster) {},
		Then:  crash("n3"),
		Shown: []Shown{
			on("announcer/n3", "Ready=False AnnouncerDown", "CrashLoopBackOff"),
			inColumn("announcer/n3", "Sessions", ""),
			inColumn(tor, "Sessions", "2/3"),
			on(tor, "Established=False", "n3: the announcer is down"),
		},
		Asked: []Shown{on(web, "n3 to tor", "not in sight", "its Pod is not ready (its container ended with OOMKilled, exit code 137)", "describe pods")},
		Fix:   "See the Pod of the DaemonSet `clarion-system/announcer` on this node, and what its last container wrote.",
	},
	{
		Name: "All pods of the Service are being deleted", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(s *discoveryv1.EndpointSlice) {
				s.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false), Terminating: new(true)}
			})
		},
		Shown: []Shown{on(web, "NoEndpoint", "no endpoint that can serve", "a pod that is ready")},
		Fix:   "Wait until new pods are ready. Pods that terminate serve for as long as they are ready.",
	},
}

// drain has nodes drained, and their announcers say so.
func drain(c *Cluster, names ...string) {
	change(c, func(n *corev1.Node) {
		if slices.Contains(names, n.Name) {
			n.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true"}
		}
	})
	change(c, func(a *v1alpha1.Announcer) {
		if ready := meta.FindStatusCondition(a.Status.Conditions, v1alpha1.ConditionReady); slices.Contains(names, a.Name) {
			ready.Reason = v1alpha1.ReasonDraining
			ready.Message = plan.Drain{By: []plan.DrainCause{{Kind: "annotation", Key: v1alpha1.AnnotationDrain}}}.Sentence()
		}
	})
}

// losePower has a node be off, for long enough that Kubernetes says so.
func losePower(name string) func(*World) {
	return func(w *World) {
		edit(w, name, func(n *corev1.Node) {
			n.Status.Conditions[0].Status, n.Status.Conditions[0].Reason = corev1.ConditionUnknown, "NodeStatusUnknown"
			n.Status.Conditions[0].LastTransitionTime = metav1.Now()
		})
		w.wait(time.Minute)
	}
}

// crash has the announcer of a node be killed whenever it is started, for long enough that others take over.
func crash(node string) func(*World) {
	return func(w *World) {
		edit(w, "announcer-"+node, func(pod *corev1.Pod) {
			pod.Status.Conditions[0].Status, pod.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, metav1.Now()
			pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{
				Name:                 "announcer",
				State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "CrashLoopBackOff"}},
				LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Reason: "OOMKilled", ExitCode: 137}},
			}
		})
		w.wait(2 * time.Minute)
	}
}

// waiting has the container of a node's announcer wait for a reason.
func waiting(w *World, node, reason string) {
	edit(w, "announcer-"+node, func(pod *corev1.Pod) {
		pod.Status.Conditions[0].Status, pod.Status.Conditions[0].LastTransitionTime = corev1.ConditionFalse, metav1.Now()
		pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{
			Name: "announcer", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
		}
	})
}

// lease is that of the cloud-controller-manager, which nobody renews; nobody has it without a holder.
func lease(holder string) *coordinationv1.Lease {
	l := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: metav1.NamespaceSystem, Name: v1alpha1.ControllerLease}}
	l.Spec = coordinationv1.LeaseSpec{HolderIdentity: &holder, LeaseDurationSeconds: new(int32(15)), RenewTime: new(metav1.NowMicro())}
	return l
}
