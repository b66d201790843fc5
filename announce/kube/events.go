package kube

import (
	"context"
	"fmt"

	"golang.org/x/time/rate"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/record"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/liblog"
)

// Reasons of events on Services.
const (
	// eventAnnounced (Normal, Service): an address is announced on layer 2 from a node for the first time, or from another node than
	// before; the message says in whose place.
	eventAnnounced = "AddressAnnounced"
	// eventConflict (Warning, Service, both programs): a host that runs no announcer answers for an address, or the Service asks for
	// such an address.
	eventConflict = v1alpha1.ReasonAddressConflict
	// eventNotAnswered (Warning, Service): the cloud-controller-manager does not answer the Service: none has ever run, none runs,
	// the one that holds the Lease says that it cannot work, or it has said nothing for a minute. One announcer says so, after 10 to 30 s and every half hour.
	eventNotAnswered = "NotAnswered"
)

// Events tells people, on the Services and the Announcer that are concerned, what happens.
type Events struct {
	node        string
	announcers  Announcers
	broadcaster record.EventBroadcaster
	recorder    record.EventRecorder
	kube        kubernetes.Interface
	// conflicts bounds the events about conflicts, which anybody on the network can cause.
	conflicts *rate.Limiter
	// failures bounds those about faults of the program.
	failures *rate.Limiter
}

// conflictEventRate is how many events about conflicts there are in a second, and conflictEventBurst
// how many at once. There is none of those that are beyond; the Service says the same in its condition.
const conflictEventRate, conflictEventBurst = 1, 20

// NewEvents returns Events of the announcer of a node.
func NewEvents(kube kubernetes.Interface, announcers Announcers, node string, logger klog.Logger) *Events {
	broadcaster := record.NewBroadcaster(record.WithContext(liblog.Informers(klog.NewContext(context.Background(), logger))))
	return &Events{
		node:        node,
		announcers:  announcers,
		broadcaster: broadcaster,
		recorder:    broadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: v1alpha1.EventSource, Host: node}),
		kube:        kube,
		conflicts:   rate.NewLimiter(conflictEventRate, conflictEventBurst),
		failures:    rate.NewLimiter(failureEventRate, failureEventBurst),
	}
}

// Start sends events from now on, until Stop. Those before are lost.
func (e *Events) Start() {
	e.broadcaster.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: e.kube.CoreV1().Events("")})
}

// Stop ends it. What was not sent yet is lost.
func (e *Events) Stop() { e.broadcaster.Shutdown() }

// Moved tells that an address came to this node.
func (e *Events) Moved(services []plan.ServiceRef, m plan.Move) {
	if m.Reason != plan.MoveResumed { // then nothing has changed
		e.on(services, corev1.EventTypeNormal, eventAnnounced, m.Sentence())
	}
}

// Conflict tells that a host which is no announcer has an address, which is announced nevertheless
// or not.
func (e *Events) Conflict(services []plan.ServiceRef, c plan.Conflict) {
	text := fmt.Sprintf("the host %s on %s answers for %s too", c.MAC, c.Interface, c.Address)
	if !c.InUse {
		text = fmt.Sprintf("%s is not announced: the host %s on %s answers for it", c.Address, c.MAC, c.Interface)
	}
	if e.conflicts.Allow() {
		e.on(services, corev1.EventTypeWarning, eventConflict, text)
	}
}

// Unanswered tells a Service that the cloud-controller-manager does not answer it.
func (e *Events) Unanswered(service *corev1.Service, text string) {
	name := types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
	e.on([]plan.ServiceRef{{NamespacedName: name, UID: service.UID}}, corev1.EventTypeWarning, eventNotAnswered, text)
}

func (e *Events) on(services []plan.ServiceRef, kind, reason, text string) {
	for _, s := range services {
		e.recorder.Event(&corev1.ObjectReference{
			APIVersion: "v1",
			Kind:       "Service",
			Namespace:  s.Namespace,
			Name:       s.Name,
			UID:        s.UID,
		}, kind, reason, text)
	}
}
