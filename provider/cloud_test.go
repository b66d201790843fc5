package provider

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/component-base/metrics"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/gossipkey"
)

// ensureLater calls EnsureLoadBalancer, and returns a channel that has the addresses when it answers.
func (c *cluster) ensureLater(name string) <-chan string {
	answer := make(chan string, 1)
	go func() {
		addresses, err := c.cloud.balancer.EnsureLoadBalancer(c.ctx, "", web(name), nil)
		if err != nil {
			answer <- err.Error()
			return
		}
		answer <- ingress(addresses)
	}()
	synctest.Wait()
	return answer
}

// listThen is a client that has something happen between the making of a list of Services and its
// arrival.
type listThen struct {
	kubernetes.Interface
	then func()
}

func (l listThen) CoreV1() typedcorev1.CoreV1Interface {
	return listThenCore{l.Interface.CoreV1(), l.then}
}

type listThenCore struct {
	typedcorev1.CoreV1Interface
	then func()
}

func (l listThenCore) Services(namespace string) typedcorev1.ServiceInterface {
	return listThenServices{l.CoreV1Interface.Services(namespace), l.then}
}

type listThenServices struct {
	typedcorev1.ServiceInterface
	then func()
}

func (l listThenServices) List(ctx context.Context, options metav1.ListOptions) (*corev1.ServiceList, error) {
	list, err := l.ServiceInterface.List(ctx, options)
	l.then()
	return list, err
}

// answered returns what a channel has; "not yet" if that is nothing.
func answered(answer <-chan string) string {
	select {
	case a := <-answer:
		return a
	default:
		return "not yet"
	}
}

// writes counts what changes the API.
func (c *cluster) writes() (n int) {
	for _, actions := range [][]clienttesting.Action{c.kube.Actions(), c.clarion.Actions()} {
		for _, action := range actions {
			switch action.GetVerb() {
			case "create", "update", "patch", "delete":
				n++
			}
		}
	}
	return n
}

func TestAProcessThatStandsByWritesNothingAndAnswersNothing(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.start()
		answer := c.ensureLater("a")
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := answered(answer); got != "not yet" || c.writes() != 0 {
			t.Errorf("before it is elected it answers %q and writes %d times", got, c.writes())
		}
		c.elect()
		if got := answered(answer); got != "192.0.2.0" {
			t.Errorf("once it is elected it answers %q", got)
		}
	})
}

func TestServicesKeepWhatTheyHaveWhenAnotherProcessTakesOver(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("new"), web("old", "192.0.2.0")}, func(c *cluster) {
		c.start()
		first, second := c.ensureLater("new"), c.ensureLater("old")
		c.elect()
		if a, b := answered(first), answered(second); a != "192.0.2.1" || b != "192.0.2.0" {
			t.Errorf("the new Service gets %s and the old one %s", a, b)
		}
	})
}

func TestNothingIsAnsweredUntilTheAPISaysWhatServicesHave(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("new"), web("old", "192.0.2.0")}, func(c *cluster) {
		c.start()
		lists := fakeapi.Fail(&c.kube.Fake, "list", "services", errors.New("no quorum"))
		answer := c.ensureLater("new")
		c.elect()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := answered(answer); got != "not yet" || !c.logged.contain("no quorum") {
			t.Errorf("it answers %q, and logs %q", got, c.logged.text)
		}
		lists.Set(nil)
		time.Sleep(restoreRetry)
		synctest.Wait()
		if got := answered(answer); got != "192.0.2.1" {
			t.Errorf("it answers %q", got)
		}
	})
}

func TestAServiceThatIsDeletedDuringTheRestoreKeepsNothing(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), web("new"), web("old", "192.0.2.0")}, func(c *cluster) {
		c.start()
		c.cloud.kube = listThen{c.kube, func() {
			if err := c.kube.CoreV1().Services("default").Delete(c.ctx, "old", metav1.DeleteOptions{}); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Second) // the informer sees it
		}}
		answer := c.ensureLater("new")
		c.elect()
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := answered(answer); got != "192.0.2.0" {
			t.Errorf("the new Service gets %q", got)
		}
	})
}

func TestTwoServicesWithOneAddressAreToldWhoKeepsIt(t *testing.T) {
	older := web("older", "192.0.2.0")
	older.CreationTimestamp = metav1.NewTime(time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC))
	younger := web("younger", "192.0.2.0")
	younger.CreationTimestamp = metav1.NewTime(older.CreationTimestamp.Add(time.Hour))
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), older, younger}, func(c *cluster) {
		c.start()
		c.elect()
		const want = "Warning AddressClaimedTwice 192.0.2.0 is claimed by Services default/older and default/younger: default/older keeps it"
		if got := c.told(); len(got) != 2 || got[0] != want || got[1] != want {
			t.Errorf("got %q", got)
		}
	})
}

