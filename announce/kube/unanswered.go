package kube

import (
	"context"
	"fmt"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/scope"
)

const (
	// answerInterval is how often it is looked whether Services wait for an answer, and whether the
	// cloud-controller-manager is there meanwhile.
	answerInterval = 5 * time.Second
	// answerPatience is how long a Service waits before it is told that nobody is there to answer, and
	// slowPatience how long if somebody is.
	answerPatience, slowPatience = 10 * time.Second, time.Minute
	// answerReminder is how often it is told again. The API keeps events for an hour.
	answerReminder = 30 * time.Minute
	// answersAtOnce is how many Services are told in an interval.
	answersAtOnce = 50
	// leaseDuration is after how long a Lease has expired that does not say so itself.
	leaseDuration = 15 * time.Second
)

// Unanswered tells Services that the cloud-controller-manager does not answer, which cannot say so
// itself. One announcer does for all, and asks for the Lease only while a Service waits: a watch would
// have each of its renewals go to every node.
type Unanswered struct {
	// services are those that may wait, and one that others serve, if there is any.
	services func() []*corev1.Service
	lease    func(ctx context.Context) (*coordinationv1.Lease, error)
	tell     func(service *corev1.Service, text string)
	served   scope.Scope

	// waiting are the Services that wait, by UID.
	waiting map[types.UID]*waiter
	// renewed is the last state of the Lease, and renewedAt when it was first seen here: the clocks of
	// nodes may differ.
	renewed   string
	renewedAt time.Time
}

// waiter is since when a Service has waited and when it was told that.
type waiter struct{ since, told time.Time }

// NewUnanswered returns an Unanswered for those of the Services that have this class. services has those that may wait, and one that
// others serve, if there is any; more of them do no harm. tell tells a Service.
func NewUnanswered(kube kubernetes.Interface, services func() []*corev1.Service, tell func(*corev1.Service, string), class string) *Unanswered {
	leases := kube.CoordinationV1().Leases(metav1.NamespaceSystem)
	return &Unanswered{
		services: services,
		lease: func(ctx context.Context) (*coordinationv1.Lease, error) {
			ctx, cancel := context.WithTimeout(ctx, answerInterval)
			defer cancel()
			return leases.Get(ctx, v1alpha1.ControllerLease, metav1.GetOptions{})
		},
		tell:    tell,
		served:  scope.Scope{Class: class},
		waiting: map[types.UID]*waiter{},
	}
}

// Run tells Services until the context ends, while this announcer is the one to do so.
func (u *Unanswered) Run(ctx context.Context, elected func() bool) {
	ticker := time.NewTicker(answerInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		guard.Run("unanswered", "", func() {
			if elected() {
				u.look(ctx, time.Now())
			} else {
				u.forget()
			}
		})
	}
}

// forget has everything begin anew.
func (u *Unanswered) forget() {
	clear(u.waiting)
	u.renewed = ""
}

// look tells the Services that have waited for too long.
func (u *Unanswered) look(ctx context.Context, now time.Time) {
	waiting := u.update(now)
	if len(waiting) == 0 {
		u.renewed = ""
		return
	}
	lease, err := u.lease(ctx)
	if err != nil && !apierrors.IsNotFound(err) {
		return // who cannot ask does not know
	}
	why, patience := u.why(lease, err == nil, now), answerPatience
	if why == "" && lease.Annotations[v1alpha1.AnnotationProblem] != "" {
		why = fmt.Sprintf("%s has the Lease %s/%s and cannot work: %s",
			*lease.Spec.HolderIdentity, metav1.NamespaceSystem, v1alpha1.ControllerLease, lease.Annotations[v1alpha1.AnnotationProblem])
	}
	if why == "" {
		why, patience = fmt.Sprintf("%s has the Lease %s/%s and has not answered for %s: its log may say why",
			*lease.Spec.HolderIdentity, metav1.NamespaceSystem, v1alpha1.ControllerLease, slowPatience), slowPatience
	}
	told := 0
	for _, service := range waiting {
		w := u.waiting[service.UID]
		early := now.Sub(w.since) < patience || !w.told.IsZero() && now.Sub(w.told) < answerReminder
		if early || told == answersAtOnce {
			continue
		}
		w.told = now
		told++
		u.tell(service, "the cloud-controller-manager of Clarion does not answer this Service: "+why)
	}
}

// update brings up to date who waits, and returns those who do, the first first.
func (u *Unanswered) update(now time.Time) (waiting []*corev1.Service) {
	services, there := u.services(), map[types.UID]bool{}
	others := slices.ContainsFunc(services, servedByOthers)
	for _, s := range services {
		if !u.waits(s, others) {
			continue
		}
		there[s.UID] = true
		if u.waiting[s.UID] == nil {
			u.waiting[s.UID] = &waiter{since: now}
		}
		waiting = append(waiting, s)
	}
	for uid := range u.waiting {
		if !there[uid] {
			delete(u.waiting, uid)
		}
	}
	slices.SortFunc(waiting, func(a, b *corev1.Service) int { return u.waiting[a.UID].since.Compare(u.waiting[b.UID].since) })
	return waiting
}

// waits says whether a Service waits for an answer of Clarion's. One without a class may be meant for
// somebody else, if others serve such.
func (u *Unanswered) waits(s *corev1.Service, others bool) bool {
	if s.DeletionTimestamp != nil || !u.served.Wants(s) || u.served.Served(s) {
		return false
	}
	return s.Spec.LoadBalancerClass != nil || scope.Marked(s) || !others && len(s.Status.LoadBalancer.Ingress) == 0
}

// servedByOthers says whether another load balancer has taken up a Service without a class.
func servedByOthers(s *corev1.Service) bool {
	return s.Spec.LoadBalancerClass == nil && !scope.Marked(s) && (len(s.Status.LoadBalancer.Ingress) > 0 || len(s.Finalizers) > 0)
}

// byAnswer is an index of Services by who has answered them: unansweredOf a class, or ofOthers. Most Services are in neither.
const byAnswer, ofOthers = "answer", "others"

func unansweredOf(class string) string { return "unanswered " + class }

// answerOf is the cache.IndexFunc of byAnswer.
func answerOf(object any) ([]string, error) {
	service, is := object.(*corev1.Service)
	switch {
	case !is:
		return nil, fmt.Errorf("%T is no Service", object)
	case servedByOthers(service):
		return []string{ofOthers}, nil
	case scope.Answered(service):
		return nil, nil
	}
	return []string{unansweredOf(scope.ClassOf(service))}, nil
}

// why is why nobody can answer, by the Lease; "" if somebody can or it is not known yet.
func (u *Unanswered) why(lease *coordinationv1.Lease, exists bool, now time.Time) string {
	name := metav1.NamespaceSystem + "/" + v1alpha1.ControllerLease
	switch {
	case !exists:
		return "none has ever run, since there is no Lease " + name
	case lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "":
		return "none runs, since nobody has the Lease " + name
	}
	if u.renewed != lease.ResourceVersion {
		u.renewed, u.renewedAt = lease.ResourceVersion, now
	}
	duration := leaseDuration
	if lease.Spec.LeaseDurationSeconds != nil {
		duration = time.Duration(*lease.Spec.LeaseDurationSeconds) * time.Second
	}
	if now.Sub(u.renewedAt) <= duration {
		return ""
	}
	last := "ever"
	if lease.Spec.RenewTime != nil {
		last = lease.Spec.RenewTime.UTC().Format(time.RFC3339)
	}
	return fmt.Sprintf("none runs, since %s has not renewed the Lease %s since %s", *lease.Spec.HolderIdentity, name, last)
}
