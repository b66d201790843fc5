package announce

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Reasons of events on Announcers.
const (
	eventSessionUp   = "BGPSessionEstablished"
	eventSessionDown = "BGPSessionLost"
	eventSessionLeft = "BGPSessionClosed"
	eventPathUp      = "BFDUp"
	eventPathDown    = "BFDDown"
)

// Session tells what has become of a session with a router.
func (e *Events) Session(announcer *v1alpha1.Announcer, p bgp.PeerStatus, kind, reason, what string) {
	if announcer != nil {
		e.recorder.Eventf(referenceTo(announcer), kind, reason, "the BGP session with %s %s", routerName(peerOf(p.Name), p.Address), what)
	}
}

// Path tells that BFD has found the path to a router alive, or why it is dead.
func (e *Events) Path(announcer *v1alpha1.Announcer, w bfdPath, peer, why string) {
	if announcer == nil {
		return
	}
	on, router := referenceTo(announcer), routerName(peer, w.address)
	if why == "" {
		e.recorder.Eventf(on, corev1.EventTypeNormal, eventPathUp, "BFD with %s is up: the path is watched", router)
		return
	}
	e.recorder.Eventf(on, corev1.EventTypeWarning, eventPathDown, "BFD with %s went down: %s", router, why)
}

func referenceTo(announcer *v1alpha1.Announcer) *corev1.ObjectReference {
	return &corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(),
		Kind:       "Announcer",
		Name:       announcer.Name,
		UID:        announcer.UID,
	}
}

// routerName is what people know a router by.
func routerName(peer string, address netip.Addr) string {
	if address.IsValid() {
		return peer + " (" + address.String() + ")"
	}
	return peer
}
