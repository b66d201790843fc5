package migrate

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// written is a plan as the user sees it, with its objects.
func written(t *testing.T, plan *Plan) string {
	t.Helper()
	var text bytes.Buffer
	if _, err := plan.WriteTo(&text); err != nil {
		t.Fatal(err)
	}
	objects, err := plan.YAML()
	if err != nil {
		t.Fatal(err)
	}
	return text.String() + string(objects)
}

const (
	ciliumRouter = `
apiVersion: cilium.io/v2
kind: CiliumBGPClusterConfig
metadata: {name: az09}
spec:
  bgpInstances:
  - {name: i, localASN: 65000, peers: [{name: r, peerASN: 65001, peerAddress: 10.0.0.2, peerConfigRef: {name: config}}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPPeerConfig
metadata: {name: config}
spec: `
	service = `
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: LoadBalancer, ports: [{port: 80}]}
status: {loadBalancer: {ingress: [{ip: 10.0.0.5}]}}`
	kubeVIPByBGP = `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data: {range-global: 10.0.0.0-10.0.0.9}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-vip-ds, namespace: kube-system}
spec: {template: {spec: {containers: [{name: kube-vip, env: [{name: svc_enable, value: "true"}, {name: bgp_enable, value: "true"},
  {name: bgp_as, value: "65000"}, {name: bgp_peers, value: "10.0.0.2:65001"}`
	metalLBPoolOf10 = `
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: ten, namespace: metallb-system}
spec: {addresses: [10.0.0.0/24]}`
)

