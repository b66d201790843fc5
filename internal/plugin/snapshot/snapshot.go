package snapshot

import (
	"cmp"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
)

// Where the programs are, by what manifests/ names them.
const (
	// ControllerNamespace is where the cloud-controller-manager runs and its Lease is.
	ControllerNamespace = metav1.NamespaceSystem
	// ControllerName is the name of its Deployment, of its Lease and of its pods' label.
	ControllerName = "clarion-cloud-controller-manager"
	// AnnouncerName is the name of the announcers' DaemonSet and of their pods' label.
	AnnouncerName = "announcer"
	// AnnouncerNamespace is where the announcers run.
	AnnouncerNamespace = v1alpha1.SystemNamespace

	labelName = "app.kubernetes.io/name"
)

// Snapshot has the objects as of a moment. The order of each list is that of the API: by namespace and
// name.
type Snapshot struct {
	// Time is the moment. State goes by it wherever time matters.
	Time time.Time

	Services       []*corev1.Service
	EndpointSlices []*discoveryv1.EndpointSlice
	Nodes          []*corev1.Node
	Namespaces     []*corev1.Namespace
	ServiceCIDRs   []*networkingv1.ServiceCIDR

	IPAddressPools        []*v1alpha1.IPAddressPool
	IPAddressReservations []*v1alpha1.IPAddressReservation
	L2Advertisements      []*v1alpha1.L2Advertisement
	BGPPeers              []*v1alpha1.BGPPeer
	BGPAdvertisements     []*v1alpha1.BGPAdvertisement
	Communities           []*v1alpha1.Community
	BFDProfiles           []*v1alpha1.BFDProfile
	Announcers            []*v1alpha1.Announcer
	ClaimSlices           []*v1alpha1.ClaimSlice

	// Leases has that of the cloud-controller-manager, if there is one, and those in which announcers record dead nodes.
	Leases []*coordinationv1.Lease
	// Pods are those of both programs.
	Pods []*corev1.Pod
	// Events are those on Services, Nodes and objects of Clarion, of whatever source.
	Events []*corev1.Event

	// Unread are the kinds that could not be read, in the order of their names. What follows from a
	// Snapshot is as if there were no object of them.
	Unread []Unread
}

// Unread is a kind of which nothing is known.
type Unread struct {
	// Kind in the plural, as kubectl takes it: "bgppeers.clarionlb.io".
	Kind string
	// Why is a sentence: the caller may not read it, or the cluster does not have it.
	Why string
}

// list is one list of a Snapshot.
type list struct {
	kind  string         // in the plural, as kubectl takes it
	empty runtime.Object // one without any field
	items func() []runtime.Object
	add   func(runtime.Object) bool // false if the object is of another kind
	sort  func()                    // by namespace and name
}

// lists are all lists of a Snapshot.
func (s *Snapshot) lists() []list {
	return []list{
		listOf("services", &s.Services),
		listOf("endpointslices.discovery.k8s.io", &s.EndpointSlices),
		listOf("nodes", &s.Nodes),
		listOf("namespaces", &s.Namespaces),
		listOf("servicecidrs.networking.k8s.io", &s.ServiceCIDRs),
		listOf("ipaddresspools.clarionlb.io", &s.IPAddressPools),
		listOf("ipaddressreservations.clarionlb.io", &s.IPAddressReservations),
		listOf("l2advertisements.clarionlb.io", &s.L2Advertisements),
		listOf("bgppeers.clarionlb.io", &s.BGPPeers),
		listOf("bgpadvertisements.clarionlb.io", &s.BGPAdvertisements),
		listOf("communities.clarionlb.io", &s.Communities),
		listOf("bfdprofiles.clarionlb.io", &s.BFDProfiles),
		listOf("announcers.clarionlb.io", &s.Announcers),
		listOf("claimslices.clarionlb.io", &s.ClaimSlices),
		listOf("leases.coordination.k8s.io", &s.Leases),
		listOf("pods", &s.Pods),
		listOf("events", &s.Events),
	}
}

// object is one of the API.
type object[T any] interface {
	*T
	runtime.Object
	GetNamespace() string
	GetName() string
}

func listOf[T any, O object[T]](kind string, items *[]O) list {
	return list{
		kind:  kind,
		empty: O(new(T)),
		items: func() (all []runtime.Object) {
			for _, o := range *items {
				all = append(all, o)
			}
			return all
		},
		add: func(added runtime.Object) bool {
			o, is := added.(O)
			if is {
				*items = append(*items, o)
			}
			return is
		},
		sort: func() {
			slices.SortStableFunc(*items, func(a, b O) int {
				return cmp.Or(cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.GetName(), b.GetName()))
			})
		},
	}
}

// ControllerLease is the Lease of the cloud-controller-manager; nil if there is none.
func (s *Snapshot) ControllerLease() *coordinationv1.Lease {
	return Find(s.Leases, ControllerNamespace, ControllerName)
}

// deadNodes are the Leases in which announcers record dead nodes.
func (s *Snapshot) deadNodes() (leases []*coordinationv1.Lease) {
	for _, lease := range s.Leases {
		if lease.Namespace == deadnodes.Namespace {
			leases = append(leases, lease)
		}
	}
	return leases
}

// podsOf are the Pods of a program.
func (s *Snapshot) podsOf(program string) (pods []*corev1.Pod) {
	for _, pod := range s.Pods {
		if pod.Labels[labelName] == program {
			pods = append(pods, pod)
		}
	}
	return pods
}

// podsKnown says whether the Pods were read. Files may well have none.
func (s *Snapshot) podsKnown() bool {
	return len(s.Pods) > 0 && !slices.ContainsFunc(s.Unread, func(u Unread) bool { return u.Kind == "pods" })
}

// Objects are all objects of the Snapshot, one kind after another.
func (s *Snapshot) Objects() (all []runtime.Object) {
	for _, l := range s.lists() {
		all = append(all, l.items()...)
	}
	return all
}

// Clone is a Snapshot with lists and objects of its own.
func (s *Snapshot) Clone() *Snapshot {
	c := &Snapshot{Time: s.Time, Unread: slices.Clone(s.Unread)}
	to := c.lists()
	for i, l := range s.lists() {
		for _, o := range l.items() {
			to[i].add(o.DeepCopyObject())
		}
	}
	return c
}

// Find is the object of this name; nil if there is none. The namespace is "" where the kind has none.
func Find[T any, O object[T]](items []O, namespace, name string) *T {
	for _, o := range items {
		if o.GetNamespace() == namespace && o.GetName() == name {
			return o
		}
	}
	return nil
}

// NameOf is the name of a namespaced object.
func NameOf[T any, O object[T]](o O) types.NamespacedName {
	return types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
}