func TestAnAddressInConflictIsNotRestored(t *testing.T) {
	hears := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: "n1"}, Status: v1alpha1.AnnouncerStatus{
		Layer2:     v1alpha1.Layer2Status{Conflicts: []v1alpha1.Layer2Conflict{{IP: "192.0.2.0", Interface: "eth0", MAC: "02:00:00:00:00:99"}}},
		Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue}},
	}}
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1"}}
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), node, hears, web("a", "192.0.2.0")}, func(c *cluster) {
		c.start()
		answer := c.ensureLater("a")
		c.elect()
		if got := answered(answer); got != "192.0.2.1" {
			t.Errorf("the Service gets %q", got)
		}
	})
}

func TestTheProcessEndsWhileItWaits(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.start()
		answer := c.ensureLater("a")
		c.stop()
		synctest.Wait()
		if got := answered(answer); got != "context canceled" {
			t.Errorf("it answers %q", got)
		}
	})
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(c *cluster) {
		c.start()
		fakeapi.Fail(&c.kube.Fake, "list", "services", errors.New("no quorum"))
		c.elect()
		c.stop()
		synctest.Wait()
		select {
		case <-c.cloud.restored:
			t.Error("it says that it knows what Services have")
		default:
		}
	})
}

func TestTwoCloudsLiveInOneProcess(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30"), web("a")}, func(one *cluster) {
		other := newCluster(one.T, []runtime.Object{poolOf("198.51.100.0/30"), web("a")})
		one.start()
		other.start()
		one.elect()
		other.elect()
		a, _ := one.ensure("a")
		b, _ := other.ensure("a")
		if a != "192.0.2.0" || b != "198.51.100.0" {
			t.Errorf("one gives %s, the other %s", a, b)
		}
		other.stop()
	})
}

func TestAddressesOfServicesThatGoAreFree(t *testing.T) {
	gone := func(t *testing.T, what string, change func(c *cluster)) {
		t.Run(what, func(t *testing.T) {
			withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), web("a", "192.0.2.0"), web("next")}, func(c *cluster) {
				c.start()
				c.elect()
				if _, err := c.ensure("next"); err == nil {
					t.Fatal("there was an address to begin with")
				}
				change(c)
				if got, err := c.ensure("next"); got != "192.0.2.0" {
					t.Errorf("the next Service gets %q, %v", got, err)
				}
			})
		})
	}
	gone(t, "deleted", func(c *cluster) { c.delete("a") })
	gone(t, "deleted, with its finalizer", func(c *cluster) {
		if err := c.cloud.balancer.EnsureLoadBalancerDeleted(c.ctx, "", web("a")); err != nil {
			c.Error(err)
		}
		c.change("a", func(s *corev1.Service) { s.Status.LoadBalancer = corev1.LoadBalancerStatus{} })
	})
	gone(t, "of another class", func(c *cluster) {
		c.change("a", func(s *corev1.Service) { // the type has changed in between, with which the API server drops the status
			s.Spec.LoadBalancerClass, s.Status.LoadBalancer = new("example.com/other"), corev1.LoadBalancerStatus{}
		})
	})
	gone(t, "of another type", func(c *cluster) {
		c.change("a", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	})
	gone(t, "deleted and made again unseen", func(c *cluster) {
		before, after := web("a", "192.0.2.0"), web("a")
		after.UID, after.Spec.Type = "another", corev1.ServiceTypeClusterIP
		c.change("a", func(s *corev1.Service) { s.Status.LoadBalancer = corev1.LoadBalancerStatus{} })
		c.cloud.serviceUpdated(before, after)
	})
}

