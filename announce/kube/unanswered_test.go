package kube

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/scope"
)

// waitingRoom is an Unanswered with what it goes by.
type waitingRoom struct {
	*Unanswered
	now      time.Time
	services []*corev1.Service
	lease    *coordinationv1.Lease
	err      error
	asked    int
	told     []string
}

func newWaitingRoom(services ...*corev1.Service) *waitingRoom {
	r := &waitingRoom{now: time.Unix(1_000_000, 0), services: services}
	r.err = apierrors.NewNotFound(schema.GroupResource{Resource: "leases"}, v1alpha1.ControllerLease)
	r.Unanswered = &Unanswered{
		services: func() []*corev1.Service { return r.services },
		lease:    func(context.Context) (*coordinationv1.Lease, error) { r.asked++; return r.lease, r.err },
		tell:     func(s *corev1.Service, text string) { r.told = append(r.told, s.Name+": "+text) },
		served:   scope.Scope{},
		waiting:  map[types.UID]*waiter{},
	}
	return r
}

// after lets time pass, and returns what Services were told then.
func (r *waitingRoom) after(d time.Duration) []string {
	r.told = nil
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(answerInterval) {
		r.look(context.Background(), r.now)
	}
	return r.told
}

// held has the Lease held and renewed.
func (r *waitingRoom) held() {
	r.err = nil
	version := 1
	if r.lease != nil {
		version, _ = strconv.Atoi(r.lease.ResourceVersion)
	}
	r.lease = &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.Itoa(version + 1)}, Spec: coordinationv1.LeaseSpec{
		HolderIdentity: new("here"), LeaseDurationSeconds: new(int32(15)), RenewTime: &metav1.MicroTime{Time: time.Unix(0, 0)},
	}}
}

func loadBalancer(name string, change func(*corev1.Service)) *corev1.Service {
	s := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name)}}
	s.Spec.Type = corev1.ServiceTypeLoadBalancer
	if change != nil {
		change(s)
	}
	return s
}

func answered(s *corev1.Service) {
	s.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionFalse}}
}

func TestAServiceThatNobodyAnswersIsToldWhy(t *testing.T) {
	const does = "web: the cloud-controller-manager of Clarion does not answer this Service: "
	for name, tt := range map[string]struct {
		lease func(*waitingRoom)
		want  string
	}{
		"never run": {func(*waitingRoom) {}, "none has ever run, since there is no Lease kube-system/clarion-cloud-controller-manager"},
		"stopped": {func(r *waitingRoom) { r.held(); r.lease.Spec.HolderIdentity = nil },
			"none runs, since nobody has the Lease kube-system/clarion-cloud-controller-manager"},
		"dead": {(*waitingRoom).held, "none runs, since here has not renewed the Lease kube-system/clarion-cloud-controller-manager since 1970-01-01T00:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newWaitingRoom(loadBalancer("web", nil))
			tt.lease(r)
			if got := r.after(answerPatience); len(got) != 0 {
				t.Errorf("told too early: %q", got)
			}
			if got := r.after(20 * time.Second); len(got) != 1 || got[0] != does+tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
			if got := r.after(answerReminder - time.Minute); len(got) != 0 {
				t.Errorf("told again: %q", got)
			}
			if got := r.after(2 * time.Minute); len(got) != 1 {
				t.Errorf("reminded %d times", len(got))
			}
			answered(r.services[0])
			if got := r.after(2 * answerReminder); len(got) != 0 || len(r.waiting) != 0 {
				t.Errorf("answered, and told %q", got)
			}
		})
	}
}

func TestAServiceIsToldAtOnceWhatWhoeverHoldsTheLeaseSaysItself(t *testing.T) {
	r := newWaitingRoom(loadBalancer("web", nil))
	var told []string
	for range 4 {
		r.held()
		r.lease.Annotations = map[string]string{v1alpha1.AnnotationProblem: "Nodes cannot be read: forbidden"}
		told = append(told, r.after(answerInterval)...)
	}
	want := "web: the cloud-controller-manager of Clarion does not answer this Service: " +
		"here has the Lease kube-system/clarion-cloud-controller-manager and cannot work: Nodes cannot be read: forbidden"
	if len(told) != 1 || told[0] != want {
		t.Errorf("told %q in 20 s", told)
	}
}

func TestAServiceIsToldThatWhoeverHoldsTheLeaseDoesNotAnswer(t *testing.T) {
	r := newWaitingRoom(loadBalancer("web", nil))
	var told []string
	for range 20 {
		r.held()
		told = append(told, r.after(answerInterval)...)
		if r.now.Sub(time.Unix(1_000_000, 0)) < slowPatience && len(told) > 0 {
			t.Fatalf("told too early: %q", told)
		}
	}
	if len(told) != 1 || !strings.Contains(told[0], "here has the Lease kube-system/clarion-cloud-controller-manager and has not answered for 1m0s") {
		t.Errorf("told %q", told)
	}
}

func TestWhoCannotAskSaysNothing(t *testing.T) {
	r := newWaitingRoom(loadBalancer("web", nil))
	r.err = errors.New("forbidden")
	if got := r.after(time.Hour); len(got) != 0 {
		t.Errorf("told %q", got)
	}
	r = newWaitingRoom(loadBalancer("web", answered))
	if r.after(time.Hour); r.asked != 0 {
		t.Errorf("asked %d times although nobody waits", r.asked)
	}
}

func TestServicesThatMayBeSomebodyElsesAreToldNothing(t *testing.T) {
	class := func(class string) func(*corev1.Service) {
		return func(s *corev1.Service) { s.Spec.LoadBalancerClass = &class }
	}
	others := loadBalancer("others", func(s *corev1.Service) { s.Finalizers = []string{scope.Finalizer} })
	for name, tt := range map[string]struct {
		services []*corev1.Service
		want     int
	}{
		"another class":           {[]*corev1.Service{loadBalancer("web", class("example.com/lb"))}, 0},
		"our class":               {[]*corev1.Service{loadBalancer("web", class(v1alpha1.LoadBalancerClass)), others}, 1},
		"no class beside others":  {[]*corev1.Service{loadBalancer("web", nil), others}, 0},
		"taken up by Clarion":     {[]*corev1.Service{loadBalancer("web", func(s *corev1.Service) { s.Status.Conditions = []metav1.Condition{scope.TakenUp(metav1.Now())} }), others}, 1},
		"going":                   {[]*corev1.Service{loadBalancer("web", func(s *corev1.Service) { s.DeletionTimestamp = new(metav1.Now()) })}, 0},
		"no load balancer at all": {[]*corev1.Service{loadBalancer("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })}, 0},
	} {
		if got := newWaitingRoom(tt.services...).after(time.Minute); len(got) != tt.want {
			t.Errorf("%s: told %q", name, got)
		}
	}
}

func TestManyServicesThatWaitAreNoFlood(t *testing.T) {
	var services []*corev1.Service
	for n := range 1000 {
		services = append(services, loadBalancer("web-"+strconv.Itoa(n), nil))
	}
	r := newWaitingRoom(services...)
	r.after(answerPatience)
	if got := r.after(answerInterval); len(got) != answersAtOnce {
		t.Errorf("told %d at once", len(got))
	}
	if got := r.after(10 * time.Minute); len(got) != 1000-answersAtOnce {
		t.Errorf("told %d in the end", len(got)+answersAtOnce)
	}
}
