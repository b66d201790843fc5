package migrate

import (
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// serviceLB plans to move away from ServiceLB, which gives Services the addresses of nodes. No load balancer can have those, so
// that every Service gets another one (https://docs.k3s.io/networking/networking-services#service-load-balancer). Those that have got one
// are part of the plan still, so that it can be carried out again.
func (b *builder) serviceLB() {
	for i := range b.services {
		service := &b.services[i]
		addresses := addressesOf(service)
		if service.Spec.Type != corev1.ServiceTypeLoadBalancer || service.Spec.LoadBalancerClass != nil || len(addresses) == 0 {
			continue
		}
		moved := scope.Answered(service) && all(addresses, b.isInPool)
		if !moved && !all(addresses, func(address string) bool { return b.nodeWith(address) != "" }) {
			continue
		}
		b.served = append(b.served, service)
		b.plan.Moves = append(b.plan.Moves, Move{Service: nameOf(service), How: Adopt})
		if moved {
			continue
		}
		b.remark(Note, serviceRef(service), "has addresses of nodes, %s, and gets one of the pool: names in DNS and clients have to follow", strings.Join(addresses, ", "))
	}
	if len(b.served) == 0 {
		return
	}
	b.nameAnnotations("svccontroller.k3s.cattle.io/")
	if len(b.options.Pool) == 0 {
		b.remark(Blocking, Ref{}, "there are no addresses for Services: give some that nobody uses, as --pool=192.168.10.200-192.168.10.250")
	} else {
		b.add("IPAddressPool", "default", Ref{}, nil, map[string]any{"addresses": b.entries(Ref{}, b.options.Pool)})
		b.add("L2Advertisement", "default", Ref{}, nil, map[string]any{})
	}
	b.stop = []Step{{Title: "Stop ServiceLB on every server of k3s: both would write the status of the same Services", Commands: []string{
		"mkdir -p /etc/rancher/k3s/config.yaml.d && echo 'disable+: [servicelb]' > /etc/rancher/k3s/config.yaml.d/clarion.yaml && systemctl restart k3s",
		"kubectl --namespace=kube-system get daemonset --selector=svccontroller.k3s.cattle.io/svcname # until there are none"}}}
}

// isInPool says whether an address is one of the pool that the user has given.
func (b *builder) isInPool(address string) bool {
	addr, err := netip.ParseAddr(address)
	return err == nil && slices.ContainsFunc(b.options.Pool, func(entry string) bool {
		r, err := loadbalancer.ParseRange(entry)
		return err == nil && r.Contains(addr)
	})
}

func all(addresses []string, is func(address string) bool) bool {
	return !slices.ContainsFunc(addresses, func(address string) bool { return !is(address) })
}
