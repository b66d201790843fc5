package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// checkCondition tells what is wrong with a condition, unless it has a reason, some text in its
// message, and the status that goes with the reason.
func checkCondition(condition metav1.Condition, reason, text string) error {
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

// awaitReady waits until an object of Clarion's has a Ready condition with a reason and, in its
// message, some text. Objects are named as in "ipaddresspool/public".
func (d *deployment) awaitReady(object, reason, text string) {
	d.t.Helper()
	kind, name, _ := strings.Cut(object, "/")
	d.eventually(fmt.Sprintf("%s to say %s", object, reason), func(ctx context.Context) error {
		content, err := d.Clarion.ClarionV1alpha1().RESTClient().Get().Resource(kind + "s").Name(name).Do(ctx).Raw()
		if err != nil {
			return err
		}
		var said struct {
			Status struct{ Conditions []metav1.Condition }
		}
		if err := json.Unmarshal(content, &said); err != nil {
			return err
		}
		ready := meta.FindStatusCondition(said.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return errors.New("it has no condition")
		}
		return checkCondition(*ready, reason, text)
	})
}

// awaitAddresses waits until a Service has these addresses, in this order, and says so.
func (d *deployment) awaitAddresses(name string, want ...string) {
	d.t.Helper()
	d.awaitAssignment(name, "Assigned", "", want...)
}

// awaitSharing waits until a Service has an address and says with whom it shares it, with those and
// nobody else.
func (d *deployment) awaitSharing(name, address string, with ...string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Service %s to share %s with %v", name, address, with), func(context.Context) error {
		service := d.service(name)
		condition := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
		if got := addressTexts(service); !slices.Equal(got, []string{address}) || condition == nil {
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
	d.awaitAssignment(name, reason, text)
}

// awaitAssignment waits until a Service has these addresses, in this order, and says so with a
// reason and some text.
func (d *deployment) awaitAssignment(name, reason, text string, want ...string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Service %s to have %v, %s", name, want, reason), func(context.Context) error {
		service := d.service(name)
		condition := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
		if got := addressTexts(service); !slices.Equal(got, want) || condition == nil {
			return fmt.Errorf("it has %v and says %v", got, condition)
		}
		return checkCondition(*condition, reason, text)
	})
}

// awaitReason waits until the AddressAssigned condition of a Service has a reason and returns the
// condition.
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

// awaitOtherAddress waits until a Service has an address that is none of these, and returns it.
func (d *deployment) awaitOtherAddress(name string, not ...string) (got string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("Service %s to have an address other than %v", name, not), func(context.Context) error {
		now := addressTexts(d.service(name))
		if len(now) != 1 || slices.Contains(not, now[0]) {
			return fmt.Errorf("it has %v", now)
		}
		got = now[0]
		return nil
	})
	return got
}

// awaitAnnounced waits until a Service says how its addresses are announced, with a reason and a
// message that matches a regular expression, and returns the condition.
func (d *deployment) awaitAnnounced(name, reason, message string) metav1.Condition {
	d.t.Helper()
	if reason != v1alpha1.ReasonAnnounced {
		message += "(; .*)?" // what helps may follow the cause
	}
	pattern := regexp.MustCompile("^" + message + "$")
	var condition *metav1.Condition
	d.eventually(fmt.Sprintf("Service %s to say %s", name, reason), func(context.Context) error {
		condition = meta.FindStatusCondition(d.service(name).Status.Conditions, v1alpha1.ConditionAnnounced)
		if condition == nil || condition.Reason != reason || !pattern.MatchString(condition.Message) {
			return fmt.Errorf("condition %v, want a message like %s", condition, message)
		}
		if (condition.Status == metav1.ConditionTrue) != (reason == v1alpha1.ReasonAnnounced) {
			return fmt.Errorf("it is %s for the reason %s", condition.Status, reason)
		}
		return nil
	})
	return *condition
}

// sorted returns a sorted copy.
func sorted(list []string) []string {
	list = slices.Clone(list)
	slices.Sort(list)
	return list
}
