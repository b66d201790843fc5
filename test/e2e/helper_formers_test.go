package e2e

import "strings"

// formerBalancer is a load balancer that a cluster moves away from.
type formerBalancer struct {
	// source is its name for "kubectl clarion migrate", and flags are those that the user gives.
	source, flags string
	// kinds and objects are its own and those of its programs, in YAML, and services what it serves. The first, whose name
	// comes before those of the others, is the canary of the plan.
	kinds, objects, services string
	// says has words of the plan.
	says []string
	// routed says that it speaks BGP with the router, and that nobody reaches the addresses without a route.
	routed bool
	// gives says that Services get other addresses, of a range that begins so.
	gives string
	// elsewhere are the beginnings of commands for programs that this cluster does not have, with commands that have their effect.
	elsewhere map[string]string
	// stopped are commands that find nothing once all commands of the plan were run.
	stopped []string
	// wish is its annotation by which Services ask for addresses.
	wish string
}

// keepsClasses says that Services of its class keep it.
func (f *formerBalancer) keepsClasses() bool { return !strings.Contains(f.flags, "--recreate") }

// here is what is run in place of a command.
func (f *formerBalancer) here(command string) string {
	for beginning, line := range f.elsewhere {
		if strings.HasPrefix(command, beginning) {
			return line
		}
	}
	return command
}

// kubeVIP is kube-vip with its cloud provider, which has the finalizer of all load balancers on Services.
var kubeVIP = formerBalancer{
	source: "kube-vip", wish: "kube-vip.io/loadbalancerIPs",
	says: []string{"IPAddressPool global", "IPAddressPool shop", "L2Advertisement kube-vip", "search-order is not carried over", "--load-balancer-class=kube-vip.io/kube-vip-class"},
	objects: `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data:
  range-global: 192.168.10.200-192.168.10.209
  cidr-shop: 192.168.10.210/31
  search-order: desc
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-vip-ds, namespace: kube-system, labels: {app.kubernetes.io/name: kube-vip-ds}}
spec:
  selector: {matchLabels: {app.kubernetes.io/name: kube-vip-ds}}
  template:
    metadata: {labels: {app.kubernetes.io/name: kube-vip-ds}}
    spec:
      nodeSelector: {example.com/none: ""}
      containers:
      - {name: kube-vip, image: ghcr.io/kube-vip/kube-vip:v1.0.0, env: [{name: vip_arp, value: "true"}, {name: svc_enable, value: "true"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: kube-vip-cloud-provider, namespace: kube-system}
spec:
  selector: {matchLabels: {app: kube-vip-cloud-provider}}
  template:
    metadata: {labels: {app: kube-vip-cloud-provider}}
    spec:
      nodeSelector: {example.com/none: ""}
      containers: [{name: kube-vip-cloud-provider, image: ghcr.io/kube-vip/kube-vip-cloud-provider:v0.0.12}]
`,
	services: `
metadata:
  name: front
  labels: {implementation: kube-vip}
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.201, kube-vip.io/vipHost: n1}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {loadBalancerIP: 192.168.10.201, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.201}]}}
---
metadata:
  name: books
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.210}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {loadBalancerClass: kube-vip.io/kube-vip-class, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.210}]}}
---
metadata:
  name: names
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.203}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {ports: [{port: 53}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.203}]}}
---
metadata:
  name: names-udp
  annotations: {kube-vip.io/loadbalancerIPs: 192.168.10.203}
  finalizers: [service.kubernetes.io/load-balancer-cleanup]
spec: {ports: [{port: 53, protocol: UDP}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.203}]}}
`,
	stopped: []string{
		`kubectl --namespace=kube-system get daemonset kube-vip-ds --output=jsonpath='{..env[?(@.name=="svc_enable")].value}' | grep true || true`,
		`kubectl --namespace=kube-system get deployment kube-vip-cloud-provider --output=jsonpath='{.spec.replicas}' | grep --invert-match 0 || true`,
	},
}

// byBGP is kube-vip with BGP in place of ARP, and other addresses.
func byBGP(kubeVIP formerBalancer) formerBalancer {
	changed := strings.NewReplacer("192.168.10.", "203.0.113.", `{name: vip_arp, value: "true"}`,
		`{name: bgp_enable, value: "true"}, {name: bgp_as, value: "65001"}, {name: bgp_peers, value: "192.168.10.1:65000"}`)
	kubeVIP.routed, kubeVIP.objects, kubeVIP.services = true, changed.Replace(kubeVIP.objects), changed.Replace(kubeVIP.services)
	kubeVIP.says = []string{"BGPPeer peer-192-168-10-1", "BGPAdvertisement kube-vip", "kubectl label node $node clarionlb.io/moved="}
	return kubeVIP
}

