package layer2

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/clarionlb/clarion/internal/notify"
)

// Sighting is that somebody else said on the network that an address is his.
type Sighting struct {
	Address netip.Addr
	// Interface on which it was said, and MAC is where the address was said to be.
	Interface string
	MAC       net.HardwareAddr
	// At is when it was said last.
	At time.Time
}

// maxSightings is how many are kept until they are taken, should somebody forge them.
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
