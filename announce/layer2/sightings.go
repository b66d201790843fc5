package layer2

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/clarionlb/clarion/internal/notify"
)

// Sighting is packets that claim, for hosts that are not known to own the address, an address that
// this node answers for: an address conflict (RFC 5227, section 2.4; RFC 4862, section 5.4.4).
type Sighting struct {
	Address netip.Addr
	// Interface on which the packets arrived, by name.
	Interface string
	// MAC is the hardware address that the first packet claims the address for, and LastMAC that of
	// the last one.
	MAC, LastMAC net.HardwareAddr
	// Packets is how many there were.
	Packets int
	// At is when the last one arrived.
	At time.Time
}

const (
	// maxSightings is how many are kept until they are taken: somebody may forge them.
	maxSightings = 4096
	// sightingRate is how often in a second somebody is told of new ones, and sightingBurst how often
	// at once: whatever arrives, the work that it causes is bounded.
	sightingRate, sightingBurst = 20, 20
)

// sightings are those not yet taken. There is one for each address, interface and member; all other
// hosts that claim an address on an interface are one, however many hardware addresses they have.
type sightings struct {
	added notify.Signal

	mu      sync.Mutex
	all     map[sightingKey]Sighting
	members map[string]bool
	limiter *rate.Limiter
	// delayed says that the receivers of added will be told as soon as the rate allows.
	delayed bool
}

type sightingKey struct {
	addr netip.Addr
	ifi  string
	// member is the hardware address of a member; "" for all other hosts.
	member string
}

func newSightings() *sightings {
	return &sightings{
		added: notify.New(), all: map[sightingKey]Sighting{},
		limiter: rate.NewLimiter(sightingRate, sightingBurst),
	}
}

// add takes note of a packet.
func (s *sightings) add(addr netip.Addr, ifi string, mac net.HardwareAddr, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	key := sightingKey{addr: addr, ifi: ifi}
	if s.members[string(mac)] {
		key.member = string(mac)
	}
	one, known := s.all[key]
	if !known {
		if len(s.all) == maxSightings {
			return
		}
		one = Sighting{Address: addr, Interface: ifi, MAC: mac}
	}
	one.LastMAC, one.At = mac, now
	one.Packets++
	s.all[key] = one
	s.tell()
}

// tell notifies the receivers, at once if the rate allows.
func (s *sightings) tell() {
	if s.delayed {
		return
	}
	delay := s.limiter.Reserve().Delay()
	if delay == 0 {
		s.added.Notify()
		return
	}
	s.delayed = true
	time.AfterFunc(delay, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.delayed = false
		s.added.Notify()
	})
}

func (s *sightings) setMembers(macs []net.HardwareAddr) {
	members := make(map[string]bool, len(macs))
	for _, mac := range macs {
		members[string(mac)] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.members = members
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
