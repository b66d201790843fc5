package snapshot

import (
	"cmp"
	"errors"
	"slices"
	"strings"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/announced"
	"github.com/clarionlb/clarion/provider/pools"
)

// State is what follows from a Snapshot. It must not be modified.
type State struct {
	*Snapshot
	Settings
	index index
	// Answers are those of the allocator to the Services that ask Clarion for a load balancer, as if it
	// had started at that moment: those that have addresses are asked first, then the oldest.
	Answers map[types.NamespacedName]Answer
	// DoubleClaims are addresses that the status of two Services has, without their sharing it.
	DoubleClaims []loadbalancer.DoubleClaim
	// Allocator is what has answered.
	Allocator *loadbalancer.Allocator
	// Announced is what is announced, by what the announcers have recorded, and why not.
	Announced *announced.Evaluation
	// Pools are the statuses that the IPAddressPools are to have, and Reservations the Ready conditions
	// of the IPAddressReservations, by name. Pools and Uses count what Services have, and not what
	// Answers would give to those that have not been answered.
	Pools        map[string]loadbalancer.PoolStatus
	Uses         []loadbalancer.Use
	Reservations map[string]metav1.Condition
}

// Answer is the allocator's to a Service.
type Answer struct {
	loadbalancer.Outcome
	// Refused is why the Service does not have what it asks for; nil if it does.
	Refused *loadbalancer.Error
}

// State finds out what follows from the Snapshot.
func (s *Snapshot) State() *State {
	state := s.state(loadbalancer.New())
	state.DoubleClaims = state.Allocator.Restore(s.Time, state.requests())
	state.takeStock()
	state.ask(s.Time)
	return state
}

// Next finds out what follows if the objects become those of another Snapshot while the cloud-controller-manager runs, and after it
// has waited long enough for addresses to be reused. It takes the Allocator from s: of s, what was read before remains true.
func (s *State) Next(after *Snapshot) *State {
	services := byName(after.Services)
	for name := range s.Answers {
		if service := services[name]; service == nil || !s.Scope.Wants(service) || service.DeletionTimestamp != nil {
			s.Allocator.Release(s.Time, name, s.Service(name).UID)
		}
	}
	for _, namespace := range s.Namespaces {
		if Find(after.Namespaces, "", namespace.Name) == nil {
			s.Allocator.DeleteNamespace(s.Time, namespace.Name)
		}
	}
	state := after.state(s.Allocator)
	state.ask(after.Time)
	state.ask(after.Time.Add(reused)) // what others have given up
	state.takeStock()
	return state
}

// takeStock finds out what is in the pools.
func (s *State) takeStock() {
	s.Uses = s.Allocator.Uses()
	s.Pools = s.Allocator.PoolStatuses(s.Time)
	for _, pool := range s.IPAddressPools {
		if status, known := s.Pools[pool.Name]; known {
			s.Pools[pool.Name] = pools.WithReach(status, pool, s.Announcers, s.Nodes, s.BGPAdvertisements)
		}
	}
}

// reused is after what time an address that was given up surely is for everybody again.
const reused = 10 * 365 * 24 * time.Hour

// state is a State whose Allocator knows the objects and has not been asked yet.
func (s *Snapshot) state(allocator *loadbalancer.Allocator) *State {
	s = s.withClaims()
	settings := s.settings()
	state := &State{Snapshot: s, Settings: settings, index: s.index(), Allocator: allocator, Answers: map[types.NamespacedName]Answer{}}
	state.Announced = announced.Evaluate(s.Time, settings.Scope.Class, settings.IgnoreExcludeLabel, announced.Objects{
		Services:          s.Services,
		EndpointSlices:    s.EndpointSlices,
		Nodes:             s.Nodes,
		Pools:             s.IPAddressPools,
		L2Advertisements:  s.L2Advertisements,
		BGPPeers:          s.BGPPeers,
		BGPAdvertisements: s.BGPAdvertisements,
		Communities:       s.Communities,
		BFDProfiles:       s.BFDProfiles,
		Announcers:        s.Announcers,
		Pods:              s.podsOf(AnnouncerName),
		PodsKnown:         s.podsKnown(),
		DeadNodes:         s.deadNodes(),
	})
	state.configure()
	return state
}

