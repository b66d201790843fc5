package kube

import (
	"reflect"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/informer"
)

// eventInternalError (Warning, any object, both programs): a fault of Clarion's: nothing can be decided about an address, or a
// change could not be taken in. What was in force stays so until the object changes. Please report it with the log.
const eventInternalError = v1alpha1.ReasonInternalError

// eventCannotRead (Warning, Node): the announcer of the node cannot read something of the API that it needs to take part, such as for
// want of a right; again every half hour.
const eventCannotRead = "AnnouncerCannotRead"

// CannotRead tells on the Node what the announcer cannot read.
func (e *Events) CannotRead(err error) {
	// kubectl describe looks for events of a Node by its name.
	node := corev1.ObjectReference{APIVersion: "v1", Kind: "Node", Name: e.node, UID: types.UID(e.node)}
	e.recorder.Event(&node, corev1.EventTypeWarning, eventCannotRead, "the announcer does not take part: "+err.Error())
}

// failureEventRate is how many events about failures there are in a second, and failureEventBurst how
// many at once.
const failureEventRate, failureEventBurst = 1, 20

// Failed tells that nothing can be decided about an address of Services, for a fault of the program.
func (e *Events) Failed(services []plan.ServiceRef, f plan.Failure) {
	if e.failures.Allow() {
		e.on(services, corev1.EventTypeWarning, eventInternalError, f.On()+" stays announced as it was on "+e.node+": "+f.Panic.Error())
	}
}

// FailedOn tells that an object could not be taken in, for a fault of the program. An EndpointSlice is
// its Service's.
func (e *Events) FailedOn(object any, name types.NamespacedName, p *guard.Panic) {
	if reflect.ValueOf(object).IsNil() || !e.failures.Allow() {
		return // it is gone, and nobody looks at it
	}
	ref := corev1.ObjectReference{APIVersion: "v1", Kind: informer.Kind(object), Namespace: name.Namespace, Name: name.Name}
	if reflect.TypeOf(object).Elem().PkgPath() == reflect.TypeFor[v1alpha1.Announcer]().PkgPath() {
		ref.APIVersion = v1alpha1.SchemeGroupVersion.String()
	}
	if o, err := meta.Accessor(object); err == nil {
		ref.UID = o.GetUID()
	}
	if slice, is := object.(*discoveryv1.EndpointSlice); is {
		ref.Kind, ref.Name, ref.UID = "Service", slice.Labels[discoveryv1.LabelServiceName], ""
	}
	e.recorder.Event(&ref, corev1.EventTypeWarning, eventInternalError, "not taken in on "+e.node+": "+p.Error())
}