func TestThereIsAGossipKey(t *testing.T) {
	get := func(c *cluster) *corev1.Secret {
		c.Helper()
		secret, err := c.kube.CoreV1().Secrets(gossipkey.Namespace).Get(c.ctx, gossipkey.Secret, metav1.GetOptions{})
		if err != nil {
			c.Fatal(err)
		}
		return secret
	}
	given := func(key string) *corev1.Secret {
		return &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: gossipkey.Namespace, Name: gossipkey.Secret},
			Data:       map[string][]byte{gossipkey.Field: []byte(key)},
		}
	}
	const good, bad = "0123456789abcdef0123456789abcdef", "too short"
	t.Run("made, and made again when it is deleted", func(t *testing.T) {
		withCluster(t, nil, func(c *cluster) {
			c.start()
			c.elect()
			first := get(c).Data[gossipkey.Field]
			if err := gossipkey.Check(first); err != nil {
				t.Fatal(err)
			}
			if err := c.kube.CoreV1().Secrets(gossipkey.Namespace).Delete(c.ctx, gossipkey.Secret, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
			settle()
			if string(get(c).Data[gossipkey.Field]) == string(first) {
				t.Error("the key is the same one again")
			}
		})
	})
	t.Run("never changed", func(t *testing.T) {
		withCluster(t, []runtime.Object{given(good)}, func(c *cluster) {
			c.start()
			c.elect()
			if got := string(get(c).Data[gossipkey.Field]); got != good {
				t.Errorf("the key is %q", got)
			}
		})
	})
	t.Run("of a wrong size", func(t *testing.T) {
		withCluster(t, []runtime.Object{given(bad)}, func(c *cluster) {
			c.start()
			c.elect()
			if got := string(get(c).Data[gossipkey.Field]); got != bad || !c.logged.contain(gossipkey.Check([]byte(bad)).Error()) {
				t.Errorf("the key is %q, and it logs %q", got, c.logged.text)
			}
		})
	})
	t.Run("refused at first", func(t *testing.T) {
		withCluster(t, nil, func(c *cluster) {
			creations := fakeapi.Fail(&c.kube.Fake, "create", "secrets", errors.New("no such namespace"))
			c.start()
			c.elect()
			if !c.logged.contain("no such namespace") {
				t.Errorf("it logs %q", c.logged.text)
			}
			creations.Set(nil)
			time.Sleep(2 * time.Minute)
			synctest.Wait()
			if err := gossipkey.Check(get(c).Data[gossipkey.Field]); err != nil {
				t.Error(err)
			}
		})
	})
	t.Run("made by another process meanwhile", func(t *testing.T) {
		withCluster(t, nil, func(c *cluster) {
			c.kube.PrependReactor("create", "secrets", func(action clienttesting.Action) (bool, runtime.Object, error) {
				if err := c.kube.Tracker().Add(given(good)); err != nil {
					t.Error(err)
				}
				return false, nil, nil // the API finds that it is there
			})
			c.start()
			c.elect()
			if got := string(get(c).Data[gossipkey.Field]); got != good || c.logged.contain("gossip") {
				t.Errorf("the key is %q, and it logs %q", got, c.logged.text)
			}
		})
	})
}

func TestAProcessIsReadyOnceItCanDoItsWork(t *testing.T) {
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/30")}, func(c *cluster) {
		pools := fakeapi.Fail(&c.clarion.Fake, "list", "ipaddresspools",
			apierrors.NewNotFound(v1alpha1.SchemeGroupVersion.WithResource("ipaddresspools").GroupResource(), ""))
		c.start()
		if err := c.cloud.Problem(); err == nil || !strings.Contains(err.Error(), "IPAddressPools cannot be read") {
			t.Errorf("without the CRD: %v", err)
		}
		pools.Set(nil)
		time.Sleep(time.Minute)
		settle()
		if err := c.cloud.Problem(); err != nil {
			t.Errorf("while it stands by: %v", err)
		}
		services := fakeapi.Fail(&c.kube.Fake, "list", "services", apierrors.NewForbidden(corev1.Resource("services"), "", nil))
		c.elect()
		if err := c.cloud.Problem(); err == nil || !strings.Contains(err.Error(), "which addresses Services have") {
			t.Errorf("while it cannot ask for Services: %v", err)
		}
		services.Set(nil)
		time.Sleep(time.Minute)
		settle()
		if err := c.cloud.Problem(); err != nil {
			t.Errorf("when it leads: %v", err)
		}
	})
}

func TestTheProvidersOwnClientsGoThroughTheTransportThatItIsGiven(t *testing.T) {
	wrapped := false
	kube := fakeapi.Kube()
	cloud := New(Config{
		Informers: informers.NewSharedInformerFactory(kube, 0),
		WrapTransport: func(next http.RoundTripper) http.RoundTripper {
			wrapped = true
			return next
		},
		Metrics: metrics.NewKubeRegistry(),
	})
	cloud.Initialize(clients{kube}, t.Context().Done())
	if !wrapped {
		t.Error("they do not")
	}
}
