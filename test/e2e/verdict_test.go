package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// describes tells why a condition does not have a reason and a text.
func describes(condition metav1.Condition, reason, text string) error {
	if condition.Reason != reason || !strings.Contains(condition.Message, text) {
		return fmt.Errorf("it says %s, %q, want %s, %q", condition.Reason, condition.Message, reason, text)
	}
	want := metav1.ConditionFalse
	if reason == v1alpha1.ReasonValid || reason == "Assigned" {
		want = metav1.ConditionTrue
	}
	if condition.Status != want {
		return fmt.Errorf("it is %s for the reason %s", condition.Status, reason)
	}
	return nil
}

// awaitAddresses waits until a Service has these addresses, in this order, and says so.
func (d *deployment) awaitAddresses(name string, want ...string) {
	d.t.Helper()
	d.awaitAnswerTo(name, "Assigned", "", want...)
}

// awaitSharing waits until a Service has an address and says with whom it shares it, with those and nobody else.
func (d *deployment) awaitSharing(name, address string, with ...string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Service %s to share %s with %v", name, address, with), func(context.Context) error {
		service := d.service(name)
		condition := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
		if got := texts(service); !slices.Equal(got, []string{address}) || condition == nil {
			return fmt.Errorf("it has %v and says %v", got, condition)
		}
		_, others, _ := strings.Cut(condition.Message, "shared with ")
		if got := strings.Split(others, ", "); !slices.Equal(sorted(got), sorted(with)) {
			return fmt.Errorf("it says %q", condition.Message)
		}
		return nil
	})
}

// awaitRefusal waits until a Service has no address and says why.
func (d *deployment) awaitRefusal(name, reason, text string) {
	d.t.Helper()
	d.awaitAnswerTo(name, reason, text)
}

func (d *deployment) awaitAnswerTo(name, reason, text string, want ...string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Service %s to have %v, %s", name, want, reason), func(context.Context) error {
		service := d.service(name)
		condition := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
		if got := texts(service); !slices.Equal(got, want) || condition == nil {
			return fmt.Errorf("it has %v and says %v", got, condition)
		}
		return describes(*condition, reason, text)
	})
}

// awaitReason waits until the AddressAssigned condition of a Service has a reason and returns the condition.
func (d *deployment) awaitReason(name, reason string) metav1.Condition {
	d.t.Helper()
	var condition *metav1.Condition
	d.eventually(fmt.Sprintf("Service %s to say %s", name, reason), func(context.Context) error {
		condition = meta.FindStatusCondition(d.service(name).Status.Conditions, v1alpha1.ConditionAddressAssigned)
		if condition == nil || condition.Reason != reason {
			return fmt.Errorf("condition %v", condition)
		}
		return nil
	})
	return *condition
}
