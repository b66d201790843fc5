package chaos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

var bothFamilies = []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}

// awaitSettled waits until everything works. Otherwise it returns what does not.
func (r *run) awaitSettled(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, recovery)
	defer cancel()
	var last error
	for {
		err := r.settled(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil { // or it may say no more than that the time is over
			last = err
		}
		if wait(ctx, 500*time.Millisecond); ctx.Err() != nil {
			return last
		}
	}
}

// settled says what does not work.
func (r *run) settled(ctx context.Context) error {
	for _, check := range []func(context.Context) error{r.membersSettled, r.objectsSettled, r.podsSettled, r.servicesSettled, r.wireSettled, r.routesSettled, r.eventsSettled} {
		if err := check(ctx); err != nil {
			return err
		}
	}
	return nil
}

// membersSettled says which announcers do not see all others.
func (r *run) membersSettled(ctx context.Context) error {
	for _, node := range r.Nodes() {
		if alive, err := install.MembersAlive(ctx, node); err != nil || alive != nodes {
			return fmt.Errorf("the announcer of %s sees %d announcers (%v)", node.Name, alive, err)
		}
	}
	return nil
}

// objectsSettled says which objects of the configuration are not in force as they are.
func (r *run) objectsSettled(ctx context.Context) error {
	clarion := r.Clarion.ClarionV1alpha1()
	pools, err := clarion.IPAddressPools().List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, p := range pools.Items {
		if err := inForce(p.ObjectMeta, p.Status.Conditions); err != nil {
			return err
		}
	}
	advertisement, err := clarion.L2Advertisements().Get(ctx, "public", metav1.GetOptions{})
	if err != nil {
		return err
	}
	peer, err := clarion.BGPPeers().Get(ctx, "tor", metav1.GetOptions{})
	if err != nil {
		return err
	}
	return errors.Join(inForce(advertisement.ObjectMeta, advertisement.Status.Conditions), inForce(peer.ObjectMeta, peer.Status.Conditions))
}

func inForce(object metav1.ObjectMeta, conditions []metav1.Condition) error {
	ready := meta.FindStatusCondition(conditions, v1alpha1.ConditionReady)
	if ready == nil || ready.Status != metav1.ConditionTrue || ready.ObservedGeneration != object.Generation {
		return fmt.Errorf("%s, of generation %d, says %+v", object.Name, object.Generation, ready)
	}
	return nil
}

// podsSettled says which pods are not ready. Those of a node that was taken for dead are, once its kubelet has said so.
func (r *run) podsSettled(ctx context.Context) error {
	list, err := r.Kubernetes().CoreV1().Pods(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, pod := range list.Items {
		// It was stopped, since it was to be deleted, before etcd was restored. Its controller has to put another one in its place.
		if pod.Status.Phase == corev1.PodSucceeded {
			continue
		}
		ready := slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
			return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
		})
		if !ready {
			return fmt.Errorf("pod %s on %s is not ready: %+v", pod.Name, pod.Spec.NodeName, pod.Status.Conditions)
		}
	}
	return r.replicasSettled(ctx)
}