// withClaims returns the Snapshot with all claims of announcers in the lists of their Announcers.
func (s *Snapshot) withClaims() *Snapshot {
	if len(s.ClaimSlices) == 0 {
		return s
	}
	out := *s
	out.Announcers = make([]*v1alpha1.Announcer, len(s.Announcers))
	for i, announcer := range s.Announcers {
		listing := *announcer
		listing.Status.Layer2.Addresses = claims.Of(announcer, s.ClaimSlices)
		out.Announcers[i] = &listing
	}
	return &out
}

// configure tells the allocator what the cloud-controller-manager tells it.
func (s *State) configure() {
	for _, namespace := range s.Namespaces {
		s.Allocator.SetNamespace(s.Time, namespace.Name, namespace.Labels)
	}
	var reservations []loadbalancer.Reservation
	reservations, s.Reservations = pools.ReadReservations(s.IPAddressReservations)
	s.Allocator.SetReserved(s.Time, pools.InUse(pools.Objects{
		APIServer:    s.apiServer(),
		Nodes:        s.Nodes,
		ServiceCIDRs: s.ServiceCIDRs,
		Announcers:   s.Announcers,
		Services:     s.Services,
		Scope:        s.Scope,
	}))
	s.Allocator.SetReservations(s.Time, reservations)
	s.Allocator.SetPools(s.Time, s.IPAddressPools)
	s.Allocator.SetConflicts(s.Time, s.Announced.Conflicting())
}

// apiServer are the EndpointSlices of the Service default/kubernetes.
func (s *Snapshot) apiServer() (endpoints []*discoveryv1.EndpointSlice) {
	for _, slice := range s.EndpointSlices {
		if ServiceOf(slice) == (types.NamespacedName{Namespace: metav1.NamespaceDefault, Name: "kubernetes"}) {
			endpoints = append(endpoints, slice)
		}
	}
	return endpoints
}

// requests are those of the Services that ask Clarion.
func (s *State) requests() (requests []loadbalancer.Request) {
	for _, service := range s.Services {
		if s.Scope.Wants(service) && service.DeletionTimestamp == nil {
			request, _ := loadbalancer.NewRequest(service) // the allocator refuses what is wrong with it
			requests = append(requests, request)
		}
	}
	return requests
}

// ask has the allocator answer every Service that asks Clarion.
func (s *State) ask(now time.Time) {
	requests := s.requests()
	slices.SortStableFunc(requests, func(a, b loadbalancer.Request) int {
		without := func(r loadbalancer.Request) int {
			if len(r.Current) == 0 {
				return 1
			}
			return 0
		}
		return cmp.Or(cmp.Compare(without(a), without(b)), a.Created.Compare(b.Created))
	})
	for _, request := range requests {
		outcome, err := s.Allocator.Ensure(now, request)
		answer := Answer{Outcome: outcome}
		errors.As(err, &answer.Refused)
		s.Answers[request.Service] = answer
	}
}

// Settings are the flags of the two programs that State depends on, as their pods have them. What no pod
// says has its default.
type Settings struct {
	Scope scope.Scope
	// IgnoreExcludeLabel says that nodes announce although a label excludes them from load balancers.
	IgnoreExcludeLabel bool
}

// settings reads the flags of the pods.
func (s *Snapshot) settings() (settings Settings) {
	for _, pod := range s.podsOf(ControllerName) {
		for _, container := range pod.Spec.Containers {
			for _, arg := range slices.Concat(container.Command, container.Args) {
				name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
				on := value == "" || value == "true"
				switch name {
				case "load-balancer-class":
					settings.Scope.Class = value
				case "require-load-balancer-class":
					settings.Scope.RequireClass = on
				case "ignore-exclude-label":
					settings.IgnoreExcludeLabel = on
				}
			}
		}
	}
	return settings
}
