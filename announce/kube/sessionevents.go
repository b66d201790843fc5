package kube

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// Reasons of events on Announcers.
const (
	// eventSessionEstablished (Normal, Announcer): there is a session with a router.
	eventSessionEstablished = "BGPSessionEstablished"
	// eventSessionLost (Warning, Announcer): a session ended that should not have, and why.
	eventSessionLost = "BGPSessionLost"
	// eventSessionClosed (Normal, Announcer): the node ended a session on purpose, and why.
	eventSessionClosed = "BGPSessionClosed"
	// eventBFDUp (Normal, Announcer): BFD watches the path to a router.
	eventBFDUp = "BFDUp"
	// eventBFDDown (Warning, Announcer): BFD found the path to a router dead, and how.
	eventBFDDown = "BFDDown"
)

// SessionEstablished tells that there is a BGP session with a peer. Address may be the zero Addr if
// it is not known.
func (e *Events) SessionEstablished(peer string, address netip.Addr) {
	e.onAnnouncer(corev1.EventTypeNormal, eventSessionEstablished, "the BGP session with "+peerName(peer, address)+" is established")
}

// SessionLost tells that the BGP session with a peer has ended, and why, which was not on purpose.
func (e *Events) SessionLost(peer string, address netip.Addr, why string) {
	e.onAnnouncer(corev1.EventTypeWarning, eventSessionLost, "the BGP session with "+peerName(peer, address)+" is lost: "+why)
}

// SessionClosed tells that the node has ended its BGP session with a peer, and why.
func (e *Events) SessionClosed(peer string, address netip.Addr, why string) {
	e.onAnnouncer(corev1.EventTypeNormal, eventSessionClosed, "the BGP session with "+peerName(peer, address)+" is closed: "+why)
}

// BFDUp tells that BFD watches the path to a peer.
func (e *Events) BFDUp(peer string, address netip.Addr) {
	e.onAnnouncer(corev1.EventTypeNormal, eventBFDUp, "BFD with "+peerName(peer, address)+" is up: the path is watched")
}

// BFDDown tells that BFD has found the path to a peer dead, and how.
func (e *Events) BFDDown(peer string, address netip.Addr, why string) {
	e.onAnnouncer(corev1.EventTypeWarning, eventBFDDown, "BFD with "+peerName(peer, address)+" went down: "+why)
}

// onAnnouncer tells something on the Announcer of the node, if there is one.
func (e *Events) onAnnouncer(kind, reason, text string) {
	announcer := e.announcers.Announcer(e.node)
	if announcer == nil {
		return
	}
	e.recorder.Event(&corev1.ObjectReference{
		APIVersion: v1alpha1.SchemeGroupVersion.String(),
		Kind:       "Announcer",
		Name:       announcer.Name,
		UID:        announcer.UID,
	}, kind, reason, text)
}

// peerName is what people know a peer by.
func peerName(peer string, address netip.Addr) string {
	if address.IsValid() {
		return peer + " (" + address.String() + ")"
	}
	return peer
}