// What is empty, zero or absent in the other load balancer's objects means there what its absence means here.
func TestDetailsOfOtherLoadBalancers(t *testing.T) {
	for _, test := range []struct {
		name     string
		source   Source
		objects  string
		has, not []string
	}{
		{"Cilium: what a session does not say", Cilium, ciliumRouter + `
  {transport: {peerPort: 0}, timers: {holdTimeSeconds: 0, keepAliveTimeSeconds: 0, connectRetryTimeSeconds: 0}, ebgpMultihop: 1,
   families: [{afi: l2vpn, safi: evpn}]}`,
			[]string{"BGPPeer az09-i-r\n"},
			[]string{"peerPort", "holdTime", "keepaliveTime", "connectTime", "ebgpMultiHop", "addressFamilies", "nodeSelectors"}},
		{"Cilium: what a session says", Cilium, ciliumRouter + `
  {transport: {peerPort: 1}, timers: {holdTimeSeconds: 9}, ebgpMultihop: 2,
   families: [{afi: ipv6, safi: unicast}, {afi: ipv4, safi: mpls_label}]}`,
			[]string{"peerPort: 1\n", "holdTime: 9s", "ebgpMultiHop: true", "addressFamilies:\n  - IPv6\n  ebgp"}, []string{"keepaliveTime"}},
		{"Cilium: a Secret without a password", Cilium, ciliumRouter + `{authSecretRef: auth}
---
apiVersion: v1
kind: Secret
metadata: {name: auth, namespace: kube-system}`,
			[]string{"its Secret auth is not at hand"}, []string{"Secret clarion-bgp/auth\n"}},
		{"Cilium: the first advertisement has the name of all", Cilium, ciliumRouter + `
  {families: [{afi: ipv4, safi: unicast, advertisements: {matchLabels: {a: b}}}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: {name: routes, labels: {a: b}}
spec: {advertisements: [{advertisementType: Service, service: {addresses: [LoadBalancerIP], aggregationLengthIPv4: 0}, selector: {}}]}`,
			[]string{"BGPAdvertisement routes\n"}, []string{"routes-1", "aggregationLength", "communities"}},
		{"Cilium: a policy for all nodes", Cilium, `
apiVersion: cilium.io/v2alpha1
kind: CiliumL2AnnouncementPolicy
metadata: {name: all}
spec: {loadBalancerIPs: true, nodeSelector: {}, serviceSelector: {}}`,
			[]string{"L2Advertisement all\n"}, []string{"nodeSelectors", "serviceSelectors", "interfaces"}},
		{"Cilium: a sharing key of Services that have no address yet", Cilium, `
apiVersion: cilium.io/v2
kind: CiliumLoadBalancerIPPool
metadata: {name: blue}
spec: {blocks: [{cidr: 10.0.10.0/24}]}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop, annotations: {lbipam.cilium.io/sharing-key: both}}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: blog, annotations: {lbipam.cilium.io/sharing-key: both}}
spec: {type: LoadBalancer}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: blog, annotations: {lbipam.cilium.io/sharing-key: one}}
spec: {type: LoadBalancer}`,
			[]string{`namespaces blog, shop use sharing key "both" and have no address yet`}, []string{`key "one"`}},
		{"kube-vip: the ends of a CIDR that is large enough", KubeVIP, `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data: {cidr-global: "10.0.0.0/30,10.0.1.0/31,10.0.2.1/32", skip-end-ips-in-cidr: "true"}`,
			[]string{"exclude:\n  - 10.0.0.0\n  - 10.0.0.3\n---"}, []string{"DHCP"}},
		{"kube-vip: addresses by DHCP, said by a CIDR", KubeVIP, `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data: {cidr-global: " 0.0.0.0/32", range-shop: "100.0.0.0-100.0.0.9,200.0.0.0-200.0.0.9"}`,
			[]string{"global has addresses by DHCP", "IPAddressPool shop\n"}, []string{"IPAddressPool global", "shop has addresses by DHCP"}},
		{"kube-vip: no ends of CIDRs that have none", KubeVIP, `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data: {cidr-global: "10.0.1.0/31,10.0.2.1/32", skip-end-ips-in-cidr: "true"}`,
			[]string{"L2Advertisement kube-vip\n"}, []string{"exclude", "BGPAdvertisement"}},
		{"kube-vip: by BGP alone, with one router", KubeVIP, `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data: {cidr-global: 10.0.0.0/24}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-vip-ds, namespace: kube-system}
spec: {template: {spec: {containers: [{name: kube-vip, env: [{name: bgp_enable, value: "true"}, {name: bgp_as, value: "65000"},
  {name: bgp_peeraddress, value: 10.0.0.1}, {name: bgp_peeras, value: "65001"}]}]}}}`,
			[]string{"BGPAdvertisement kube-vip\n", "BGPPeer peer-10-0-0-1\n"}, []string{"L2Advertisement", "Secret", "ebgpMultiHop"}},
		{"kube-vip: bgp_peers goes before bgp_peeraddress", KubeVIP, `
apiVersion: v1
kind: ConfigMap
metadata: {name: kubevip, namespace: kube-system}
data: {cidr-global: 10.0.0.0/24}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: kube-vip-ds, namespace: kube-system}
spec: {template: {spec: {containers: [{name: kube-vip, env: [{name: bgp_enable, value: "true"}, {name: vip_arp, value: "true"},
  {name: bgp_as, value: "65000"}, {name: bgp_peers, value: "10.0.0.2:65001"}, {name: bgp_peeraddress, value: 10.0.0.1}]}]}}}`,
			[]string{"BGPPeer peer-10-0-0-2\n", "L2Advertisement kube-vip\n"}, []string{"peer-10-0-0-1"}},
		{"kube-vip: its sessions go node by node", KubeVIP, kubeVIPByBGP + `]}]}}}`,
			[]string{"patch daemonset kube-vip-ds ", "kubectl label node $node", "label nodes --all"}, []string{"sessions with routers stay"}},
		{"kube-vip: its sessions stay for the control plane", KubeVIP, kubeVIPByBGP + `, {name: cp_enable, value: "true"}]}]}}}`,
			[]string{"announces the address of the control plane, which Clarion does not: its sessions with routers stay"},
			[]string{"patch daemonset", "label node"}},
		{"Cilium: its sessions go node by node", Cilium, strings.Replace(ciliumRouter, "spec:\n", "spec:\n  nodeSelector: {matchExpressions: [{key: rack, operator: Exists}, {key: clarionlb.io/moved, operator: DoesNotExist}]}\n", 1) +
			" {gracefulRestart: {enabled: true}}",
			[]string{`patch ciliumbgpclusterconfig az09 --type=merge --patch='{"spec":{"nodeSelector":{"matchExpressions":[{"key":"rack","operator":"Exists"},{"key":"clarionlb.io/moved","operator":"DoesNotExist"}]}}}'`,
				"bgpControlPlane.enabled=false", "label nodes --all", "BGPPeer az09-i-r has graceful restart", "switch it off in cilium"}, nil},
		{"Cilium: its sessions stay for pods", Cilium, ciliumRouter + `
  {gracefulRestart: {enabled: true}, families: [{afi: ipv4, safi: unicast, advertisements: {}}]}
---
apiVersion: cilium.io/v2
kind: CiliumBGPAdvertisement
metadata: {name: pods}
spec: {advertisements: [{advertisementType: PodCIDR}]}`,
			[]string{"announces PodCIDR, which Clarion does not: its sessions with routers stay", "BGPPeer az09-i-r has graceful restart"},
			[]string{"bgpControlPlane", "label node", "when the one before is gone"}},
		{"MetalLB: Services without a class are those of another load balancer where it has one", MetalLB, metalLBPoolOf10 + `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: metallb-system, labels: {app: metallb}}
spec: {template: {spec: {containers: [{name: controller, args: [--lb-class=example.com/lan]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: ours, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: example.com/lan}
---
apiVersion: v1
kind: Service
metadata: {name: other, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: example.com/metallb}` + service,
			[]string{"shop/ours", "Service shop/other has class example.com/metallb and is left alone"}, []string{"shop/web"}},
		{"MetalLB: a class of its own by name", MetalLB, metalLBPoolOf10 + `
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: controller, namespace: other, labels: {app: another}}
spec: {template: {spec: {containers: [{name: controller, args: [--lb-class=example.com/lan]}]}}}
---
apiVersion: v1
kind: Service
metadata: {name: named, namespace: shop}
spec: {type: LoadBalancer, loadBalancerClass: example.com/metallb}` + service,
			[]string{"shop/named", "shop/web"}, []string{"is left alone"}},
		{"MetalLB: an AddressPool of layer 2", MetalLB, `
apiVersion: metallb.io/v1beta1
kind: AddressPool
metadata: {name: old, namespace: metallb-system}
spec: {protocol: layer2, addresses: [10.0.0.0/24]}`,
			[]string{"L2Advertisement old\n"}, []string{"BGPAdvertisement"}},
		{"MetalLB: an AddressPool of BGP", MetalLB, `
apiVersion: metallb.io/v1beta1
kind: AddressPool
metadata: {name: old, namespace: metallb-system}
spec: {protocol: bgp, addresses: [10.0.0.0/24]}`,
			[]string{"BGPAdvertisement old\n"}, []string{"L2Advertisement"}},
		{"MetalLB: zeros of a session", MetalLB, `
apiVersion: metallb.io/v1beta2
kind: BGPPeer
metadata: {name: tor, namespace: metallb-system}
spec: {myASN: 65000, localASN: 0, peerASN: 0, dynamicASN: external, peerAddress: 10.0.0.1}
---
apiVersion: metallb.io/v1beta1
kind: BGPAdvertisement
metadata: {name: all, namespace: metallb-system}
spec: {localPref: 0, communities: [], peers: [tor]}`,
			[]string{"myASN: 65000\n", "BGPAdvertisement all\n"}, []string{"peerASN", "localASN", "localPref", "communities"}},
		{"MetalLB: a ConfigMap by its name", MetalLB, oldConfigMap("metallb-config", "lan"), []string{"IPAddressPool old\n"}, []string{"Community"}},
		{"MetalLB: a ConfigMap by its namespace", MetalLB, oldConfigMap("mine", "my-metallb"), []string{"IPAddressPool old\n"}, nil},
		{"MetalLB: a ConfigMap of somebody else", MetalLB, metalLBPoolOf10 + "\n---" + oldConfigMap("mine", "lan"), nil, []string{"old"}},
		{"spec.externalIPs of a Service of before there were two families", ExternalIPs, `
apiVersion: v1
kind: Service
metadata: {name: web, namespace: shop}
spec: {type: ClusterIP, externalIPs: [10.0.0.5], ports: [{port: 80}]}`,
			[]string{"becomes one of type LoadBalancer and keeps 10.0.0.5"}, []string{"of a family that it does not have"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := New(test.source, parse(t, test.objects), Options{})
			if err != nil {
				t.Fatal(err)
			}
			got := written(t, plan)
			for _, text := range test.has {
				if !strings.Contains(got, text) {
					t.Errorf("%q is missing", text)
				}
			}
			for _, text := range test.not {
				if strings.Contains(got, text) {
					t.Errorf("there is %q", text)
				}
			}
			if t.Failed() {
				t.Log(got)
			}
		})
	}
}

