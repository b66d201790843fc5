package chaos

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
)

// services follows the Services of the API, version by version, and holds each against the ledger.
type services struct {
	client   kubernetes.Interface
	timeline *timeline

	mu     sync.Mutex
	ledger *ledger
	wrong  []finding
	// stop ends following; nil while nobody follows.
	stop func()
}

func followServices(client kubernetes.Interface, timeline *timeline) *services {
	s := &services{client: client, timeline: timeline, ledger: newLedger()}
	s.start()
	return s
}

func (s *services) start() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	s.stop = func() { cancel(); <-done }
	go func() {
		defer close(done)
		for ctx.Err() == nil {
			if err := s.follow(ctx); err != nil {
				select { // the API server is away
				case <-ctx.Done():
				case <-time.After(100 * time.Millisecond):
				}
			}
		}
	}()
}

// follow lists all Services and takes in every change from there on, until the API server ends that.
func (s *services) follow(ctx context.Context) error {
	all := s.client.CoreV1().Services(metav1.NamespaceDefault)
	listing, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	list, err := all.List(listing, metav1.ListOptions{})
	if err != nil {
		return err
	}
	s.take(s.ledger.replace, list.Items)
	changes, err := all.Watch(ctx, metav1.ListOptions{ResourceVersion: list.ResourceVersion})
	if err != nil {
		return err
	}
	defer changes.Stop()
	for change := range changes.ResultChan() {
		service, is := change.Object.(*corev1.Service)
		if !is {
			return fmt.Errorf("watch Services: %v", change.Object)
		}
		s.mu.Lock()
		before := s.ledger.services[nameOf(service)]
		if change.Type == watch.Deleted {
			s.ledger.remove(service)
		} else {
			s.note(s.ledger.set(service))
		}
		s.mu.Unlock()
		s.tell(before, service, change.Type)
	}
	return nil
}

func (s *services) take(do func([]corev1.Service) []string, all []corev1.Service) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(do(all))
}

// note has what is wrong, under mu.
func (s *services) note(wrong []string) {
	for _, text := range wrong {
		s.wrong = append(s.wrong, finding{time.Now(), text})
	}
}

// tell has the timeline say what became of a Service.
func (s *services) tell(before, now *corev1.Service, change watch.EventType) {
	switch {
	case change == watch.Deleted:
		s.timeline.add("Service %s is gone", now.Name)
	case before == nil:
		s.timeline.add("Service %s is there, with %s: %s", now.Name, text(addressesOf(now)), wishOf(now))
	case wishOf(before) != wishOf(now):
		s.timeline.add("Service %s wishes for %s", now.Name, wishOf(now))
	}
	if before != nil && text(addressesOf(before)) != text(addressesOf(now)) {
		s.timeline.add("Service %s has %s", now.Name, text(addressesOf(now)))
	}
}

// mark is that of the ledger.
func (s *services) mark() map[types.UID]holding {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.mark()
}

// rollBack follows the Services of an etcd that restore puts in place. It is from after the mark.
func (s *services) rollBack(before map[types.UID]holding, restore func() error) error {
	s.stop()
	s.mu.Lock()
	s.ledger.rollBack(before, s.ledger.mark())
	s.mu.Unlock()
	err := restore()
	s.start()
	return err
}

// settle returns which addresses any Service has had since the last call, and what was wrong.
func (s *services) settle() (held map[netip.Addr]bool, wrong []finding) {
	s.mu.Lock()
	defer s.mu.Unlock()
	held = map[netip.Addr]bool{}
	for a := range s.ledger.ever {
		held[a] = true
	}
	s.note(s.ledger.forget())
	wrong, s.wrong = s.wrong, nil
	return held, wrong
}

// residents are the Services whose wish never changes.
func (s *services) residents() []*corev1.Service {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []*corev1.Service
	for name, service := range s.ledger.services {
		if !strings.HasPrefix(name.Name, "guest-") {
			all = append(all, service)
		}
	}
	return all
}

// addresses are those that Services have now.
func (s *services) addresses() map[netip.Addr]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ledger.addresses()
}
