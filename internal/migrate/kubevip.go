package migrate

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/loadbalancer"
)

// What kube-vip and its cloud provider read (https://kube-vip.io/docs/usage/cloud-provider/).
const (
	kubeVIPConfigMap = "kubevip"
	kubeVIPClass     = "kube-vip.io/kube-vip-class"
	kubeVIPAddresses = "kube-vip.io/loadbalancerIPs"
	kubeVIPDomain    = "kube-vip.io/"
	globalPool       = "global"
)

// kubeVIP plans to move away from kube-vip with its cloud provider.
func (b *builder) kubeVIP() {
	for _, configMap := range b.configMaps {
		if configMap.Namespace == "kube-system" && configMap.Name == kubeVIPConfigMap {
			b.kubeVIPPools(Ref{"ConfigMap", configMap.Namespace, configMap.Name}, configMap.Data)
		}
	}
	if len(b.plan.Objects) == 0 && len(b.plan.Remarks) == 0 {
		return
	}
	b.requests = []string{kubeVIPAddresses}
	b.serve(func(class string) bool { return class == kubeVIPClass }, true, func(service *corev1.Service) map[string]string {
		wish := service.Annotations[kubeVIPAddresses]
		for address := range strings.SplitSeq(wish, ",") {
			if addr, err := netip.ParseAddr(strings.TrimSpace(address)); err != nil || addr.IsUnspecified() {
				if wish != "" {
					b.remark(Note, serviceRef(service), "%s: %s asks for an address by DHCP, which Clarion does not: it keeps the one that it has", kubeVIPAddresses, wish)
				}
				return nil
			}
		}
		return annotated(string(loadbalancer.AnnotationAddresses), wish)
	})
	b.nameAnnotations(kubeVIPDomain, kubeVIPAddresses, "kube-vip.io/vipHost", "kube-vip.io/hwaddr", "kube-vip.io/requestedIP")
	b.shareByAddress()
	runs := b.kubeVIPRuns()
	b.kubeVIPAnnounces(runs)
	b.stop = b.kubeVIPStop(runs)
}

// kubeVIPStop are the steps that end kube-vip for Services.
func (b *builder) kubeVIPStop(runs []kubeVIPRun) []Step {
	stop := Step{
		Title:    "Stop kube-vip's cloud provider, and then kube-vip for Services (svc_enable: \"false\"); the address of the control plane stays with it",
		Commands: []string{"kubectl --namespace=kube-system scale deployment kube-vip-cloud-provider --replicas=0"},
	}
	var leaving []string
	for _, r := range runs {
		if r.node == "" {
			leaving = append(leaving, leaveByDaemonSet(r.ref.Namespace, r.ref.Name))
			stop.Commands = append(stop.Commands, fmt.Sprintf("kubectl --namespace=%s set env daemonset/%s svc_enable=false", r.ref.Namespace, r.ref.Name))
		} else {
			stop.Commands = append(stop.Commands, "edit /etc/kubernetes/manifests/kube-vip.yaml # on "+r.node+`: svc_enable is "false"`)
		}
	}
	steps := b.leaveNodes(leaving...)
	if len(steps) > 0 {
		stop.Commands = append(stop.Commands, unlabel)
	} else if b.speaksBGP() && !b.sessionsStay {
		stop.Title += ". Go on to the next node when this one has all its sessions from Clarion (kubectl clarion bgp)"
	}
	return append(steps, stop, Step{
		Title:    "See that no address of a Service is left on an interface of a node: kube-vip puts them there",
		Commands: []string{"ip address show # on each node"},
	})
}

