package migrate

import (
	"slices"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/migrate"
	"github.com/clarionlb/clarion/internal/scope"
)

var (
	pools    = v1alpha1.SchemeGroupVersion.WithResource("ipaddresspools")
	poolList = map[schema.GroupVersionResource]string{pools: "IPAddressPoolList"}
)

// pool is one with an address, and one that is being deleted while it has a finalizer.
func pool(uid types.UID, address, finalizer string) *unstructured.Unstructured {
	p := &unstructured.Unstructured{}
	p.SetGroupVersionKind(v1alpha1.SchemeGroupVersion.WithKind("IPAddressPool"))
	p.SetName("lan")
	p.SetUID(uid)
	_ = unstructured.SetNestedStringSlice(p.Object, []string{address}, "spec", "addresses")
	if finalizer != "" {
		p.SetFinalizers([]string{finalizer})
	}
	return p
}

// goes has a pool that is deleted, or is to be, stay until it was looked at a few times.
func goes(client *dynamicfake.FakeDynamicClient, looks int) {
	client.PrependReactor("get", "ipaddresspools", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if looks--; looks == 0 {
			_ = client.Tracker().Delete(pools, "", "lan")
		}
		return false, nil, nil
	})
}

func TestAnObjectIsMadeOnceTheFormerOneOfItsNameIsGone(t *testing.T) {
	for name, test := range map[string]struct {
		deleted bool
		looks   int
		want    types.UID
		wrong   string
	}{
		"it goes soon":       {true, 2, "new", ""},
		"it does not go":     {true, 1000, "former", "which is being deleted"},
		"it is there for us": {false, 1000, "former", ""},
	} {
		t.Run(name, func(t *testing.T) {
			former := pool("former", "192.0.2.1", "clarionlb.io/pool-in-use")
			if test.deleted {
				unstructured.SetNestedField(former.Object, "2026-01-01T00:00:00Z", "metadata", "deletionTimestamp")
			}
			_, a, _ := cluster(t, "")
			client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), poolList, former)
			a.dynamic, a.timeout = client, 5*poll
			goes(client, test.looks)
			err := a.create(t.Context(), &migrate.Plan{Objects: []unstructured.Unstructured{*pool("new", "192.0.2.1", "")}})
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("it says %v", err)
			}
			object, err := client.Tracker().Get(pools, "", "lan")
			if err != nil || object.(*unstructured.Unstructured).GetUID() != test.want {
				t.Errorf("there is %v, %v", object, err)
			}
		})
	}
}

func TestARollbackEndsWhenWhatItDeletesIsGone(t *testing.T) {
	for name, test := range map[string]struct {
		looks int
		wrong string
	}{
		"it goes soon":           {2, ""},
		"Services have it still": {1000, "clarionlb.io/pool-in-use"},
	} {
		t.Run(name, func(t *testing.T) {
			_, a, _ := cluster(t, "")
			client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), poolList, pool("made", "192.0.2.1", "clarionlb.io/pool-in-use"))
			client.PrependReactor("delete", "ipaddresspools", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, nil })
			a.dynamic, a.timeout = client, 5*poll
			goes(client, test.looks)
			err := a.rollback(t.Context(), []entry{{Created: &created{Kind: "IPAddressPool", Name: "lan", UID: "made"}}})
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("it says %v", err)
			}
			if _, err := client.Tracker().Get(pools, "", "lan"); test.wrong == "" && err == nil {
				t.Error("it is there still")
			}
		})
	}
}

// TestTheFinalizerOfAnotherLoadBalancerIsPutBack once the pools are gone: before, Clarion would take it for its own.
func TestTheFinalizerOfAnotherLoadBalancerIsPutBack(t *testing.T) {
	for name, test := range map[string]struct {
		had, clarions, stays bool
		want                 []string
	}{
		"it had one":           {had: true, want: []string{scope.Finalizer}},
		"it had none":          {want: nil},
		"Clarion serves it":    {had: true, clarions: true, want: nil},
		"the pool stays as is": {had: true, stays: true, want: nil},
	} {
		t.Run(name, func(t *testing.T) {
			entries := []entry{{Created: &created{Kind: "IPAddressPool", Name: "lan", UID: "made"}}}
			var services []runtime.Object
			for _, name := range []string{"a", "b"} {
				before := web(name, "192.0.2.1")
				if test.had {
					before.Finalizers = []string{scope.Finalizer}
				}
				now := before.DeepCopy()
				now.Finalizers = nil
				if test.clarions {
					now.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
				}
				entries, services = append(entries, entry{Service: before, How: migrate.ByFlag}), append(services, now)
			}
			kube, a, _ := cluster(t, "", services...)
			client := dynamicfake.NewSimpleDynamicClientWithCustomListKinds(runtime.NewScheme(), poolList, pool("made", "192.0.2.1", ""))
			a.dynamic, a.timeout = client, 5*poll
			if test.stays {
				entries = entries[1:]
			}
			if err := a.rollback(t.Context(), entries); err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{"a", "b"} {
				if s := get(t, kube, name); !slices.Equal(s.Finalizers, test.want) {
					t.Errorf("%s has %v", name, s.Finalizers)
				}
			}
		})
	}
}

func TestNothingIsRolledBackWhileClarionServesAServiceByItsClass(t *testing.T) {
	served, gone := web("served", "192.0.2.1"), web("gone", "192.0.2.2")
	served.Spec.LoadBalancerClass = new("example.com/lan")
	served.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue}}
	_, a, _ := cluster(t, "", served)
	for _, test := range []struct {
		name string
		e    entry
		want string
	}{
		{"it is served", entry{Service: served, How: migrate.ByFlag}, "default/served by its class: have both programs run without --load-balancer-class=example.com/lan"},
		{"it is gone", entry{Service: gone, How: migrate.ByFlag}, ""},
		{"it was taken up", entry{Service: served, How: migrate.Adopt}, ""},
	} {
		err := a.refuseServedByClass(t.Context(), []entry{{Created: &created{Kind: "IPAddressPool"}}, test.e})
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}
