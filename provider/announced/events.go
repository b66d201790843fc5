package announced

import (
	"context"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/internal/paced"
)

// Reasons of events on Services, besides those of the Announced condition.
const (
	// eventAnnounced (Normal, Service): all addresses are announced again, after a Warning, or one is announced by BGP for the first
	// time; the message names the nodes and the BGPPeers.
	eventAnnounced = "AddressAnnounced"
	// eventBGPWithdrawn (Warning, Service): an address is no longer announced by BGP, but still on layer 2.
	eventBGPWithdrawn = "BGPWithdrawn"
	// eventNotServing (Warning, Service): all addresses are announced, but one of them by nodes alone whose kube-proxy does not
	// serve.
	eventNotServing = "NotServing"
)

const (
	// settle is how long something must have been so before there is an event about it: a new address
	// or one that moves is announced sooner.
	settle = 5 * time.Second
	// succession is how long a process that has ended may have told nothing before the next one takes over,
	// at most: what happened since may not have been told, and is told again.
	succession = time.Minute
	// warningInterval is how often there is a Warning about a Service that goes to and fro, after
	// warningBurst of them.
	warningInterval, warningBurst = time.Minute, 5
)

// eventWriter tells people by events on Services what the Announced condition says, since kubectl
// describe prints the events of a Service and not its conditions. It goes by what is so, not by what
// has changed: however late an event is, it says what is so then, and the last one says what the
// condition says.
type eventWriter struct {
	recorder record.EventRecorder
	services corelisters.ServiceLister
	queue    *paced.Queue

	mu    sync.Mutex
	known map[types.NamespacedName]*telling
}

// telling is what a Service is told. There is none of one that was always announced on layer 2 alone.
type telling struct {
	uid types.UID
	// is is what the condition says, since when but for the reason, and the text for an event about it.
	is    situation
	since time.Time
	text  string
	// told is what the last event said, and when that was.
	told situation
	at   time.Time
	// warnings bounds those of a Service that goes to and fro.
	warnings *rate.Limiter
}

// situation is what events tell about a Service. The zero situation is not told.
type situation struct {
	// reason and message of the condition, if an address is not announced; "" if all are. The reason
	// is NotServing if all are, and one of them by nodes that cannot serve it.
	reason, message string
	// bgp are the addresses that are announced by BGP, if all are announced.
	bgp string
}

func (s situation) troubled() bool { return s.reason != "" }

func newEventWriter(recorder record.EventRecorder, services corelisters.ServiceLister) *eventWriter {
	w := &eventWriter{recorder: recorder, services: services, known: map[types.NamespacedName]*telling{}}
	w.queue = paced.NewQueue(w.next, w.tell)
	return w
}

// observe takes what a Service says now, made of these statements, and before: nil if it had no
// condition.
func (w *eventWriter) observe(service *corev1.Service, before *metav1.Condition, condition metav1.Condition, statements []statement, now time.Time) {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	is := situationOf(condition, statements)
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.known[name]
	if t == nil || t.uid != service.UID {
		t = &telling{uid: service.UID, told: toldBy(before, is, now), at: now, since: now, warnings: rate.NewLimiter(rate.Every(warningInterval), warningBurst)}
		if is == (situation{}) && t.told == is {
			delete(w.known, name)
			return
		}
		w.known[name] = t
	}
	if t.is.troubled() != is.troubled() || t.is.bgp != is.bgp {
		t.since = now
	}
	t.is, t.text = is, eventText(condition, statements)
	if toldElsewhere(is.reason) && t.told != is {
		t.told, t.at = is, now
	}
	w.queue.Add(name)
}

// situationOf is what a Service says.
func situationOf(condition metav1.Condition, statements []statement) situation {
	if condition.Status != metav1.ConditionTrue {
		return situation{reason: condition.Reason, message: condition.Message}
	}
	var bgp []string
	for _, s := range statements {
		if s.unserved != "" {
			return situation{reason: eventNotServing, message: condition.Message}
		}
		if s.byBGP() {
			bgp = append(bgp, s.address.String())
		}
	}
	return situation{bgp: strings.Join(bgp, ",")}
}

