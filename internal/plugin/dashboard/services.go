package dashboard

import (
	"cmp"
	"net/netip"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/provider/announced"
)

// service is a Service that asks for an address of Clarion's.
type service struct {
	Name      string           `json:"name"` // namespace/name
	State     standing         `json:"state"`
	Words     string           `json:"words"`
	Addresses []serviceAddress `json:"addresses"`
}

// serviceAddress is an address that a Service has.
type serviceAddress struct {
	IP        string   `json:"ip"`
	Pool      string   `json:"pool"`
	Nodes     []string `json:"nodes"` // that announce it
	announced bool
}

// servicesOf has all Services that are Clarion's, those in trouble first.
func servicesOf(state *snapshot.State) []service {
	list := []service{}
	for _, object := range state.Services {
		name := snapshot.NameOf(object)
		answer, asked := state.Answers[name]
		condition := state.Announced.Condition(name)
		if !asked && condition == nil {
			continue
		}
		s := service{Name: name.String(), Addresses: []serviceAddress{}}
		for _, ingress := range object.Status.LoadBalancer.Ingress {
			if ip, err := netip.ParseAddr(ingress.IP); err == nil {
				s.Addresses = append(s.Addresses, addressOf(state, ip))
			}
		}
		s.State, s.Words = judge(object, answer, condition)
		list = append(list, s)
	}
	weight := map[standing]int{trouble: 0, warning: 1, well: 2}
	slices.SortStableFunc(list, func(a, b service) int { return cmp.Compare(weight[a.State], weight[b.State]) })
	return list
}

// judge is how it stands with a Service, by what the allocator answers and what is announced.
func judge(object *corev1.Service, answer snapshot.Answer, condition *metav1.Condition) (standing, string) {
	switch {
	case answer.Refused != nil:
		return trouble, answer.Refused.Message
	case condition == nil:
		return warning, "it has no address yet"
	case condition.Status == metav1.ConditionTrue:
		return well, condition.Message
	case condition.Reason == v1alpha1.ReasonPending, condition.Reason == v1alpha1.ReasonNoEndpoint:
		return warning, condition.Message
	}
	return trouble, condition.Message
}

func addressOf(state *snapshot.State, ip netip.Addr) serviceAddress {
	said := state.Announced.Address(state.Time, ip)
	return serviceAddress{IP: ip.String(), Pool: state.Allocator.PoolOf(ip), Nodes: announcing(state, said), announced: said.Announced()}
}

// announcing are the nodes that announce an address, sorted: the owner on layer 2, and those that
// send it to routers.
func announcing(state *snapshot.State, said announced.Address) []string {
	nodes := []string{}
	if said.Owner != "" {
		nodes = append(nodes, said.Owner)
	}
	if said.Nodes > 0 {
		for _, v := range said.BGP.Verdicts {
			if v.Reason == plan.Announces && hasSession(state, v) && !slices.Contains(nodes, v.Node) {
				nodes = append(nodes, v.Node)
			}
		}
	}
	slices.Sort(nodes)
	return nodes
}

// hasSession says whether a node has a session with one of the peers that it is to announce an
// address to.
func hasSession(state *snapshot.State, v plan.BGPVerdict) bool {
	announcer := state.Announcer(v.Node)
	return announcer != nil && state.Announced.Alive(v.Node) && slices.ContainsFunc(announcer.Status.BGP.Peers, func(s v1alpha1.BGPSession) bool {
		return s.State == v1alpha1.BGPEstablished && slices.Contains(v.Peers, s.Name)
	})
}
