package loadbalancer

import (
	"fmt"
	"net/netip"
	"sync"
	"testing"
)

func TestWorkersAtOnceGetEachTheirOwn(t *testing.T) {
	const workers, each = 16, 64
	s := newScript(t, newPool("public", "10.0.0.0/22"))
	var requests [workers][each]Request
	for w := range workers {
		for i := range each {
			requests[w][i] = s.service(fmt.Sprintf("service-%d-%d", w, i))
		}
	}
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for _, r := range requests[w] {
				for range 2 {
					if _, err := s.a.Ensure(epoch, r); err != nil {
						t.Errorf("%v: %v", r.Service, err)
					}
				}
				s.a.PoolStatuses(epoch)
			}
		})
	}
	wg.Wait()

	owners := map[netip.Addr]string{}
	for w := range workers {
		for _, r := range requests[w] {
			addresses, _ := s.a.Lookup(r.Service)
			if len(addresses) != 1 || owners[addresses[0]] != "" {
				t.Fatalf("%v has %v, as has %s", r.Service, addresses, owners[addresses[0]])
			}
			owners[addresses[0]] = r.Service.Name
		}
	}
	s.expect("one more", s.ensure(s.service("one more")), "PoolExhausted")
}
