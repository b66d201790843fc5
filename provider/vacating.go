package provider

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"
)

// vacateTimeout is how long a Service waits for an address that another one has given up and has in its status still. Then it gets it
// nevertheless: what cannot be written about the other one is not to keep it waiting.
const vacateTimeout = 10 * time.Second

// byAddress is the index of Services by the addresses in their status.
const byAddress = "address"

func statusAddresses(object any) (addresses []string, _ error) {
	if service, ok := object.(*corev1.Service); ok {
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			addresses = append(addresses, ingress.IP)
		}
	}
	return addresses, nil
}

// vacating has Services wait for addresses that others have given up until the API says so too. The allocator has them free as soon as
// that is decided; several Services are served at once, and the next one could have an address before the last one has lost it.
type vacating struct {
	*patience
	// services has the index byAddress.
	services cache.Indexer
	// held are the addresses that the allocator has given to a Service.
	held func(types.NamespacedName) ([]netip.Addr, bool)
	// owns says whether a Service is Clarion's to serve or to clean up after.
	owns func(*corev1.Service) bool

	mu sync.Mutex
	// waiting are the Services that wait for another one, by the UID of that.
	waiting map[types.UID][]types.NamespacedName
}

func newVacating(services cache.Indexer, held func(types.NamespacedName) ([]netip.Addr, bool), owns func(*corev1.Service) bool) *vacating {
	return &vacating{
		patience: newPatience(vacateTimeout),
		services: services,
		held:     held,
		owns:     owns,
		waiting:  map[types.UID][]types.NamespacedName{},
	}
}

// wait says how long a Service is to wait for addresses that it is to have; 0 if it is not.
func (v *vacating) wait(service *corev1.Service, addresses []netip.Addr, now time.Time) time.Duration {
	if !v.await(service, addresses) {
		v.forget(service.UID)
		return 0
	}
	return v.left(service.UID, now)
}

// await says whether other Services have addresses in their status that this one is to have, and notes that it waits for them. Whoever
// tells of a change comes after the index has it, and so finds the note.
func (v *vacating) await(service *corev1.Service, addresses []netip.Addr) (waits bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	has, _ := statusAddresses(service)
	for _, address := range addresses {
		if slices.Contains(has, address.String()) {
			continue
		}
		for _, other := range v.recorded(address) {
			if other.UID == service.UID || v.holds(other, address) {
				continue
			}
			waits = true
			if name := nameOf(service); !slices.Contains(v.waiting[other.UID], name) {
				v.waiting[other.UID] = append(v.waiting[other.UID], name)
			}
		}
	}
	return waits
}

// recorded are the Services of Clarion that have an address in their status.
func (v *vacating) recorded(address netip.Addr) (services []*corev1.Service) {
	objects, err := v.services.ByIndex(byAddress, address.String())
	if err != nil {
		return nil
	}
	for _, object := range objects {
		if service, ok := object.(*corev1.Service); ok && v.owns(service) {
			services = append(services, service)
		}
	}
	return services
}

func (v *vacating) holds(service *corev1.Service, address netip.Addr) bool {
	held, _ := v.held(nameOf(service))
	return slices.Contains(held, address)
}

// changed returns the Services that waited for one of which there is news.
func (v *vacating) changed(uid types.UID) (waited []types.NamespacedName) {
	v.mu.Lock()
	defer v.mu.Unlock()
	waited = v.waiting[uid]
	delete(v.waiting, uid)
	return waited
}
