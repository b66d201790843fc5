package e2e

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAddressManagementOfADualStackCluster covers what pools hold, for whom, and in which families. The addresses are of
// documentation networks: nobody announces them.
func TestAddressManagementOfADualStackCluster(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 1, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}})
	t.Run("pools", d.run(testPools))
	t.Run("families", d.run(testFamilies))
	t.Run("reservations", d.run(testReservations))
}

// TestAddressManagementOfASingleStackCluster covers what Services ask for, with whom they share, and what becomes of them
// when pools change.
func TestAddressManagementOfASingleStackCluster(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 1})
	t.Run("requests", d.run(testRequests))
	t.Run("the other family", d.run(testTheOtherFamily))
	t.Run("sharing", d.run(testSharing))
	t.Run("pools that change", d.run(testPoolsThatChange))
}

// TestAddressManagementThroughRestartsAndTamperedStatus covers what stays true whoever writes and whoever leads, and what
// is said about it.
func TestAddressManagementThroughRestartsAndTamperedStatus(t *testing.T) {
	d := deploy(t, cluster.Config{Nodes: 2})
	d.scaleCCM(2)
	t.Run("feedback", d.run(testFeedback))
	t.Run("truth", d.run(testTruth))
	t.Run("classes", d.run(testClasses)) // turns a flag on, so it comes last
}

func (d *deployment) run(scenarios func(*deployment)) func(*testing.T) {
	return func(t *testing.T) { scenarios(d.in(t)) }
}

// scenario runs a subtest that begins and ends without pools, reservations and load balancers.
func (d *deployment) scenario(name string, run func(*deployment)) {
	d.t.Helper()
	d.t.Run(name, func(t *testing.T) {
		d := d.in(t)
		defer d.clear()
		run(d)
	})
}

// clear deletes all that scenarios create.
func (d *deployment) clear() {
	d.t.Helper()
	d.deleteLoadBalancers()
	// Addresses of a deleted pool do not rest. That is seen from a Service that then has no pool.
	d.loadBalancer("last", class(v1alpha1.LoadBalancerClass))
	clarion := d.Clarion.ClarionV1alpha1()
	if err := clarion.IPAddressPools().DeleteCollection(d.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		d.t.Fatal(err)
	}
	if err := clarion.IPAddressReservations().DeleteCollection(d.ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
		d.t.Fatal(err)
	}
	d.awaitRefusal("last", "NoMatchingPool", "there is no IPAddressPool")
	d.deleteLoadBalancers()
}

// deleteLoadBalancers deletes the Services of all namespaces and waits until they are gone.
func (d *deployment) deleteLoadBalancers() {
	d.t.Helper()
	d.eventually("load balancers to be gone", func(ctx context.Context) error {
		services, err := d.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		var left []string
		for _, service := range services.Items {
			if service.Name == "kubernetes" {
				continue
			}
			left = append(left, service.Name)
			if service.DeletionTimestamp == nil {
				err = d.Kubernetes().CoreV1().Services(service.Namespace).Delete(ctx, service.Name, metav1.DeleteOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					return err
				}
			}
		}
		if len(left) > 0 {
			return fmt.Errorf("still there: %v", left)
		}
		return nil
	})
}

// within returns the deployment for use with another namespace, which is created if need be.
func (d *deployment) within(namespace string) *deployment {
	d.t.Helper()
	object := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}
	_, err := d.Kubernetes().CoreV1().Namespaces().Create(d.ctx, object, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		d.t.Fatal(err)
	}
	sub := *d
	sub.namespace = namespace
	return &sub
}

// poolWith returns the manifest of a pool with more in its spec than its addresses.
func poolWith(name, spec string, entries ...string) string {
	return manifest("IPAddressPool", name, entries, spec)
}

// reservation returns the manifest of a reservation for a Service, or for nobody.
func reservation(name, service string, entries ...string) string {
	if service != "" {
		service = "service: {namespace: default, name: " + service + "}"
	}
	return manifest("IPAddressReservation", name, entries, service)
}

func manifest(kind, name string, entries []string, spec string) string {
	return fmt.Sprintf("apiVersion: clarionlb.io/v1alpha1\nkind: %s\nmetadata: {name: %s}\nspec:\n  addresses: [%s]\n  %s\n---\n",
		kind, name, `"`+strings.Join(entries, `", "`)+`"`, spec)
}

