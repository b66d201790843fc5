package provider

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	servicehelpers "k8s.io/cloud-provider/service/helpers"
	"k8s.io/component-base/metrics"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/provider/internal/status"
)

// balancer implements cloudprovider.LoadBalancer: it asks the allocator and says on the Service
// what came of it.
type balancer struct {
	allocator  *loadbalancer.Allocator
	feed       *serviceFeed
	services   corelisters.ServiceLister
	conditions *conditionWriter
	probing    *probing
	vacating   *vacating
	// countsChanged tells that the pools hold other addresses.
	countsChanged func()
	events        record.EventRecorder
	reminders     *reminders
	latency       metrics.ObserverMetric
	restored      <-chan struct{}
}

var _ cloudprovider.LoadBalancer = (*balancer)(nil)

// GetLoadBalancer returns the addresses that a Service has. It does not look at the Service: its
// status may be out of date or gone, and a load balancer that is not found here is not deleted
// either.
func (b *balancer) GetLoadBalancer(ctx context.Context, _ string, service *corev1.Service) (*corev1.LoadBalancerStatus, bool, error) {
	if err := b.wait(ctx); err != nil {
		return nil, false, err
	}
	addresses, exists := b.allocator.Lookup(nameOf(service))
	return loadBalancerStatus(addresses), exists, nil
}

// GetLoadBalancerName returns namespace/name: the load balancer has no name but the Service's.
func (b *balancer) GetLoadBalancerName(_ context.Context, _ string, service *corev1.Service) string {
	return nameOf(service).String()
}

// EnsureLoadBalancer gives a Service its addresses. The error of a Service that cannot have them is
// a *loadbalancer.Error. Nothing needs to retry it: the Service is requeued when the answer may be
// another one. What keeps the Service from being answered begins with cannotAnswer.
func (b *balancer) EnsureLoadBalancer(ctx context.Context, _ string, service *corev1.Service, _ []*corev1.Node) (status *corev1.LoadBalancerStatus, err error) {
	err = guard.Try("services", nameOf(service).String(), func() error {
		status, err = b.ensure(ctx, service)
		return err
	})
	if err != nil && !isAnswer(err) {
		err = fmt.Errorf("%s%w", cannotAnswer, err)
	}
	return status, err
}

// Why a Service gets no answer now, and needs none.
var (
	errProbing  = errors.New("an announcer asks the network for the address that the Service asks for")
	errVacating = errors.New("another Service has the address in its status still")
	errDeleted  = errors.New("the Service is being deleted")
	errGone     = errors.New("the Service is gone")
)

// cannotAnswer begins the error of a Service that was to be told something and does not know it. The
// service controller hands on the text alone.
const cannotAnswer = "the answer to the Service is lost: "

// isAnswer says whether the Service knows all of an error that it is to know.
func isAnswer(err error) bool {
	for _, answer := range []error{errProbing, errVacating, errDeleted, errGone, status.ErrGivenAway, context.Canceled} {
		if errors.Is(err, answer) {
			return true
		}
	}
	refusal := (*loadbalancer.Error)(nil)
	return errors.As(err, &refusal)
}

func (b *balancer) ensure(ctx context.Context, service *corev1.Service) (*corev1.LoadBalancerStatus, error) {
	if err := b.wait(ctx); err != nil {
		return nil, err
	}
	if service.DeletionTimestamp != nil {
		return nil, errDeleted
	}
	request, _ := loadbalancer.NewRequest(service) // the allocator refuses what is wrong with it
	held, _ := b.allocator.Lookup(nameOf(service))
	if wait := b.probing.wait(request, held, time.Now()); wait > 0 {
		b.requeueAfter(wait, service)
		if err := b.conditions.takeUp(ctx, service); err != nil {
			return nil, err
		}
		return nil, errProbing
	}
	outcome, err := b.allocator.Ensure(time.Now(), request)
	b.feed.requeue(outcome.Requeue...)
	b.reportDoubleClaims(outcome.DoubleClaims)
	b.reportEvictions(outcome.Evictions)
	b.countsChanged()
	if wait := b.vacating.wait(service, outcome.Addresses, time.Now()); wait > 0 {
		b.requeueAfter(wait, service)
		if b.ended(service) {
			return nil, errGone
		}
		return nil, errVacating
	}
	answer, status := condition(outcome, err), loadBalancerStatus(outcome.Addresses)
	if err != nil && b.servedByAnother(service) {
		answer = leftToAnother(answer)
		status = &service.Status.LoadBalancer
	}
	said := b.conditions.say(service, answer)

	if b.ended(service) {
		return nil, errGone
	}

	if err != nil {
		if writeErr := b.conditions.refused(ctx, service, status, said); writeErr != nil {
			b.reminders.forget(service)
			return nil, fmt.Errorf("%w (the answer is: %s)", writeErr, err)
		}
		if said.news {
			b.events.Event(service, corev1.EventTypeWarning, said.condition.Reason, said.condition.Message)
		}
		if said.condition.Status == metav1.ConditionFalse { // else it has what another load balancer has given it
			b.reminders.keep(service, said.condition.Reason, said.condition.Message, said.condition.LastTransitionTime.Time, time.Now())
		}
		return nil, err
	}
	b.reminders.forget(service)
	if said.news {
		said.written = func() {
			b.events.Event(service, corev1.EventTypeNormal, eventAssigned, said.condition.Message)
			b.reportClashes(service, outcome.Clashes)
			if len(service.Status.LoadBalancer.Ingress) == 0 {
				b.latency.Observe(waited(service, time.Now()))
			}
		}
	}
	if err := b.conditions.assigned(ctx, service, status, said); err != nil {
		return nil, err
	}
	return status, nil
}

