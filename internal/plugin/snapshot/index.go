package snapshot

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// index finds objects by name. Views ask for them once per Service or node, and a cluster may have 10,000 Services.
type index struct {
	services   map[types.NamespacedName]*corev1.Service
	slices     map[types.NamespacedName][]*discoveryv1.EndpointSlice
	nodes      map[types.NamespacedName]*corev1.Node
	announcers map[types.NamespacedName]*v1alpha1.Announcer
	events     map[subject][]*corev1.Event
}

// subject is what an event is about.
type subject struct {
	kind string
	types.NamespacedName
}

// index indexes the objects as they are now.
func (s *Snapshot) index() index {
	i := index{
		services:   byName(s.Services),
		slices:     make(map[types.NamespacedName][]*discoveryv1.EndpointSlice, len(s.EndpointSlices)),
		nodes:      byName(s.Nodes),
		announcers: byName(s.Announcers),
		events:     map[subject][]*corev1.Event{},
	}
	for _, slice := range s.EndpointSlices {
		service := ServiceOf(slice)
		i.slices[service] = append(i.slices[service], slice)
	}
	for _, e := range s.Events {
		o := e.InvolvedObject
		on := subject{o.Kind, types.NamespacedName{Namespace: o.Namespace, Name: o.Name}}
		i.events[on] = append(i.events[on], e)
	}
	return i
}

func byName[T any, O object[T]](items []O) map[types.NamespacedName]O {
	m := make(map[types.NamespacedName]O, len(items))
	for _, o := range items {
		m[NameOf(o)] = o
	}
	return m
}

// Service is the Service of this name; nil if there is none.
func (s *State) Service(name types.NamespacedName) *corev1.Service { return s.index.services[name] }

// SlicesOf are the EndpointSlices of a Service.
func (s *State) SlicesOf(service types.NamespacedName) []*discoveryv1.EndpointSlice {
	return s.index.slices[service]
}

// Node is the Node of this name; nil if there is none.
func (s *State) Node(name string) *corev1.Node {
	return s.index.nodes[types.NamespacedName{Name: name}]
}

// Announcer is the Announcer of this name; nil if there is none.
func (s *State) Announcer(name string) *v1alpha1.Announcer {
	return s.index.announcers[types.NamespacedName{Name: name}]
}

// EventsOn are the events on the object of this kind and name, also those on an earlier one of that name. The namespace is "" where the
// kind has none.
func (s *State) EventsOn(kind string, name types.NamespacedName) []*corev1.Event {
	return s.index.events[subject{kind, name}]
}

// ServiceOf is the name of the Service that an EndpointSlice is of.
func ServiceOf(slice *discoveryv1.EndpointSlice) types.NamespacedName {
	return types.NamespacedName{Namespace: slice.Namespace, Name: slice.Labels[discoveryv1.LabelServiceName]}
}
