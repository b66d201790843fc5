package provider

import (
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/clarionlb/clarion/provider/internal/paced"
)

// reminders tell Services again why they wait, for as long as they do: the API forgets the event by
// which they were told first.
type reminders struct {
	recorder record.EventRecorder
	services corelisters.ServiceLister
	queue    *paced.Queue

	mu    sync.Mutex
	known map[types.NamespacedName]reminder
}

// reminder is what a Service is told again.
type reminder struct {
	uid             types.UID
	reason, message string
	// at is when it was told last, or is taken for told.
	at time.Time
}

func newReminders(recorder record.EventRecorder, services corelisters.ServiceLister) *reminders {
	r := &reminders{recorder: recorder, services: services, known: map[types.NamespacedName]reminder{}}
	r.queue = paced.NewQueue(r.next, r.tell)
	return r
}

// keep has a Service told a Warning every paced.Reminder, in place of any other, since when it waits: a
// process that takes over goes on where the former one has ended.
func (r *reminders) keep(service *corev1.Service, reason, message string, since, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := reminder{uid: service.UID, reason: reason, message: message, at: now.Add(-max(0, now.Sub(since)) % paced.Reminder)}
	if last := r.known[nameOf(service)]; last.uid == is.uid && last.reason == reason && last.message == message {
		return
	}
	r.known[nameOf(service)] = is
	r.queue.Add(nameOf(service))
}

// forget ends the reminders of a Service.
func (r *reminders) forget(service *corev1.Service) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[nameOf(service)].uid == service.UID {
		delete(r.known, nameOf(service))
	}
}

// next says whether a reminder is due, and if not, in what time.
func (r *reminders) next(name types.NamespacedName, now time.Time) (wait time.Duration, due bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is, found := r.known[name]
	if !found {
		return 0, false
	}
	wait = is.at.Add(paced.Reminder).Sub(now)
	return wait, wait <= 0
}

// tell reminds a Service.
func (r *reminders) tell(name types.NamespacedName, now time.Time) {
	service, err := r.services.Services(name.Namespace).Get(name.Name)
	r.mu.Lock()
	defer r.mu.Unlock()
	is, found := r.known[name]
	switch {
	case !found || now.Before(is.at.Add(paced.Reminder)):
		return // something else is so meanwhile
	case err != nil || service.UID != is.uid:
		delete(r.known, name)
		return
	}
	is.at = now
	r.known[name] = is
	r.recorder.Event(service, corev1.EventTypeWarning, is.reason, is.message)
}