// requeueAfter has a Service served again. Of an api.RetryError the service controller would warn in the log, though nothing is wrong.
func (b *balancer) requeueAfter(wait time.Duration, service *corev1.Service) {
	time.AfterFunc(wait, func() { b.feed.requeue(nameOf(service)) })
}

// ended says whether a Service has ended, and releases what it was given if so: its end may have been seen, and its addresses released,
// while they had yet to be taken. The lister is always ahead of the handlers.
func (b *balancer) ended(service *corev1.Service) bool {
	current, err := b.services.Services(service.Namespace).Get(service.Name)
	if err == nil && current.UID == service.UID && b.feed.Wants(current) {
		return false
	}
	b.release(service)
	return true
}

// UpdateLoadBalancer has nothing to do: which nodes serve an address is the announcers' business.
func (b *balancer) UpdateLoadBalancer(context.Context, string, *corev1.Service, []*corev1.Node) error {
	return cloudprovider.ImplementedElsewhere
}

// EnsureLoadBalancerDeleted releases the addresses of a Service. It fails for a fault of the program
// alone: an error here keeps the Service from going away.
func (b *balancer) EnsureLoadBalancerDeleted(ctx context.Context, _ string, service *corev1.Service) error {
	if err := b.wait(ctx); err != nil {
		return err
	}
	return guard.Try("services", nameOf(service).String(), func() error {
		b.release(service)
		return nil
	})
}

func (b *balancer) release(service *corev1.Service) {
	b.feed.requeue(b.allocator.Release(time.Now(), nameOf(service), service.UID)...)
	b.conditions.forget(service)
	b.reminders.forget(service)
	b.probing.forget(service.UID)
	b.vacating.forget(service.UID)
	b.countsChanged()
}

// eventAssigned (Normal, Service): the Service got addresses, or other ones. A refusal is a Warning with the reason of the condition
// AddressAssigned, again every 30 minutes while it lasts.
const eventAssigned = "AddressAssigned"

// eventClaimedTwice (Warning, Service): two Services have one address in their status without sharing it; the message says who keeps
// it. Conflicts with hosts that are no nodes have another reason, AddressConflict.
const eventClaimedTwice = "AddressClaimedTwice"

// reportDoubleClaims tells both Services of each double claim.
func (b *balancer) reportDoubleClaims(claims []loadbalancer.DoubleClaim) {
	for _, claim := range claims {
		message := fmt.Sprintf("%s is claimed by Services %s and %s: %s keeps it", claim.Address, claim.Winner, claim.Loser, claim.Winner)
		for _, name := range []types.NamespacedName{claim.Winner, claim.Loser} {
			if service, err := b.services.Services(name.Namespace).Get(name.Name); err == nil {
				b.events.Event(service, corev1.EventTypeWarning, eventClaimedTwice, message)
			}
		}
	}
}

// eventSharingEnded (Warning, Service): the Service has lost an address to one that it shared it with, which had it first; the
// message says what they cannot share.
const eventSharingEnded = "SharingEnded"

// reportEvictions tells the Services that have lost an address, which get another one or wait.
func (b *balancer) reportEvictions(evictions []loadbalancer.Eviction) {
	for _, eviction := range evictions {
		if service, err := b.services.Services(eviction.Service.Namespace).Get(eviction.Service.Name); err == nil {
			b.events.Event(service, corev1.EventTypeWarning, eventSharingEnded, eviction.Sentence)
		}
	}
}

// eventAlsoInUse (Warning, Service): something else uses an address of the Service too, which keeps it: the cluster itself, a network
// of the nodes, or another Service, which is told as well.
const eventAlsoInUse = "AddressAlsoInUse"

