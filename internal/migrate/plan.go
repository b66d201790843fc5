package migrate

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Source is what a cluster moves away from.
type Source string

const (
	MetalLB     Source = "metallb"
	KubeVIP     Source = "kube-vip"
	Cilium      Source = "cilium"
	ServiceLB   Source = "servicelb"
	ExternalIPs Source = "external-ips"
)

// Sources are all of them, with what each is in a few words.
var Sources = map[Source]string{
	MetalLB:     "MetalLB: its custom resources, or its old ConfigMap",
	KubeVIP:     "kube-vip with its cloud provider: the ConfigMap kubevip",
	Cilium:      "Cilium's LB IPAM, L2 announcements and BGP control plane",
	ServiceLB:   "ServiceLB of k3s, also known as klipper-lb",
	ExternalIPs: "spec.externalIPs of Services",
}

// Ref names an object.
type Ref struct {
	Kind, Namespace, Name string
}

func (r Ref) String() string {
	if r.Namespace == "" {
		return strings.TrimSpace(r.Kind + " " + r.Name)
	}
	return r.Kind + " " + r.Namespace + "/" + r.Name
}

func refOf(object *unstructured.Unstructured) Ref {
	return Ref{object.GetKind(), object.GetNamespace(), object.GetName()}
}

// Severity is how much a Remark matters.
type Severity string

const (
	// Blocking : a Service would lose its address. Nothing is applied while there is one.
	Blocking Severity = "Blocking"
	// Lost : something of the other load balancer is not carried over.
	Lost Severity = "Lost"
	// Note : something is carried over, and is not quite the same.
	Note Severity = "Note"
)

// Remark is something to know about an object of the other load balancer, or about a Service.
type Remark struct {
	Object   Ref
	Severity Severity
	Text     string
}

// How is the way in which a Service becomes Clarion's.
type How string

const (
	// Adopt : the Service has no load balancer class. Clarion takes it up with the address that it has, beside the other load
	// balancer, and nobody notices.
	Adopt How = "Adopt"
	// ByFlag : the Service has the class of the other load balancer, which cannot be changed. Clarion serves that class.
	ByFlag How = "ByFlag"
	// Recreate : the Service becomes one of type ClusterIP for a moment and then one of Clarion's class. Its cluster IP and its
	// node ports stay; its address is not reachable for some seconds.
	Recreate How = "Recreate"
	// Convert : the Service becomes one of type LoadBalancer with the address that spec.externalIPs has, which goes when that is
	// announced.
	Convert How = "Convert"
)

// Move is what happens to a Service.
type Move struct {
	Service types.NamespacedName
	How     How
	// Addresses that the Service has before, and so after; none where it cannot keep them.
	Addresses []string
	// Annotations that the Service gets.
	Annotations map[string]string
	// Reclaim are the annotations by which the other load balancer gives a Service that was made anew the same addresses, if it
	// is put back; none where it asks for them already.
	Reclaim map[string]string
	// Class that the Service gets; "" for none.
	Class string
}

// Step is one of the order. The tool does what it can do; the rest is the user's.
type Step struct {
	Title string
	// ByTool says that "migrate --apply" does it.
	ByTool bool
	// Commands that do it, where it is the user's.
	Commands []string
}

// Plan is how a cluster moves.
type Plan struct {
	Source Source
	// Objects that Clarion needs, in the order in which they are created.
	Objects []unstructured.Unstructured
	// Secrets with the passwords of BGP sessions. They are apart so that nobody prints them.
	Secrets []corev1.Secret
	Moves   []Move
	Remarks []Remark
	Steps   []Step
}

// Blocked says whether there are Blocking remarks.
func (p *Plan) Blocked() bool {
	return slices.ContainsFunc(p.Remarks, func(r Remark) bool { return r.Severity == Blocking })
}

// Options are what the user decides.
type Options struct {
	// Pool are the addresses of the pool that is made where the other load balancer has none, in the notation of IPAddressPools.
	Pool []string
	// Class is Clarion's, which Services get that are made anew; "" is v1alpha1.LoadBalancerClass.
	Class string
	// Recreate makes Services of a foreign class anew, instead of having Clarion serve that class.
	Recreate bool
}

// New works out how to move away from a source. The objects are all that there is of it, with Services, Nodes, Secrets and
// workloads; of those that do not matter nothing is said. An error means that there is nothing to move.
func New(source Source, objects []unstructured.Unstructured, options Options) (*Plan, error) {
	in, err := read(objects)
	if err != nil {
		return nil, err
	}
	b := &builder{input: in, options: options, plan: &Plan{Source: source}}
	switch source {
	case MetalLB:
		b.metalLB()
	case KubeVIP:
		b.kubeVIP()
	case Cilium:
		b.cilium()
	case ServiceLB:
		b.serviceLB()
	case ExternalIPs:
		b.externalIPs()
	default:
		return nil, fmt.Errorf("%q is none of %s", source, strings.Join(sourceNames(), ", "))
	}
	if len(b.plan.Objects) == 0 && len(b.plan.Moves) == 0 && len(b.plan.Remarks) == 0 {
		return nil, fmt.Errorf("there is nothing of %s", source)
	}
	b.checkAddresses()
	b.order()
	return b.plan, nil
}

// sourceNames are the names of all sources, sorted.
func sourceNames() []string {
	var names []string
	for _, source := range slices.Sorted(maps.Keys(Sources)) {
		names = append(names, string(source))
	}
	return names
}

// Find says of which sources there is something to move. Where there are only remarks, there is nothing.
func Find(objects []unstructured.Unstructured) []Source {
	var found []Source
	for _, source := range slices.Sorted(maps.Keys(Sources)) {
		if plan, err := New(source, objects, Options{}); err == nil && len(plan.Objects)+len(plan.Moves) > 0 {
			found = append(found, source)
		}
	}
	return found
}

// sortRemarks has the most severe first, each kind by object.
func sortRemarks(remarks []Remark) {
	rank := map[Severity]int{Blocking: 0, Lost: 1, Note: 2}
	slices.SortStableFunc(remarks, func(a, b Remark) int {
		return cmp.Or(rank[a.Severity]-rank[b.Severity], strings.Compare(a.Object.String(), b.Object.String()), strings.Compare(a.Text, b.Text))
	})
}

// Groups are the moves, in their order, with those together that share an address.
func Groups(moves []Move) [][]Move {
	var groups [][]Move
	with := map[string]int{} // the group that has an address
	for _, move := range moves {
		group := len(groups)
		for _, address := range move.Addresses {
			if i, is := with[address]; is {
				group = min(group, i)
			}
		}
		if group == len(groups) {
			groups = append(groups, nil)
		}
		groups[group] = append(groups[group], move)
		for _, address := range move.Addresses {
			with[address] = group
		}
	}
	return groups
}