func oldConfigMap(name, namespace string) string {
	return `
apiVersion: v1
kind: ConfigMap
metadata: {name: ` + name + `, namespace: ` + namespace + `}
data: {config: "address-pools: [{name: old, protocol: layer2, addresses: [10.0.0.0/24]}]"}`
}

func TestTheKeepaliveTimeIsAtMostAThirdOfTheHoldTime(t *testing.T) {
	for _, test := range []struct {
		hold, given, wantHold, want string
	}{
		{"9s", "3s", "9s", "3s"},
		{"9s", "4s", "9s", "3s"},
		{"10s", "5s", "10s", "3s"},
		{"3s", "100ms", "3s", "1s"},
		{"", "30s", "", "30s"},
		{"", "31s", "1m33s", "31s"},
		{"", "10s", "", "10s"},
	} {
		b, spec := &builder{plan: &Plan{}}, map[string]any{}
		if test.hold != "" {
			spec["holdTime"] = test.hold
		}
		keepaliveTime(b, Ref{}, spec, test.given)
		if hold, _ := spec["holdTime"].(string); hold != test.wantHold || spec["keepaliveTime"] != test.want {
			t.Errorf("%s of %q: got %v", test.given, test.hold, spec)
		}
		if remarked := len(b.plan.Remarks) == 1; remarked != (test.given != test.want) {
			t.Errorf("%s of %q: remarks %v", test.given, test.hold, b.plan.Remarks)
		}
	}
}