// anew is a load balancer whose Services of its class are made anew.
func anew(from formerBalancer) formerBalancer {
	from.flags = " --recreate"
	from.says = []string{"becomes one of class clarionlb.io/clarion by way of type ClusterIP"}
	return from
}

// ciliumLB is LB IPAM of Cilium with announcements on layer 2.
var ciliumLB = formerBalancer{
	source: "cilium", wish: "lbipam.cilium.io/ips",
	says: []string{"IPAddressPool blue", "L2Advertisement lan", "Cilium"},
	kinds: foreignKind("CiliumLoadBalancerIPPool", "cilium.io", "v2", "Cluster") + "---" +
		foreignKind("CiliumL2AnnouncementPolicy", "cilium.io", "v2alpha1", "Cluster"),
	objects: `
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec:
  blocks: [{cidr: 192.168.10.216/29}]
  serviceSelector: {matchExpressions: [{key: io.kubernetes.service.namespace, operator: In, values: [shop]}]}
---
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: lan}
spec: {loadBalancerIPs: true, interfaces: ['^eth[0-9]+$']}
`,
	services: `
metadata: {name: front, annotations: {lbipam.cilium.io/ips: 192.168.10.217}}
spec: {ports: [{port: 80}]}
status:
  conditions: [{type: cilium.io/IPAMRequestSatisfied, status: "True", reason: satisfied, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}]
  loadBalancer: {ingress: [{ip: 192.168.10.217}]}
---
metadata: {name: web, annotations: {lbipam.cilium.io/sharing-key: web}}
spec: {ports: [{port: 80}]}
status:
  conditions: [{type: cilium.io/IPAMRequestSatisfied, status: "True", reason: satisfied, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}]
  loadBalancer: {ingress: [{ip: 192.168.10.218}]}
---
metadata: {name: web-tls, annotations: {lbipam.cilium.io/sharing-key: web}}
spec: {ports: [{port: 443}]}
status:
  conditions: [{type: cilium.io/IPAMRequestSatisfied, status: "True", reason: satisfied, message: "", lastTransitionTime: "2026-01-02T03:04:05Z"}]
  loadBalancer: {ingress: [{ip: 192.168.10.218}]}
`,
	elsewhere: map[string]string{"helm upgrade cilium ": "true"},
	stopped:   []string{"kubectl get ciliumloadbalancerippools,ciliuml2announcementpolicies --output=name"},
}

// ofClass is Cilium with a class for its first Service.
func ofClass(cilium formerBalancer) formerBalancer {
	cilium.services = strings.Replace(cilium.services, "spec: {", "spec: {loadBalancerClass: io.cilium/l2-announcer, ", 1)
	return cilium
}

// serviceLB is that of k3s, which has the finalizer of all load balancers on Services.
var serviceLB = formerBalancer{
	source: "servicelb", flags: " --pool=192.168.10.225-192.168.10.229", gives: "192.168.10.22",
	says: []string{"IPAddressPool default", "has addresses of nodes, 192.168.10.11, 192.168.10.12"},
	objects: `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: svclb-front-0123abcd, namespace: kube-system, labels: {svccontroller.k3s.cattle.io/svcname: front}}
spec:
  selector: {matchLabels: {app: svclb-front-0123abcd}}
  template:
    metadata: {labels: {app: svclb-front-0123abcd}}
    spec:
      nodeSelector: {example.com/none: ""}
      containers: [{name: lb-tcp-80, image: rancher/klipper-lb:v0.4.13}]
`,
	services: `
metadata: {name: front, finalizers: [service.kubernetes.io/load-balancer-cleanup]}
spec: {ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.11, ipMode: VIP}, {ip: 192.168.10.12, ipMode: VIP}]}}
`,
	elsewhere: map[string]string{
		"mkdir -p /etc/rancher/k3s": "kubectl --namespace=kube-system delete daemonset --selector=svccontroller.k3s.cattle.io/svcname",
	},
	stopped: []string{"kubectl --namespace=kube-system get daemonset --selector=svccontroller.k3s.cattle.io/svcname --output=name"},
}

// metalLBOnLAN is MetalLB on layer 2.
var metalLBOnLAN = formerBalancer{
	source: "metallb",
	kinds: metalLBKind("IPAddressPool") + "---" + metalLBKind("L2Advertisement") + `
---
apiVersion: v1
kind: Namespace
metadata: {name: metallb-system}
`,
	objects: `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: metallb-system}
spec: {addresses: [192.168.10.240-192.168.10.244]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: metallb-system}
`,
	services: `
metadata: {name: front}
spec: {ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.240}]}}
---
metadata: {name: pinned, annotations: {metallb.io/loadBalancerIPs: 192.168.10.242}}
spec: {ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 192.168.10.242}]}}
`,
}