// toldBy is what a Service was told by a former process, as far as its condition shows that. One that
// was written a short while ago may have been the last thing that the process did.
func toldBy(before *metav1.Condition, is situation, now time.Time) situation {
	switch {
	case before == nil || before.Reason == v1alpha1.ReasonPending:
		return situation{}
	case before.Status != metav1.ConditionTrue && now.Sub(before.LastTransitionTime.Time) < succession:
		return situation{}
	case before.Status != metav1.ConditionTrue:
		return situation{reason: before.Reason, message: before.Message}
	}
	return situation{bgp: is.bgp}
}

// toldElsewhere says whether there are events already for a reason of the condition.
func toldElsewhere(reason string) bool { return reason == v1alpha1.ReasonAddressConflict }

// eventText is what an event says about statements: as the condition does, but who announces by BGP
// by name.
func eventText(condition metav1.Condition, statements []statement) string {
	if condition.Status != metav1.ConditionTrue {
		return condition.Message
	}
	var sentences []string
	for _, s := range statements {
		sentences = append(sentences, s.named())
	}
	return strings.Join(sentences, "; ")
}

// forget drops what a Service was told that says nothing any more.
func (w *eventWriter) forget(name types.NamespacedName) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.known, name)
}

// run writes events until the context ends and the queue is shut down.
func (w *eventWriter) run(ctx context.Context) { w.queue.Run(ctx, "announced") }

// tell writes the event that is due about a Service, if there is one.
func (w *eventWriter) tell(name types.NamespacedName, now time.Time) {
	service, err := w.services.Services(name.Namespace).Get(name.Name)
	if err != nil {
		w.forget(name)
		return
	}
	if e := w.take(service, now); e.reason != "" {
		w.recorder.Event(service, e.kind, e.reason, e.text)
	}
}

// next says whether an event about a Service is due, and if not, when to look again; zero if
// something must change first.
func (w *eventWriter) next(name types.NamespacedName, now time.Time) (wait time.Duration, due bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.known[name]
	if t == nil {
		return 0, false
	}
	if wait, due = t.due(now); !due && wait <= 0 && t.is == (situation{}) {
		delete(w.known, name) // told, and long ago
	}
	return wait, due
}

// due says whether there is to be an event now, and if not, in what time to look again.
func (t *telling) due(now time.Time) (wait time.Duration, due bool) {
	switch {
	case t.is == t.told:
		wait = t.at.Add(paced.Reminder).Sub(now)
		return wait, wait <= 0 && t.is.troubled()
	case !t.is.troubled() && t.told.troubled():
		return 0, true
	}
	wait = t.since.Add(settle).Sub(now)
	if tokens := t.warnings.TokensAt(now); t.is.troubled() && tokens < 1 {
		wait = max(wait, time.Duration(float64(warningInterval)*(1-tokens))+time.Millisecond)
	}
	return wait, wait <= 0
}

// event is what a Service is told.
type event struct{ kind, reason, text string }

// take notes that a Service is told what is so now, and returns the event for it; none if that is not
// due any more.
func (w *eventWriter) take(service *corev1.Service, now time.Time) event {
	w.mu.Lock()
	defer w.mu.Unlock()
	t := w.known[types.NamespacedName{Namespace: service.Namespace, Name: service.Name}]
	if t == nil || t.uid != service.UID {
		return event{}
	}
	if _, due := t.due(now); !due {
		return event{}
	}
	before := t.told
	t.told, t.at = t.is, now
	switch {
	case t.is.troubled():
		t.warnings.AllowN(now, 1)
		return event{corev1.EventTypeWarning, t.is.reason, t.text}
	case before.bgp != "" && t.is.bgp == "":
		return event{corev1.EventTypeWarning, eventBGPWithdrawn, "no longer announced by BGP; " + t.text}
	}
	return event{corev1.EventTypeNormal, eventAnnounced, t.text}
}