// provide applies pools and reservations and waits until they are known, in their latest version.
func (d *deployment) provide(manifests ...string) {
	d.t.Helper()
	d.applyYAML(strings.Join(manifests, ""))
	d.eventually("pools and reservations to be read", func(ctx context.Context) error {
		pools, err := d.Clarion.ClarionV1alpha1().IPAddressPools().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, pool := range pools.Items {
			if ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.ObservedGeneration != pool.Generation {
				return fmt.Errorf("pool %s: %v", pool.Name, ready)
			}
		}
		reservations, err := d.Clarion.ClarionV1alpha1().IPAddressReservations().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, reservation := range reservations.Items {
			if ready := meta.FindStatusCondition(reservation.Status.Conditions, v1alpha1.ConditionReady); ready == nil || ready.ObservedGeneration != reservation.Generation {
				return fmt.Errorf("reservation %s: %v", reservation.Name, ready)
			}
		}
		return nil
	})
}

// withdraw deletes pools.
func (d *deployment) withdraw(names ...string) {
	d.t.Helper()
	for _, name := range names {
		if err := d.Clarion.ClarionV1alpha1().IPAddressPools().Delete(d.ctx, name, metav1.DeleteOptions{}); err != nil {
			d.t.Fatal(err)
		}
	}
}

// awaitReady waits until a pool has a Ready condition with a reason and, in its message, some text.
func (d *deployment) awaitReady(name, reason, text string) {
	d.t.Helper()
	d.awaitPool(name, func(pool *v1alpha1.IPAddressPool) error {
		ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady)
		if ready == nil {
			return fmt.Errorf("it has no condition")
		}
		return describes(*ready, reason, text)
	})
}

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

// texts returns the addresses in the status of a Service.
func texts(service *corev1.Service) []string {
	var all []string
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		all = append(all, ingress.IP)
	}
	return all
}

// fill creates Services, one after the other, and returns their addresses in this order.
func (d *deployment) fill(change func(*corev1.Service), names ...string) []string {
	d.t.Helper()
	var got []string
	for _, name := range names {
		d.loadBalancer(name, change)
		got = append(got, d.awaitAddress(name).String())
	}
	return got
}

// aSecondLater waits until a Service that is created now is younger than all that there are: their age is told in seconds.
func (d *deployment) aSecondLater() {
	d.t.Helper()
	services, err := d.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(d.ctx, metav1.ListOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	d.eventually("the next second", func(context.Context) error {
		for _, service := range services.Items {
			if time.Now().Truncate(time.Second).Compare(service.CreationTimestamp.Time) <= 0 {
				return fmt.Errorf("it is %s still", service.CreationTimestamp)
			}
		}
		return nil
	})
}

// untouched notes how Services are and returns a check that nobody has written to them since.
func (d *deployment) untouched(names ...string) (check func()) {
	d.t.Helper()
	before := map[string]string{}
	for _, name := range names {
		before[name] = d.service(name).ResourceVersion
	}
	return func() {
		d.t.Helper()
		for name, version := range before {
			if service := d.service(name); service.ResourceVersion != version {
				d.t.Errorf("Service %s was written to; its status is %v", name, service.Status)
			}
		}
	}
}

// Changes to a Service.

func all(changes ...func(*corev1.Service)) func(*corev1.Service) {
	return func(s *corev1.Service) {
		for _, change := range changes {
			change(s)
		}
	}
}

func label(key, value string) func(*corev1.Service) {
	return func(s *corev1.Service) { metav1.SetMetaDataLabel(&s.ObjectMeta, key, value) }
}

func withoutAnnotations(s *corev1.Service) { s.Annotations = nil }

func wish(address string) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.LoadBalancerIP = address }
}

func port(number int32) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.Ports[0].Port = number }
}

func udp(s *corev1.Service) { s.Spec.Ports[0].Protocol = corev1.ProtocolUDP }

// local has only nodes with pods of an app serve.
func local(app string) func(*corev1.Service) {
	return func(s *corev1.Service) {
		s.Spec.ExternalTrafficPolicy = corev1.ServiceExternalTrafficPolicyLocal
		s.Spec.Selector = map[string]string{"app": app}
	}
}

func families(policy corev1.IPFamilyPolicy, list ...corev1.IPFamily) func(*corev1.Service) {
	return func(s *corev1.Service) { s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = ptr.To(policy), list }
}
