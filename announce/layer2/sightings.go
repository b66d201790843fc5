package layer2

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// Sighting is a packet that claims, for a host that is not known to own the address, an address
// that this node answers for: an address conflict (RFC 5227, section 2.4; RFC 4862, section 5.4.4).
type Sighting struct {
	Address netip.Addr
	// Interface on which the packet arrived, by name.
	Interface string
	// MAC is the hardware address that it claims the address for.
	MAC net.HardwareAddr
	// At is when the last such packet arrived.
	At time.Time
}

// maxSightings is how many are kept until they are taken: somebody may forge them.
const maxSightings = 4096

// sightings are those not yet taken: one for each address, interface and hardware address.
type sightings struct {
	added notify.Signal

	mu  sync.Mutex
	all map[sightingKey]Sighting
}

type sightingKey struct {
	addr netip.Addr
	ifi  string
	mac  string
}

func newSightings() *sightings {
	return &sightings{added: notify.New(), all: map[sightingKey]Sighting{}}
}

func (s *sightings) add(one Sighting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sightingKey{one.Address, one.Interface, string(one.MAC)}
	if _, known := s.all[key]; !known && len(s.all) == maxSightings {
		return
	}
	s.all[key] = one
	s.added.Notify()
}

func (s *sightings) take() []Sighting {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []Sighting
	for _, one := range s.all {
		all = append(all, one)
	}
	clear(s.all)
	return all
}
