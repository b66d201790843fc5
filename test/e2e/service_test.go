package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servicehelpers "k8s.io/cloud-provider/service/helpers"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// TestAServiceGetsAnAddressAndAnswersFromOutside applies the samples as a new user does, and then
// creates, changes and deletes Services.
func TestAServiceGetsAnAddressAndAnswersFromOutside(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 3})
	d.apply(samples+"pool.yaml", samples+"l2advertisement.yaml", samples+"deployment.yaml", samples+"service.yaml")
	d.kubectl("rollout", "status", "deployment/myapp", "--timeout=120s")

	t.Run("nodes are initialised", func(t *testing.T) {
		d := d.in(t)
		for _, node := range d.Nodes() {
			d.eventually("node "+node.Name+" to be initialised", func(ctx context.Context) error {
				object, err := d.Kubernetes().CoreV1().Nodes().Get(ctx, node.Name, metav1.GetOptions{})
				if err != nil {
					return err
				}
				if len(object.Spec.Taints) != 0 || object.Spec.ProviderID != "clarion://"+node.Name {
					return fmt.Errorf("taints %v, provider ID %q", object.Spec.Taints, object.Spec.ProviderID)
				}
				internal := corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: node.IPs()[0].String()}
				if !slices.Contains(object.Status.Addresses, internal) {
					return fmt.Errorf("addresses %v", object.Status.Addresses)
				}
				return nil
			})
		}
	})

	wished := netip.MustParseAddr("192.168.10.222")
	t.Run("the address that a Service asks for is assigned and answers", func(t *testing.T) {
		d := d.in(t)
		if got := d.awaitAddress("myapp"); got != wished {
			t.Fatalf("got %s, want %s", got, wished)
		}
		if message := d.awaitReason("myapp", "Assigned").Message; !strings.Contains(message, `"public"`) {
			t.Errorf("the condition does not name the pool: %s", message)
		}
		d.awaitSoleOwner(wished)
		d.awaitAnswer(d.Client, wished)
		if _, err := curl(d.ctx, d.FarClient, wished); err != nil {
			t.Errorf("no answer behind the router: %v", err)
		}
	})

	t.Run("a Service that asks for no address gets one of its own", func(t *testing.T) {
		d := d.in(t)
		d.apply(samples + "service-any-address.yaml")
		got := d.awaitAddress("myapp-2")
		if got == wished || !inPool(got) {
			t.Errorf("got %s, want another address of the pool", got)
		}
		d.awaitAnswer(d.Client, got)
		d.delete("myapp-2")
	})

	t.Run("an annotation asks for an address and for a pool", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("by-address", annotate("clarionlb.io/addresses", "192.168.10.230"))
		d.loadBalancer("by-metallb", annotate("metallb.io/loadBalancerIPs", "192.168.10.231"))
		d.loadBalancer("by-pool", annotate("clarionlb.io/address-pool", "public"))
		for name, want := range map[string]string{"by-address": "192.168.10.230", "by-metallb": "192.168.10.231"} {
			if got := d.awaitAddress(name); got.String() != want {
				t.Errorf("%s got %s, want %s", name, got, want)
			}
		}
		if got := d.awaitAddress("by-pool"); !inPool(got) {
			t.Errorf("by-pool got %s, which is not in the pool", got)
		}
		d.delete("by-address", "by-metallb", "by-pool")
	})

	t.Run("Services of the class of Clarion are served and those of another class are left alone", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("foreign", class("example.com/other"))
		d.loadBalancer("ours", class(v1alpha1.LoadBalancerClass))
		d.awaitAnswer(d.Client, d.awaitAddress("ours"))
		if foreign := d.service("foreign"); len(foreign.Finalizers)+len(foreign.Status.Conditions)+len(addresses(foreign)) != 0 {
			t.Errorf("the foreign Service was touched: %v %v", foreign.Finalizers, foreign.Status)
		}
		d.delete("ours", "foreign")
	})

	t.Run("the address of a deleted Service goes silent and can be assigned again", func(t *testing.T) {
		d := d.in(t)
		d.delete("myapp")
		d.eventually("the address to fall silent", func(ctx context.Context) error {
			if _, err := curl(ctx, d.Client, wished); err == nil {
				return errors.New("it still answers")
			}
			if _, err := d.Owner(ctx, wished); err == nil {
				return errors.New("it is still claimed")
			}
			return nil
		})
		d.loadBalancer("heir", annotate("clarionlb.io/addresses", wished.String()))
		if got := d.awaitAddress("heir"); got != wished {
			t.Errorf("got %s, want %s", got, wished)
		}
		d.awaitSoleOwner(wished)
		d.delete("heir")
	})

	t.Run("a Service that stops being a load balancer loses its address until it is one again", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("changing", annotate("clarionlb.io/addresses", "192.168.10.240"))
		address := d.awaitAddress("changing")
		d.awaitAnswer(d.Client, address)

		d.update("changing", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		d.eventually("the Service to be cleaned up", func(context.Context) error {
			s := d.service("changing")
			if servicehelpers.HasLBFinalizer(s) || len(addresses(s)) != 0 || meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAddressAssigned) != nil {
				return fmt.Errorf("finalizers %v, status %v", s.Finalizers, s.Status)
			}
			return nil
		})
		d.loadBalancer("heir", annotate("clarionlb.io/addresses", address.String()))
		if got := d.awaitAddress("heir"); got != address {
			t.Errorf("got %s, want the address that became free, %s", got, address)
		}

		d.update("changing", func(s *corev1.Service) {
			s.Spec.Type = corev1.ServiceTypeLoadBalancer
			delete(s.Annotations, "clarionlb.io/addresses")
		})
		if got := d.awaitAddress("changing"); got == address || !inPool(got) {
			t.Errorf("got %s, want another address of the pool", got)
		}
		d.awaitAnswer(d.Client, d.awaitAddress("changing"))
		d.delete("changing", "heir")
	})

	t.Run("a pool counts what is assigned", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("counted", nil)
		d.awaitAddress("counted")
		d.awaitCounts("public", v1alpha1.AddressCounts{Total: 51, Assigned: 1, Available: 50})
		d.delete("counted")
		d.awaitCounts("public", v1alpha1.AddressCounts{Total: 51, Assigned: 0, Available: 51})
	})

	t.Run("who applies on the server and the programs take nothing from each other", d.run(testServerSideApply))
	t.Run("what is applied stays as it is applied", d.run(testNoDrift))
	t.Run("documents have the user look at what there is", d.run(testLooking))
}