// replicasSettled says which Deployment or DaemonSet has fewer ready pods than it is to have.
func (r *run) replicasSettled(ctx context.Context) error {
	apps := r.Kubernetes().AppsV1()
	deployments, err := apps.Deployments(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range deployments.Items {
		if wanted := ptr.Deref(d.Spec.Replicas, 1); d.Status.ReadyReplicas != wanted {
			return fmt.Errorf("of Deployment %s, %d of %d pods are ready", d.Name, d.Status.ReadyReplicas, wanted)
		}
	}
	daemons, err := apps.DaemonSets(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, d := range daemons.Items {
		if d.Status.NumberReady != d.Status.DesiredNumberScheduled {
			return fmt.Errorf("of DaemonSet %s, %d of %d pods are ready", d.Name, d.Status.NumberReady, d.Status.DesiredNumberScheduled)
		}
	}
	return nil
}

// servicesSettled says which Services are not served, or say what is not so.
func (r *run) servicesSettled(ctx context.Context) error {
	list, err := r.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	served := map[netip.Addr]bool{}
	for _, service := range list.Items {
		if err := consistent(&service); err != nil {
			return fmt.Errorf("of Service %s: %w", service.Name, err)
		}
		for _, a := range addressesOf(&service) {
			served[a] = true
			if err := answers(ctx, r.clientOf(a), netip.AddrPortFrom(a, uint16(service.Spec.Ports[0].Port))); err != nil {
				return fmt.Errorf("of Service %s: %w", service.Name, err)
			}
		}
	}
	public, err := r.Clarion.ClarionV1alpha1().IPAddressPools().Get(ctx, "public", metav1.GetOptions{})
	if err != nil {
		return err
	}
	delete(served, netip.MustParseAddr(routedAddress))
	assigned := int64(0)
	for _, counts := range []*v1alpha1.AddressCounts{public.Status.IPv4, public.Status.IPv6} {
		if counts != nil {
			assigned += counts.Assigned
		}
	}
	if assigned != int64(len(served)) {
		return fmt.Errorf("the pool says that %d addresses are assigned, Services have %d", assigned, len(served))
	}
	return nil
}

// consistent says what contradicts itself in a Service, once nothing happens any more.
func consistent(service *corev1.Service) error {
	if service.DeletionTimestamp != nil {
		return errors.New("it is being deleted")
	}
	assigned := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAddressAssigned)
	announced := meta.FindStatusCondition(service.Status.Conditions, v1alpha1.ConditionAnnounced)
	is := func(c *metav1.Condition, status metav1.ConditionStatus) bool { return c != nil && c.Status == status }
	addresses := addressesOf(service)
	wants := service.Spec.Type == corev1.ServiceTypeLoadBalancer && service.Spec.LoadBalancerClass == nil
	refusable := strings.HasPrefix(service.Name, "guest-")
	switch {
	case !wants && (len(addresses) > 0 || assigned != nil || announced != nil || len(service.Finalizers) > 0):
		return fmt.Errorf("it is none of Clarion's and has %s, %v and %v", text(addresses), service.Finalizers, service.Status.Conditions)
	case !wants:
	case len(addresses) == 0 && (!refusable || !is(assigned, metav1.ConditionFalse)):
		return fmt.Errorf("it has no address and says %+v", assigned)
	case len(addresses) > 0 && !is(assigned, metav1.ConditionTrue):
		return fmt.Errorf("it has %s and says %+v", text(addresses), assigned)
	case len(addresses) > 0 && !is(announced, metav1.ConditionTrue):
		return fmt.Errorf("%s is not announced: %+v", text(addresses), announced)
	}
	return nil
}

func (r *run) clientOf(address netip.Addr) *network.Host {
	if address == netip.MustParseAddr(routedAddress) {
		return r.FarClient
	}
	return r.Client
}

// answers says why a host gets no answer over HTTP.
func answers(ctx context.Context, from *network.Host, target netip.AddrPort) error {
	_, err := from.Run(ctx, "curl", "--silent", "--show-error", "--fail", "--max-time", "2", "http://"+target.String())
	return err
}

// wireSettled says for which addresses of Services not one node alone answers, the one that claims it, and for which others anybody does.
func (r *run) wireSettled(ctx context.Context) error {
	watch, err := r.watcher.Watch(ctx, "eth0", network.WatchOptions{Interval: question}, poolAddresses()...)
	if err != nil {
		return err
	}
	before := r.services.addresses()
	wait(ctx, time.Second)
	if err := watch.Stop(); err != nil {
		return err
	}
	after := r.services.addresses()
	for _, address := range poolAddresses() {
		tenures := watch.Answers(address).Tenures()
		if !before[address] && !after[address] {
			if len(tenures) > 0 {
				return fmt.Errorf("no Service has %s, and there are answers for it: %s", address, r.named(watch.Answers(address).String()))
			}
			continue
		}
		owner, err := r.Owner(ctx, address)
		if err != nil {
			return err
		}
		if len(tenures) != 1 || !bytes.Equal(tenures[0].MAC, owner.MAC("eth0")) {
			return fmt.Errorf("%s owns %s, and the answers are %s", owner.Name, address, r.named(watch.Answers(address).String()))
		}
	}
	return nil
}

// routesSettled says whether the router lacks a route.
func (r *run) routesSettled(ctx context.Context) error {
	address := netip.MustParseAddr(routedAddress)
	hops, err := r.bgp.Hops(ctx, netip.PrefixFrom(address, address.BitLen()))
	if err == nil && len(hops) != nodes {
		err = fmt.Errorf("the router sends to %s by way of %v", address, hops)
	}
	return err
}

// troubles are the reasons of events that an address is not announced.
var troubles = []string{
	v1alpha1.ReasonNotAdvertised, v1alpha1.ReasonNoEndpoint, v1alpha1.ReasonNoNode, v1alpha1.ReasonNoSession, v1alpha1.ReasonNotSent,
	"BGPWithdrawn", "NotServing", "InternalError",
}

// eventsSettled says of which Service, all of whose addresses are announced, the last event says otherwise.
func (r *run) eventsSettled(ctx context.Context) error {
	list, err := r.Kubernetes().CoreV1().Events(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{FieldSelector: "involvedObject.kind=Service"})
	if err != nil {
		return err
	}
	last := map[string]corev1.Event{}
	for _, event := range list.Items {
		if event.Reason != "AddressAnnounced" && !slices.Contains(troubles, event.Reason) {
			continue
		}
		// Times are in whole seconds. Of two in the same second, the good one counts.
		before, there := last[string(event.InvolvedObject.UID)]
		if newer := event.LastTimestamp.Compare(before.LastTimestamp.Time); !there || newer > 0 || newer == 0 && event.Type == corev1.EventTypeNormal {
			last[string(event.InvolvedObject.UID)] = event
		}
	}
	services, err := r.Kubernetes().CoreV1().Services(metav1.NamespaceDefault).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	for _, service := range services.Items {
		event, there := last[string(service.UID)]
		if there && len(addressesOf(&service)) > 0 && event.Type != corev1.EventTypeNormal {
			return fmt.Errorf("all addresses of Service %s are announced, and its last event, of %s, says %s: %s", service.Name, event.LastTimestamp.Format(time.TimeOnly), event.Reason, event.Message)
		}
	}
	return nil
}