// reportClashes tells of the addresses of a Service that something else uses too.
func (b *balancer) reportClashes(service *corev1.Service, clashes []loadbalancer.Clash) {
	for _, clash := range clashes {
		b.events.Event(service, corev1.EventTypeWarning, eventAlsoInUse, clash.Sentence)
		if other, err := b.services.Services(clash.Service.Namespace).Get(clash.Service.Name); err == nil {
			message := fmt.Sprintf("%s is an address of Service %s too, which keeps it", clash.Address, nameOf(service))
			b.events.Event(other, corev1.EventTypeWarning, eventAlsoInUse, message)
		}
	}
}

// wait blocks until the allocator knows what addresses Services have.
func (b *balancer) wait(ctx context.Context) error {
	select {
	case <-b.restored:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// condition returns the AddressAssigned condition for an answer of the allocator, whose error is a
// *loadbalancer.Error. Its transition time is since when the Service has what it has: joining an
// address that others have counts as a transition, so that a new process knows who had it first.
func condition(outcome loadbalancer.Outcome, err error) metav1.Condition {
	c := metav1.Condition{
		Type:    v1alpha1.ConditionAddressAssigned,
		Status:  metav1.ConditionTrue,
		Reason:  string(loadbalancer.Assigned),
		Message: outcome.Message,

		LastTransitionTime: metav1.NewTime(outcome.Since),
	}
	if refusal := (*loadbalancer.Error)(nil); errors.As(err, &refusal) {
		c.Status, c.Reason, c.Message = metav1.ConditionFalse, string(refusal.Reason), refusal.Sentence()
		c.LastTransitionTime = metav1.Time{} // when it is refused, if it was not before
	}
	return c
}

// servedByAnother says whether another load balancer has written what the status of a Service has: Clarion has never answered it,
// and no pool has the addresses. Whoever installs Clarion beside that one, and means to have Clarion serve none of its Services,
// loses nothing by it.
func (b *balancer) servedByAnother(service *corev1.Service) bool {
	return len(service.Status.LoadBalancer.Ingress) > 0 && !scope.Answered(service) &&
		!slices.ContainsFunc(service.Status.LoadBalancer.Ingress, func(ingress corev1.LoadBalancerIngress) bool {
			address, err := netip.ParseAddr(ingress.IP)
			return err == nil && b.allocator.PoolOf(address) != ""
		})
}

// leftToAnother is the answer to such a Service in place of a refusal.
func leftToAnother(refusal metav1.Condition) metav1.Condition {
	return metav1.Condition{
		Type: refusal.Type, Status: metav1.ConditionUnknown, Reason: string(loadbalancer.ServedByAnother),
		Message: "another load balancer has given the Service what its status has, which stays, since Clarion has nothing to give: " + refusal.Message +
			"; to have Clarion leave such Services alone, see its flag --require-load-balancer-class",
	}
}

// loadBalancerStatus returns the status for addresses, always the same for the same addresses.
// IPMode is set because the API server's default would otherwise make each status look changed.
func loadBalancerStatus(addresses []netip.Addr) *corev1.LoadBalancerStatus {
	status := &corev1.LoadBalancerStatus{}
	for _, address := range addresses {
		status.Ingress = append(status.Ingress, corev1.LoadBalancerIngress{IP: address.String(), IPMode: ptr.To(corev1.LoadBalancerIPModeVIP)})
	}
	return status
}

// needsRequeue reports whether an update of an owned Service asks for it to be served again, which
// the service controller would not do by itself: what it wants has changed, somebody has removed
// the finalizer, or its status says something else than the allocator. Of one that was just taken
// up, the answer is on its way.
func (b *balancer) needsRequeue(oldService, newService *corev1.Service) bool {
	if !b.feed.Wants(newService) {
		return false
	}
	lostFinalizer := servicehelpers.HasLBFinalizer(oldService) && !servicehelpers.HasLBFinalizer(newService)
	if lostFinalizer && newService.DeletionTimestamp == nil {
		return true
	}
	if !apiequality.Semantic.DeepEqual(oldService.Status, newService.Status) && !takenUp(oldService, newService) {
		held, _ := b.allocator.Lookup(nameOf(newService))
		if !servicehelpers.LoadBalancerStatusEqual(&newService.Status.LoadBalancer, loadBalancerStatus(held)) || b.conditions.contradicts(newService) {
			return true
		}
	}
	oldRequest, _ := loadbalancer.NewRequest(oldService)
	newRequest, _ := loadbalancer.NewRequest(newService)
	// What the status says was compared above.
	oldRequest.Current, newRequest.Current = nil, nil
	oldRequest.Answered, newRequest.Answered = false, false
	oldRequest.Since, newRequest.Since = time.Time{}, time.Time{}
	return !reflect.DeepEqual(oldRequest, newRequest)
}

func nameOf(service *corev1.Service) types.NamespacedName {
	return types.NamespacedName{Namespace: service.Namespace, Name: service.Name}
}