// kubeVIPPools plans a pool for each namespace that has one, and the global one.
func (b *builder) kubeVIPPools(ref Ref, data map[string]string) {
	pools := map[string]bool{}
	for _, key := range slices.Sorted(maps.Keys(data)) {
		kind, name, _ := strings.Cut(key, "-")
		switch {
		case kind == "cidr", kind == "range":
			pools[name] = true
		case key == "skip-end-ips-in-cidr", kind == "allow":
		default:
			b.remark(Lost, ref, "%s is not carried over", key)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(pools)) {
		entries, skipEnds := data["cidr-"+name], data["skip-end-ips-in-cidr"] == "true"
		if entries == "" {
			entries, skipEnds = data["range-"+name], false
		} else if data["range-"+name] != "" {
			b.remark(Note, ref, "range-%s is left out, as the cloud provider does where there is cidr-%s", name, name)
		}
		if slices.ContainsFunc(strings.Split(entries, ","), byDHCP) {
			b.remark(Lost, ref, "%s has addresses by DHCP, which Clarion does not have: give the Services a pool", name)
			continue
		}
		spec := map[string]any{"addresses": b.disjoint(ref, strings.Split(entries, ","))}
		if exclude := ends(entries); skipEnds && len(exclude) > 0 {
			spec["exclude"] = exclude
		}
		if name != globalPool {
			spec["serviceAllocation"] = map[string]any{"namespaces": []any{name}}
			b.remark(Note, Ref{Kind: "IPAddressPool", Name: name}, "when it is exhausted, Services of its namespace get addresses of pools for all")
		}
		b.add("IPAddressPool", name, ref, nil, spec)
	}
}

// byDHCP says whether an entry of a pool is the cloud provider's way of saying that addresses come by DHCP: 0.0.0.0/32 or
// 0.0.0.0-0.0.0.0.
func byDHCP(entry string) bool {
	first, _, _ := strings.Cut(strings.TrimSpace(entry), "/")
	first, _, _ = strings.Cut(first, "-")
	addr, err := netip.ParseAddr(first)
	return err == nil && addr.IsUnspecified()
}

// disjoint are the entries that can be read, without those that overlap an earlier one.
func (b *builder) disjoint(from Ref, list []string) []any {
	var kept []any
	var ranges []loadbalancer.Range
	for _, entry := range b.entries(from, list) {
		r, _ := loadbalancer.ParseRange(entry.(string)) // entries has looked
		if slices.ContainsFunc(ranges, func(o loadbalancer.Range) bool {
			return r.From.Is4() == o.From.Is4() && !r.To.Less(o.From) && !o.To.Less(r.From)
		}) {
			b.remark(Note, from, "entry %s is left out: it overlaps another one", entry)
			continue
		}
		ranges, kept = append(ranges, r), append(kept, entry)
	}
	return kept
}

// ends are the first and the last address of each CIDR that is larger than two.
func ends(entries string) []any {
	var list []any
	for entry := range strings.SplitSeq(entries, ",") {
		prefix, err := netip.ParsePrefix(strings.TrimSpace(entry))
		if err != nil || prefix.Addr().BitLen()-prefix.Bits() < 2 {
			continue
		}
		r, _ := loadbalancer.ParseRange(prefix.String())
		list = append(list, r.From.String(), r.To.String())
	}
	return list
}

// shareByAddress gives a sharing key to Services that have one address and no key.
func (b *builder) shareByAddress() {
	users := map[string][]int{}
	for i, move := range b.plan.Moves {
		for _, address := range move.Addresses {
			users[address] = append(users[address], i)
		}
	}
	keys := map[string]string{}
	for _, address := range slices.Sorted(maps.Keys(users)) {
		if len(users[address]) < 2 {
			continue
		}
		for _, i := range users[address] {
			move := &b.plan.Moves[i]
			if move.Annotations == nil {
				move.Annotations = map[string]string{}
			}
			if keys[move.Service.String()] == "" {
				keys[move.Service.String()] = "shared-" + strings.ReplaceAll(address, ":", "-")
				move.Annotations[string(loadbalancer.AnnotationSharing)] = keys[move.Service.String()]
			}
		}
	}
	b.share(func(service *corev1.Service) string { return keys[nameOf(service).String()] })
}

// nameAnnotations has a remark for those of a domain that Services have and that mean nothing to Clarion.
func (b *builder) nameAnnotations(domain string, known ...string) {
	for _, service := range b.served {
		for _, name := range slices.Sorted(maps.Keys(service.Annotations)) {
			if strings.HasPrefix(name, domain) && !slices.Contains(known, name) {
				b.remark(Lost, serviceRef(service), "annotation %s is not carried over", name)
			}
		}
	}
}

// kubeVIPRun is a DaemonSet or a static pod that runs kube-vip, and the environment of its container.
type kubeVIPRun struct {
	ref  Ref
	node string // of a static pod
	env  map[string]string
}

// kubeVIPRuns are those that are for Services, or all if none says that it is.
func (b *builder) kubeVIPRuns() []kubeVIPRun {
	var runs []kubeVIPRun
	add := func(ref Ref, node string, containers []corev1.Container) {
		for _, c := range containers {
			if c.Name != "kube-vip" {
				continue
			}
			env := map[string]string{}
			for _, v := range c.Env {
				env[v.Name] = v.Value
			}
			runs = append(runs, kubeVIPRun{ref, node, env})
		}
	}
	for _, object := range b.of("apps", "DaemonSet") {
		sets, err := decoded[appsv1.DaemonSet](nil, object)
		if err != nil {
			b.remark(Lost, refOf(&object), "it cannot be read: %v", err)
			continue
		}
		add(refOf(&object), "", sets[0].Spec.Template.Spec.Containers)
	}
	for _, pod := range b.pods {
		if pod.Annotations[corev1.MirrorPodAnnotationKey] != "" {
			add(Ref{"Pod", pod.Namespace, pod.Name}, pod.Spec.NodeName, pod.Spec.Containers)
		}
	}
	forServices := slices.DeleteFunc(slices.Clone(runs), func(r kubeVIPRun) bool { return r.env["svc_enable"] != "true" })
	if len(forServices) > 0 {
		return forServices
	}
	return runs
}

// kubeVIPAnnounces plans how the pools are announced, as the environment of kube-vip says it: by ARP, unless by BGP alone.
func (b *builder) kubeVIPAnnounces(runs []kubeVIPRun) {
	if len(runs) == 0 {
		b.remark(Lost, Ref{"ConfigMap", "kube-system", kubeVIPConfigMap},
			"no DaemonSet and no static pod of kube-vip was found that says how addresses are announced: the L2Advertisement is right if that is by ARP")
		b.add("L2Advertisement", "kube-vip", Ref{}, nil, map[string]any{})
		return
	}
	env := runs[0].env
	if env["bgp_enable"] == "true" {
		b.kubeVIPPeers(runs[0].ref, env)
		b.add("BGPAdvertisement", "kube-vip", Ref{}, nil, map[string]any{})
		if i := slices.IndexFunc(runs, func(r kubeVIPRun) bool { return r.env["cp_enable"] == "true" }); i >= 0 {
			b.keepSessions(runs[i].ref, "the address of the control plane")
		}
	}
	if env["vip_arp"] == "true" || env["bgp_enable"] != "true" {
		b.add("L2Advertisement", "kube-vip", Ref{}, nil, map[string]any{})
	}
}

// kubeVIPPeers plans the BGPPeers of bgp_peers, a list of address:AS:password:multihop, or of bgp_peeraddress.
func (b *builder) kubeVIPPeers(ref Ref, env map[string]string) {
	peers := env["bgp_peers"]
	if peers == "" && env["bgp_peeraddress"] != "" {
		peers = strings.Join([]string{env["bgp_peeraddress"], env["bgp_peeras"], env["bgp_peerpass"], env["bgp_multihop"]}, ":")
	}
	var local int64
	if _, err := fmt.Sscan(env["bgp_as"], &local); err != nil {
		b.remark(Lost, ref, "bgp_as %q is not a number: BGPPeers are left out", env["bgp_as"])
		return
	}
	for peer := range strings.SplitSeq(peers, ",") {
		part := append(strings.Split(peer, ":"), "", "", "")
		var remote int64
		addr, err := netip.ParseAddr(part[0])
		if _, scanErr := fmt.Sscan(part[1], &remote); err != nil || scanErr != nil {
			b.remark(Lost, ref, "a peer of bgp_peers cannot be read and is left out")
			continue
		}
		name := "peer-" + strings.ReplaceAll(addr.String(), ".", "-")
		spec := map[string]any{"myASN": local, "peerASN": remote, "peerAddress": addr.String()}
		if part[2] != "" {
			b.addSecret(name, part[2])
			spec["passwordSecret"] = map[string]any{"name": name}
		}
		if part[3] == "true" && local != remote {
			spec["ebgpMultiHop"] = true
		}
		b.add("BGPPeer", name, ref, nil, spec)
	}
}