// TestAServiceThatCannotBeServedSaysWhyAndIsServedAsSoonAsItCan covers pools that are full,
// malformed or missing, and malformed requests.
func TestAServiceThatCannotBeServedSaysWhyAndIsServedAsSoonAsItCan(t *testing.T) {
	t.Parallel()
	d := deploy(t, cluster.Config{Nodes: 1})

	t.Run("no pool", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("early", nil)
		d.awaitReason("early", "NoMatchingPool")
		d.applyYAML(pool("tiny", "192.168.10.200-192.168.10.201"))
		d.awaitAddress("early")
	})

	t.Run("exhausted pool", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("second", nil)
		last := d.awaitAddress("second")
		d.loadBalancer("waiting", nil)
		condition := d.awaitReason("waiting", "PoolExhausted")
		if condition.Status != metav1.ConditionFalse || !strings.Contains(condition.Message, `"tiny"`) {
			t.Errorf("got condition %v, want False and the name of the pool", condition)
		}
		d.eventually("the description to say why", func(context.Context) error {
			if out := d.kubectl("describe", "service", "waiting"); !strings.Contains(out, condition.Message) {
				return fmt.Errorf("%q is not in:\n%s", condition.Message, out)
			}
			return nil
		})
		d.delete("second")
		if got := d.awaitAddress("waiting"); got != last {
			t.Errorf("got %s, want the address that became free, %s", got, last)
		}
		d.awaitReason("waiting", "Assigned")
	})

	t.Run("malformed pool", func(t *testing.T) {
		d := d.in(t)
		d.applyYAML(pool("good", "192.168.10.210"))
		d.awaitReady("ipaddresspool/good", v1alpha1.ReasonValid, "")
		d.applyYAML(pool("backwards", "2001:db8::9-2001:db8::1") + "---\n" + pool("overlapping", "192.168.10.0/24") + "---\n" + pool("garbage", "126.0.0.0-128.0.0.0"))
		for name, reason := range map[string]string{
			"backwards": v1alpha1.ReasonInvalidAddress, "garbage": v1alpha1.ReasonInvalidAddress,
			"overlapping": v1alpha1.ReasonOverlaps, "good": v1alpha1.ReasonValid, "tiny": v1alpha1.ReasonValid,
		} {
			d.awaitPool(name, func(pool *v1alpha1.IPAddressPool) error {
				ready := meta.FindStatusCondition(pool.Status.Conditions, v1alpha1.ConditionReady)
				if ready == nil || ready.Reason != reason || ready.ObservedGeneration != pool.Generation {
					return fmt.Errorf("condition %v, want reason %s", ready, reason)
				}
				return nil
			})
		}
		d.loadBalancer("unaffected", nil)
		if got := d.awaitAddress("unaffected"); got.String() != "192.168.10.210" {
			t.Errorf("got %s, want the address of the good pool", got)
		}
		d.loadBalancer("misled", annotate("clarionlb.io/address-pool", "backwards"))
		if message := d.awaitReason("misled", "NoMatchingPool").Message; !strings.Contains(message, `"backwards"`) {
			t.Errorf("the condition does not name the pool: %s", message)
		}
		d.applyYAML(pool("backwards", "192.168.11.0/28"))
		d.awaitAddress("misled")
	})

	t.Run("malformed request", func(t *testing.T) {
		d := d.in(t)
		d.loadBalancer("confused", annotate("clarionlb.io/addresses", "here, please"))
		if message := d.awaitReason("confused", "InvalidRequest").Message; !strings.Contains(message, "here") {
			t.Errorf("the condition does not say what is wrong: %s", message)
		}
		d.update("confused", withoutAnnotations)
		d.awaitAddress("confused")
	})
}
