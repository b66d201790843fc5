package causes

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// layer2 are the causes of an address that does not answer as it should on layer 2.
var layer2 = []Cause{
	{
		Name: "There is no advertisement", Symptom: NoAnswer,
		Break: func(c *Cluster) { remove[*v1alpha1.L2Advertisement](c) },
		Shown: []Shown{on(web, "NotAdvertised", "no L2Advertisement or BGPAdvertisement selects this address", "create an L2Advertisement")},
		Fix:   "Create an L2Advertisement or a BGPAdvertisement.",
	},
	{
		Name: "No advertisement selects the pool", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			inner := pool("inner", "192.0.2.210-192.0.2.219")
			inner.Spec.AutoAssign = new(false)
			c.add(inner)
			change(c, func(a *v1alpha1.L2Advertisement) { a.Spec.IPAddressPools = []string{"inner"} })
		},
		Shown: []Shown{on(web, "NotAdvertised", "no L2Advertisement or BGPAdvertisement selects this address", "have one select its pool")},
		Fix:   "Add the pool to `spec.ipAddressPools` of an advertisement, or make another one.",
	},
	{
		Name: "The advertisement selects other Services", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.L2Advertisement) { a.Spec.ServiceSelectors = selecting("tier", "front") })
		},
		Shown: []Shown{
			on(web, "NotAdvertised", "no L2Advertisement or BGPAdvertisement selects this address"),
			on("l2advertisement/all", "selects no Service that has an address at present"),
		},
		Fix: "Give the Service the labels, or change `spec.serviceSelectors` of the advertisement.",
	},
	{
		Name: "The pool of the address is gone", Symptom: NoAnswer,
		Break: func(*Cluster) {},
		Then:  func(w *World) { drop[*v1alpha1.IPAddressPool](w, "public") },
		Shown: []Shown{
			on(web, "NotAdvertised", "no IPAddressPool contains this address", "add it to an IPAddressPool"),
			on(web, "Assigned", "which is in no pool any more"),
		},
		Fix: "Create the pool again, or ask for another address.",
	},
	{
		Name: "The advertisement selects no node", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.L2Advertisement) { a.Spec.NodeSelectors = selecting("rack", "1") })
		},
		Shown: []Shown{
			on(web, "NoNode", "n1, n2 and n3 (no advertisement of this address selects the node; change spec.nodeSelectors"),
			on("l2advertisement/all", "selects no node at present"),
		},
		Fix: "Give nodes the labels, or change `spec.nodeSelectors` of the advertisement.",
	},
	{
		Name: "No node has an interface that the advertisement names", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.L2Advertisement) { a.Spec.Interfaces = []string{"vlan*"} })
		},
		Shown: []Shown{on(web, "NoNode", "no interface that is asked for (vlan*)", "correct spec.interfaces of the L2Advertisement")},
		Fix:   "Correct `spec.interfaces` of the L2Advertisement.",
	},
	{
		Name: "The address is in no network of a node", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"198.51.100.0/24"} })
			change(c, func(a *v1alpha1.Announcer) { a.Status.Layer2.Interfaces[0].DefaultRoutes = nil })
		},
		Shown: []Shown{
			on(web, "NoNode", "no interface of the node that is up suits this address", "give it one in a network of the address"),
			on("ipaddresspool/public", "198.51.100", "on no network of the nodes"),
		},
		Fix: "Use addresses of a network of the nodes, give the nodes an interface in the network, or name one in `spec.interfaces`.",
	},
	{
		Name: "A label excludes every node", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} })
		},
		Shown: []Shown{on(web, "NoNode", "labelled node.kubernetes.io/exclude-from-external-load-balancers", "remove the label")},
		Fix:   "Remove the label from nodes (kubeadm gives it to control planes), or start both programs with `--ignore-exclude-label`.",
	},
	{
		Name: "The network of every node is not set up", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(n *corev1.Node) {
				n.Status.Conditions = append(n.Status.Conditions, corev1.NodeCondition{Type: corev1.NodeNetworkUnavailable, Status: corev1.ConditionTrue})
			})
		},
		Shown: []Shown{on(web, "NoNode", "the Node has the condition NetworkUnavailable", "see the network plugin")},
		Fix:   "See the network plugin of the cluster.",
	},
	{
		Name: "No announcer has run: its DaemonSet has no Pod", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			remove[*v1alpha1.Announcer](c)
			remove[*corev1.Pod](c)
		},
		Shown: []Shown{on(web, "NoNode", "no announcer has run on this node", "there is no Pod of the DaemonSet", "describe daemonset announcer")},
		Fix:   "See the events of the DaemonSet `clarion-system/announcer`: admission of privileged pods, a quota, or that it is not there.",
	},
	{
		Name: "No announcer has run: its image cannot be pulled", Symptom: NoAnswer,
		Break: neverStarted("ImagePullBackOff"),
		Shown: []Shown{on(web, "NoNode", "no announcer has run on this node", "its Pod is not ready (ImagePullBackOff)", "describe pods")},
		Fix:   "See the image of the DaemonSet `clarion-system/announcer`, and whether the nodes reach its registry.",
	},
	{
		Name: "No announcer has run: it cannot be started, and announcements are by BGP", Symptom: NoAnswer, Routed: true,
		Break: neverStarted("CreateContainerConfigError"),
		Shown: []Shown{on(web, "NoSession", "no announcer has run on this node", "its Pod is not ready (CreateContainerConfigError)", "describe pods")},
		Fix:   "See the Pods of the DaemonSet `clarion-system/announcer`: what they name that is not there.",
	},
	{
		Name: "The announcers were stopped", Symptom: NoAnswer,
		Break: announcersSay(v1alpha1.ReasonStopped, "The announcer was stopped."),
		Then:  func(w *World) { w.wait(2 * time.Minute) },
		Shown: []Shown{
			on(web, "NoNode", "its announcer says Stopped", "see that a pod of the DaemonSet clarion-system/announcer runs there"),
			inColumn("announcer/n1", "Ready", "False"),
		},
		Fix: "Start the DaemonSet `clarion-system/announcer` again.",
	},
	{
		Name: "The announcers were upgraded to an image that cannot be pulled", Symptom: NoAnswer,
		Break: announcersSay(v1alpha1.ReasonStopped, "The announcer was stopped."),
		Then: func(w *World) {
			for _, node := range nodeNames {
				waiting(w, node, "ImagePullBackOff")
			}
			w.wait(2 * time.Minute)
		},
		Shown: []Shown{
			on(web, "NoNode", "the announcer of this node is not in sight", "its Pod is not ready (ImagePullBackOff)", "describe pods"),
			on("announcer/n1", "Ready=False AnnouncerDown", "was stopped, and does not run again", "Pod announcer-n1 is not ready (ImagePullBackOff)"),
		},
		Fix: "See the image of the DaemonSet `clarion-system/announcer`, and whether the nodes reach its registry; or go back: `kubectl -n clarion-system rollout undo daemonset announcer`.",
	},
	{
		Name: "The key of the gossip cannot be used", Symptom: NoAnswer,
		Break: announcersSay(v1alpha1.ReasonGossipKeyInvalid, "The announcer waits for a key of the gossip that it can use, and announces nothing: it has 5 bytes, not 32."),
		Shown: []Shown{
			on(web, "NoNode", "its announcer says GossipKeyInvalid", "waits for a key of the gossip", "it has 5 bytes"),
			on("announcer/n1", "Ready=False GossipKeyInvalid"),
		},
		Fix: "Delete the Secret `clarion-system/clarion-gossip`: the cloud-controller-manager makes another one.",
	},
	{
		Name: "The announcers may not open packet sockets", Symptom: NoAnswer,
		Break: announcersSay(v1alpha1.ReasonNotPermitted, "The announcer may not answer for addresses, and announces none on layer 2: open a packet socket: "+
			"operation not permitted. Does its container have the capability NET_RAW?"),
		Shown: []Shown{
			on(web, "NoNode", "its announcer says NotPermitted", "capability NET_RAW", "give its container the capabilities"),
			on("announcer/n1", "Ready=False NotPermitted", "capability NET_RAW"),
			inColumn("announcer/n1", "Ready", "False"),
		},
		Fix: "Give the containers the capabilities of `manifests/announcer/daemonset.yaml`: a policy or a patch has dropped them.",
	},
	{
		Name: "Every node is cut off from the others, the gateway and the API server", Symptom: NoAnswer,
		Break: announcersSay(v1alpha1.ReasonIsolated, "The node reaches no other announcer, API server or router."),
		Shown: []Shown{
			on(web, "NoNode", "its announcer says Isolated", "The node reaches no other announcer, API server or router"),
			on("announcer/n1", "Ready=False Isolated"),
		},
		Fix: "See the network of the nodes: cable, switch port, VLAN.",
	},
	{
		Name: "No interface of a node can carry an address", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			announcersSay(v1alpha1.ReasonNoInterface, "No interface of the node is up and has an address, a default route or its name in an L2Advertisement.")(c)
			change(c, func(a *v1alpha1.Announcer) { a.Status.Layer2.Interfaces = nil })
		},
		Shown: []Shown{
			on(web, "NoNode", "its announcer says NoInterface", "No interface of the node is up"),
			on("announcer/n1", "Ready=False NoInterface"),
		},
		Fix: "Bring an interface up, or name it in `spec.interfaces` of an L2Advertisement.",
	},
	{
		Name: "No node is Ready", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(n *corev1.Node) { n.Status.Conditions[0].Status = corev1.ConditionUnknown })
		},
		Shown: []Shown{on(web, "NoNode", "the Node is not ready", "see its kubelet")},
		Fix:   "See the kubelets, and whether the nodes run.",
	},
	{
		Name: "kube-proxy serves on no node that announces", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.Announcer) {
				say(a, v1alpha1.ConditionKubeProxy, metav1.ConditionFalse, v1alpha1.ReasonNotServing, "kube-proxy is not healthy: it does not answer at port 10256.")
			}, "n1", "n2")
			change(c, func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} }, "n3")
		},
		Shown: []Shown{
			on(web, "is announced by", "but kube-proxy does not serve on", "see kube-proxy there"),
			on("announcer/n1", "KubeProxy=False NotServing", "does not answer at port 10256"),
		},
		Fix: "See kube-proxy on that node.",
	},
	{
		Name: "The Service selects no pod", Symptom: NoAnswer,
		Break: func(c *Cluster) { change(c, func(s *discoveryv1.EndpointSlice) { s.Endpoints = nil }) },
		Shown: []Shown{on(web, "NoEndpoint", "no endpoint that can serve", "have its selector select a pod that is ready")},
		Fix:   "Correct `spec.selector`: `kubectl get endpointslices --selector kubernetes.io/service-name=NAME` shows what it selects.",
	},
	{
		Name: "No pod of the Service is ready", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(s *discoveryv1.EndpointSlice) {
				s.Endpoints[0].Conditions = discoveryv1.EndpointConditions{Ready: new(false), Serving: new(false)}
			})
		},
		Shown: []Shown{on(web, "NoEndpoint", "no endpoint that can serve", "a pod that is ready")},
		Fix:   "See why the pods are not ready.",
	},
	{
		Name: "A Service without a selector has no EndpointSlice", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Spec.Selector = nil })
			remove[*discoveryv1.EndpointSlice](c)
		},
		Shown: []Shown{on(web, "NoEndpoint", "no endpoint that can serve", "give it EndpointSlices")},
		Fix:   "Create the EndpointSlices, with the label `kubernetes.io/service-name`.",
	},
	{
		Name: "Traffic must stay local, and no node that may announce has a pod", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal })
			change(c, func(n *corev1.Node) { n.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""} }, "n1")
		},
		Shown: []Shown{
			on(web, "NoNode", "n2 and n3 (externalTrafficPolicy is Local and no endpoint on this node can serve", "use externalTrafficPolicy: Cluster"),
			on(web, "NoNode", "n1 (the node is labelled", "remove the label"),
		},
		Fix: "Run pods on nodes that may announce, or use `externalTrafficPolicy: Cluster`.",
	},
	{
		Name: "Another host has the address", Symptom: WrongAnswer,
		Break: func(*Cluster) {},
		Then:  func(w *World) { edit(w, "n2", heardHost(true)) },
		Shown: []Shown{
			on(web, "AddressConflict", "the host 02:00:00:00:00:99 on the network answers for it", "take it from that host"),
		},
		Fix: "Take the address from the host with this hardware address, and exclude it from the pool if it is to keep it.",
	},
	{
		Name: "A host answers for every address", Symptom: NoAnswer,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			edit(w, "n1", func(a *v1alpha1.Announcer) {
				heardHost(false)(a)
				a.Status.Layer2.Conflicts[0].Proxy = true
			})
		},
		Shown: []Shown{on(web, "AddressConflict", "02:00:00:00:00:99 answers for every address (proxy ARP)", "have it stop that, or set duplicateAddressDetection: Disabled")},
		Fix:   "Have the host stop that, or set `duplicateAddressDetection: Disabled` in the L2Advertisement.",
	},
	{
		Name: "The kernel of a node answers by itself", Symptom: WrongAnswer,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.Announcer) {
				say(a, v1alpha1.ConditionStrictARP, metav1.ConditionFalse, v1alpha1.ReasonKernelAnswers,
					"The kernel answers for 192.0.2.200 on eth0 because kube-ipvs0 has it: set strictARP: true in the configuration of kube-proxy.")
			}, "n1")
		},
		Shown: []Shown{on("announcer/n1", "StrictARP=False KernelAnswers", "kube-ipvs0", "strictARP: true")},
		Asked: []Shown{on(web, "n1", "its kernel answers for it, too", "kube-ipvs0", "strictARP: true")},
		Fix:   "Do what the condition `StrictARP` of the Announcer says: `strictARP: true` for kube-proxy in IPVS mode, most of the time.",
	},
	{
		Name: "The gossip of a node is blocked", Symptom: WrongAnswer,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.Announcer) {
				say(a, v1alpha1.ConditionGossip, metav1.ConditionFalse, v1alpha1.ReasonBlocked,
					"More announcers answer on the network than the gossip of this node sees: is its port blocked, TCP or UDP?")
			}, "n1")
		},
		Shown: []Shown{on("announcer/n1", "Gossip=False Blocked", "More announcers answer on the network", "is its port blocked, TCP or UDP?")},
		Apart: "The address stays where it is, and what nodes do not hear of each other they ask the network.",
		Fix:   "Open port 7947, TCP and UDP, between the nodes.",
	},
	{
		Name: "The clients are not in spec.loadBalancerSourceRanges", Symptom: NoAnswer,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Spec.LoadBalancerSourceRanges = []string{"10.0.0.0/8"} })
		},
		Shown: []Shown{on(web, "LoadBalancer Source Ranges: 10.0.0.0/8")},
		Fix:   "Add the clients' network to `spec.loadBalancerSourceRanges`: kube-proxy drops others without an answer.",
	},
}

// selecting is one selector by a label.
func selecting(key string, value v1alpha1.LabelValue) []v1alpha1.LabelSelector {
	return []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{key: value}}}
}

// announcersSay has no Announcer be ready, for a reason.
func announcersSay(reason, message string) func(*Cluster) {
	return func(c *Cluster) {
		change(c, func(a *v1alpha1.Announcer) { say(a, v1alpha1.ConditionReady, metav1.ConditionFalse, reason, message) })
	}
}

// neverStarted has the containers of all announcers wait for a reason, from the beginning on.
func neverStarted(reason string) func(*Cluster) {
	return func(c *Cluster) {
		remove[*v1alpha1.Announcer](c)
		change(c, func(pod *corev1.Pod) {
			pod.Status.Conditions[0].Status = corev1.ConditionFalse
			pod.Status.ContainerStatuses[0] = corev1.ContainerStatus{
				Name: "announcer", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}},
			}
		})
	}
}
