package validate

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/manifest"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/whatif"
	"github.com/clarionlb/clarion/loadbalancer"
)

// mayBeElsewhere follows a sentence about something that the files do not have.
const mayBeElsewhere = " (as far as these files tell; the cluster may have it)"

// checkTogether says what the components would find wrong with objects that are all there is. Each must be valid by itself, with its
// defaults.
func checkTogether(objects []*manifest.Object) (problems []Problem) {
	var content []unstructured.Unstructured
	for _, o := range objects {
		judged := o.DeepCopy()
		unstructured.RemoveNestedField(judged.Object, "status") // what is written is judged, and no version that was in force
		content = append(content, *judged)
	}
	taken, err := snapshot.Parse(content)
	if err != nil { // an object that is valid can be read
		return []Problem{{Severity: Error, Message: err.Error()}}
	}
	for _, service := range taken.Services {
		whatif.SetFamilies(service, taken.IPAddressPools)
	}
	state := taken.State()
	for _, o := range objects {
		if o.GroupVersionKind() == corev1.SchemeGroupVersion.WithKind("Service") {
			problems = append(problems, checkService(state, o)...)
			continue
		}
		problems = append(problems, checkCondition(o, readyConditionOf(state, o), state.Pools[o.GetName()].Contested)...)
		if remarks := state.Pools[o.GetName()].Remarks; o.GetKind() == "IPAddressPool" && remarks != "" {
			problems = append(problems, said(o, Warning, remarks))
		}
	}
	return problems
}

// readyConditionOf is the Ready condition that an object of ours would get; the zero one if its kind has none.
func readyConditionOf(state *snapshot.State, o *manifest.Object) metav1.Condition {
	switch name := o.GetName(); o.GroupVersionKind() {
	case v1alpha1.SchemeGroupVersion.WithKind("IPAddressPool"):
		pool := state.Pools[name]
		return metav1.Condition{Reason: pool.Reason, Message: pool.Message}
	case v1alpha1.SchemeGroupVersion.WithKind("IPAddressReservation"):
		return state.Reservations[name]
	case v1alpha1.SchemeGroupVersion.WithKind("L2Advertisement"):
		return state.Announced.L2Advertisement(name)
	case v1alpha1.SchemeGroupVersion.WithKind("BGPAdvertisement"):
		return state.Announced.BGPAdvertisement(name)
	case v1alpha1.SchemeGroupVersion.WithKind("Community"):
		return state.Announced.Community(name)
	case v1alpha1.SchemeGroupVersion.WithKind("BFDProfile"):
		return state.Announced.BFDProfile(name)
	case v1alpha1.SchemeGroupVersion.WithKind("BGPPeer"):
		for _, condition := range state.Announced.BGPPeer(name).Conditions {
			if condition.Type == v1alpha1.ConditionReady {
				return condition
			}
		}
	}
	return metav1.Condition{}
}

// wrong are the reasons of a Ready condition that say that an object is wrong as it is written. The others say how it fares.
var wrong = []string{
	v1alpha1.ReasonInvalid, v1alpha1.ReasonInvalidAddress, v1alpha1.ReasonInvalidSelector, v1alpha1.ReasonOverlaps,
	v1alpha1.ReasonContradicts, v1alpha1.ReasonUnsupported, v1alpha1.ReasonInternalError,
}

// checkCondition says what is wrong with an object by its Ready condition. contested are the addresses of a pool that another one has.
func checkCondition(o *manifest.Object, condition metav1.Condition, contested []v1alpha1.ContestedAddresses) []Problem {
	switch {
	case condition.Reason == v1alpha1.ReasonUnknownName:
		return []Problem{said(o, Warning, condition.Message+mayBeElsewhere)}
	case condition.Reason == v1alpha1.ReasonOverlaps:
		return []Problem{about(o, Error, cmp.Or(o.FieldOf(condition.Message), overlapping(o, contested)), condition.Message)}
	case slices.Contains(wrong, condition.Reason):
		return []Problem{said(o, Error, condition.Message)}
	}
	return nil
}

// overlapping is the entry of spec.addresses that has the first of some addresses; that field if none has.
func overlapping(o *manifest.Object, contested []v1alpha1.ContestedAddresses) string {
	entries, _, _ := unstructured.NestedStringSlice(o.Object, "spec", "addresses")
	for _, c := range contested {
		lost, err := loadbalancer.ParseRange(c.Addresses)
		for i, entry := range entries {
			if r, unreadable := loadbalancer.ParseRange(entry); err == nil && unreadable == nil && r.Contains(lost.From) {
				return fmt.Sprintf("spec.addresses[%d]", i)
			}
		}
	}
	return "spec.addresses"
}

// checkService says what a Service asks for in vain, if it asks Clarion.
func checkService(state *snapshot.State, o *manifest.Object) (problems []Problem) {
	name := types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()}
	service := state.Service(name)
	if service == nil {
		return nil
	}
	if sentence := state.Scope.NearMiss(service); sentence != "" {
		problems = append(problems, said(o, Warning, sentence))
	}
	if !state.Scope.Wants(service) {
		return problems
	}
	request, _ := loadbalancer.NewRequest(service) // Invalid has what is wrong
	for _, annotation := range request.IgnoredAnnotations {
		problems = append(problems, about(o, Warning, "metadata.annotations["+annotation+"]", loadbalancer.WhyIgnored(annotation)))
	}
	switch refused := state.Answers[name].Refused; {
	case refused == nil:
	case request.Invalid != nil:
		problems = append(problems, said(o, Error, request.Invalid.Message))
	case len(state.IPAddressPools) > 0 || request.Pool != "":
		problems = append(problems, said(o, Warning, refused.Message+mayBeElsewhere))
	}
	return problems
}