func TestValuesOfFlags(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		want      string
		is        bool
	}{
		{[]string{"--lb-class=a"}, "a", true},
		{[]string{"--lb-class", "a"}, "a", true},
		{[]string{"-lb-class", "a"}, "a", true},
		{[]string{"--lb-class", "--port=1"}, "true", true},
		{[]string{"--port=1", "--lb-class"}, "true", true},
		{[]string{"--lb-class-2=a", "lb-class"}, "", false},
		{nil, "", false},
	} {
		if got, is := flagValue(test.arguments, "lb-class"); got != test.want || is != test.is {
			t.Errorf("%q: got %q, %t", test.arguments, got, is)
		}
	}
}

func TestNamesOfPeersThatHaveNone(t *testing.T) {
	for address, want := range map[string]string{"10.0.0.1": "peer-10-0-0-1", "fd00::1": "peer-fd00--1", "router": "peer-2", "": "peer-2"} {
		if got := oldPeerName(1, map[string]any{"peer-address": address}); got != want {
			t.Errorf("%q: got %q", address, got)
		}
	}
}

func TestServicesThatShareAnAddressMoveTogether(t *testing.T) {
	move := func(name string, addresses ...string) Move {
		return Move{Service: types.NamespacedName{Name: name}, Addresses: addresses}
	}
	groups := Groups([]Move{move("a", "10.0.0.1"), move("b"), move("c", "10.0.0.2"), move("d", "10.0.0.2", "10.0.0.1"), move("e", "10.0.0.2"), move("f")})
	var got []string
	for _, group := range groups {
		var names []string
		for _, move := range group {
			names = append(names, move.Service.Name)
		}
		got = append(got, strings.Join(names, ""))
	}
	if want := []string{"ade", "b", "c", "f"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestOnlyWhatWouldLoseAnAddressBlocksAPlan(t *testing.T) {
	for severity, want := range map[Severity]bool{Blocking: true, Lost: false, Note: false} {
		if got := (&Plan{Remarks: []Remark{{Severity: Note}, {Severity: severity}}}).Blocked(); got != want {
			t.Errorf("%s: blocked %t", severity, got)
		}
	}
}

func TestASourceIsFoundByWhatItServes(t *testing.T) {
	for _, test := range []struct {
		name, objects string
		want          []Source
	}{
		{"ServiceLB, by addresses of nodes", `
apiVersion: v1
kind: Node
metadata: {name: n1}
status: {addresses: [{type: InternalIP, address: 10.0.0.5}]}` + service, []Source{ServiceLB}},
		{"MetalLB of which only FRR's configuration is left, with its Services", `
apiVersion: frrk8s.metallb.io/v1beta1
kind: FRRConfiguration
metadata: {name: extra, namespace: metallb-system}` + service, []Source{MetalLB}},
		{"nothing but a remark", `
apiVersion: frrk8s.metallb.io/v1beta1
kind: FRRConfiguration
metadata: {name: extra, namespace: metallb-system}`, nil},
		{"Services of which nobody knows whose they are", strings.TrimPrefix(service, "\n---"), nil},
	} {
		if got := Find(parse(t, test.objects)); !slices.Equal(got, test.want) {
			t.Errorf("%s: found %v", test.name, got)
		}
	}
}

func TestThePlanFromServiceLBIsTheSameAgainWhenServicesAreMoved(t *testing.T) {
	const node = "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {addresses: [{type: InternalIP, address: 192.168.10.11}]}\n---\n"
	service := func(address, status string) []unstructured.Unstructured {
		return parse(t, node+"apiVersion: v1\nkind: Service\nmetadata: {name: front, namespace: shop}\nspec: {type: LoadBalancer}\nstatus:\n  loadBalancer: {ingress: [{ip: "+address+"}]}\n"+
			"  conditions: [{type: clarionlb.io/AddressAssigned, status: \""+status+"\"}]")
	}
	for name, test := range map[string]struct {
		objects []unstructured.Unstructured
		want    int
	}{
		"moved":                              {service("192.168.10.225", "True"), 1},
		"of the pool, and not Clarion's yet": {service("192.168.10.225", "Unknown"), 0},
		"of another pool":                    {service("192.168.10.230", "True"), 0},
		"to move":                            {service("192.168.10.11", "Unknown"), 1},
	} {
		plan, err := New(ServiceLB, test.objects, Options{Pool: []string{"192.168.10.225-192.168.10.229"}})
		if (err == nil) != (test.want > 0) || err == nil && (len(plan.Moves) != test.want || len(plan.Objects) != 2) {
			t.Errorf("%s: %+v, %v", name, plan, err)
		}
	}
}
