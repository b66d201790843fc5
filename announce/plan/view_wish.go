package plan

import (
	"iter"
	"net/netip"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
)

// wish is which addresses a Service asks for by name and does not have.
type wish struct {
	service   types.NamespacedName
	labels    labels.Set
	addresses []netip.Addr
}

// newWish returns nil for a Service that is none of ours, is being deleted or has what it asks for.
func newWish(s *corev1.Service, served scope.Scope) *wish {
	if !served.StillServed(s) || s.DeletionTimestamp != nil {
		return nil
	}
	addresses := slices.DeleteFunc(slices.Clone(loadbalancer.Wishes(s)), func(ip netip.Addr) bool {
		return slices.ContainsFunc(s.Status.LoadBalancer.Ingress, func(i corev1.LoadBalancerIngress) bool { return i.IP == ip.String() })
	})
	if len(addresses) == 0 {
		return nil
	}
	return &wish{types.NamespacedName{Namespace: s.Namespace, Name: s.Name}, s.Labels, addresses}
}

func (w *wish) equal(o *wish) bool {
	if w == nil || o == nil {
		return w == o
	}
	return slices.Equal(w.addresses, o.addresses) && labels.Equals(w.labels, o.labels)
}

// wishIndex is what Services wish.
type wishIndex struct {
	wishes map[types.NamespacedName]*wish
	// wished has the wishes for an address, by the names of the Services.
	wished map[netip.Addr][]*wish
}

func newWishIndex() wishIndex {
	return wishIndex{map[types.NamespacedName]*wish{}, map[netip.Addr][]*wish{}}
}

// setWish takes a Service as it is now; nil if it is gone. It returns the addresses that this concerns.
func (x *wishIndex) setWish(name types.NamespacedName, object *corev1.Service, served scope.Scope) (concerned []netip.Addr) {
	old := x.wishes[name]
	var now *wish
	if object != nil {
		now = newWish(object, served)
	}
	if old.equal(now) {
		return nil
	}
	delete(x.wishes, name)
	if old != nil {
		concerned = append(concerned, old.addresses...)
		for _, ip := range old.addresses {
			x.wished[ip] = slices.DeleteFunc(x.wished[ip], func(o *wish) bool { return o == old })
			if len(x.wished[ip]) == 0 {
				delete(x.wished, ip)
			}
		}
	}
	if now != nil {
		concerned = append(concerned, now.addresses...)
		x.wishes[name] = now
		for _, ip := range now.addresses {
			x.wished[ip] = append(x.wished[ip], now)
			slices.SortFunc(x.wished[ip], func(a, b *wish) int { return strings.Compare(a.service.String(), b.service.String()) })
		}
	}
	return concerned
}

// Wishes are the addresses that Services ask for by name and do not have, with these Services.
func (v *View) Wishes() iter.Seq2[netip.Addr, []types.NamespacedName] {
	return func(yield func(netip.Addr, []types.NamespacedName) bool) {
		for ip, wishes := range v.wished {
			var services []types.NamespacedName
			for _, w := range wishes {
				services = append(services, w.service)
			}
			if !yield(ip, services) {
				return
			}
		}
	}
}
