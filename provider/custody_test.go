package provider

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// unmark removes from a status what anybody may remove by hand.
func unmark(s *corev1.Service) {
	meta.RemoveStatusCondition(&s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
}

func TestAServiceThatIsOursByItsMarkAloneStaysOursWhenSomebodyRemovesIt(t *testing.T) {
	for name, change := range map[string]func(*corev1.Service){
		"the mark":              unmark,
		"all conditions":        func(s *corev1.Service) { s.Status.Conditions = nil },
		"the mark, with a spec": func(s *corev1.Service) { unmark(s); s.Spec.Ports[0].Port = 8080 },
		"the whole status":      func(s *corev1.Service) { s.Status = corev1.ServiceStatus{} },
	} {
		t.Run(name, func(t *testing.T) {
			withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), takenUpByHand("a")}, func(c *cluster) {
				c.scope.RequireClass = true
				c.begin()
				time.Sleep(time.Minute)
				c.told()
				for range 2 {
					c.change("a", change)
					time.Sleep(time.Minute)
					s := c.service("a")
					if assigned(s) != "True Assigned" || ingress(&s.Status.LoadBalancer) != "192.0.2.0" || len(s.Finalizers) != 1 {
						t.Fatalf("it says %q, has %v and finalizers %v", assigned(s), s.Status.LoadBalancer, s.Finalizers)
					}
				}
				for _, event := range c.told() {
					if strings.HasPrefix(event, corev1.EventTypeWarning) && !strings.HasPrefix(event, "Warning NotAdvertised") { // there is no advertisement
						t.Errorf("it is told %q", event)
					}
				}
			})
		})
	}
}

func TestAServiceThatLosesItsMarkInTheMiddleOfAWriteIsAnswered(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), takenUpByHand("a")}, func(c *cluster) {
		c.scope.RequireClass = true
		c.begin()
		time.Sleep(time.Minute)
		c.interrupt("a", unmark)
		c.change("a", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "192.0.2.3" })
		time.Sleep(time.Minute)
		if s := c.service("a"); assigned(s) != "True Assigned" || ingress(&s.Status.LoadBalancer) != "192.0.2.3" {
			t.Errorf("it says %q and has %v", assigned(s), s.Status.LoadBalancer)
		}
	})
}

func TestNoServiceIsOursThatWasGivenAwayOrMadeAnew(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), takenUpByHand("a"), takenUpByHand("b")}, func(c *cluster) {
		c.scope.RequireClass = true
		c.begin()
		time.Sleep(time.Minute)
		// Another load balancer takes the first one up, with the finalizer that all have; the second one is deleted and made anew.
		c.change("a", giveAway)
		time.Sleep(time.Minute)
		finalizers := c.service("b").Finalizers
		c.change("a", func(s *corev1.Service) { s.Finalizers = finalizers })
		if err := c.kube.CoreV1().Services("default").Delete(c.ctx, "b", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		settle()
		again := web("b")
		again.UID, again.Finalizers = "another", finalizers
		if _, err := c.kube.CoreV1().Services("default").Create(c.ctx, again, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		for _, name := range []string{"a", "b"} {
			s := c.service(name)
			held, _ := c.cloud.allocator.Lookup(nameOf(s))
			if assigned(s) != "" || len(s.Finalizers) != 1 || len(held) > 0 {
				t.Errorf("%s says %q, has finalizers %v, and holds %v", name, assigned(s), s.Finalizers, held)
			}
		}
		if n := len(c.cloud.custody.held); n != 0 {
			t.Errorf("%d are remembered", n)
		}
	})
}
