package kube

import (
	"fmt"
	"runtime"
	"testing"
	"time"

	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/announce/plan"
)

// endpointsOf says whether a View has the EndpointSlice of a Service.
func endpointsOf(view *plan.View, service string) bool {
	owner, known := view.SliceOwner(types.NamespacedName{Namespace: "default", Name: service + "-1"})
	return known && owner.Name == service
}

func TestEndpointsAreKnownOfLoadBalancersAlone(t *testing.T) {
	inAPI(t, everything(), func(t *testing.T, w *watching) {
		views := map[*Subscription]*plan.View{w.Layer2: plan.NewView(), w.BGP: plan.NewView()}
		expect := func(when string, news, has bool) {
			t.Helper()
			for s, view := range views {
				if is := next(s, view); is != news || endpointsOf(view, "api") != has {
					t.Errorf("%s: told: %t, has the endpoints: %t; want %t, %t", when, is, endpointsOf(view, "api"), news, has)
				}
			}
		}
		for s := range views {
			s.Wait(t.Context())
		}
		expect("at first", true, false)
		slices, services := w.kube.DiscoveryV1().EndpointSlices("default"), w.kube.CoreV1().Services("default")
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(w.add(endpoints("api")))
		expect("of a Service that is no load balancer", false, false)
		more := endpoints("api")
		more.Endpoints = append(more.Endpoints, discoveryv1.Endpoint{NodeName: new("n2")})
		_, err := slices.Update(t.Context(), more, metav1.UpdateOptions{})
		must(err)
		expect("which changes", false, false)
		must(w.add(service("api", "192.168.10.101")))
		expect("it becomes one", true, true)
		_, err = slices.Update(t.Context(), endpoints("api"), metav1.UpdateOptions{})
		must(err)
		expect("and changes", true, true)
		same := endpoints("api")
		same.Endpoints[0].Addresses = []string{"10.0.0.1"}
		_, err = slices.Update(t.Context(), same, metav1.UpdateOptions{})
		must(err)
		expect("in a way that no plan knows", false, true)
		must(services.Delete(t.Context(), "api", metav1.DeleteOptions{}))
		expect("and is none any more", true, false)
		must(w.add(service("api", "192.168.10.101")))
		expect("and one again", true, true)
		moved := endpoints("api")
		moved.Labels[discoveryv1.LabelServiceName] = "db"
		_, err = slices.Update(t.Context(), moved, metav1.UpdateOptions{})
		must(err)
		expect("whose endpoints are another's", true, false)
		_, err = slices.Update(t.Context(), endpoints("api"), metav1.UpdateOptions{})
		must(err)
		expect("and its own again", true, true)
		must(slices.Delete(t.Context(), "api-1", metav1.DeleteOptions{}))
		expect("and are gone", true, false)
		must(w.add(endpoints("api")))
		expect("and back", true, true)
		must(slices.Delete(t.Context(), "api-1", metav1.DeleteOptions{}))
		must(services.Delete(t.Context(), "api", metav1.DeleteOptions{}))
		expect("all gone at once", true, false)
		if len(w.endpoints().slices) != 1 || len(w.endpoints().byService) != 1 {
			t.Errorf("%d are left, of %d Services, and not those of web alone", len(w.endpoints().slices), len(w.endpoints().byService))
		}
	})
}

func TestWhatIsMissingInANewListIsGone(t *testing.T) {
	inAPI(t, everything(), func(t *testing.T, w *watching) {
		view := plan.NewView()
		w.Layer2.Wait(t.Context())
		next(w.Layer2, view)
		if err := w.endpoints().Replace([]any{endpoints("api")}, ""); err != nil {
			t.Fatal(err)
		}
		if !next(w.Layer2, view) || endpointsOf(view, "web") {
			t.Error("the endpoints of web are still known")
		}
		if err := w.endpoints().Replace([]any{endpoints("api"), endpoints("web")}, ""); err != nil {
			t.Fatal(err)
		}
		if !next(w.Layer2, view) || !endpointsOf(view, "web") {
			t.Error("the endpoints of web are not known again")
		}
	})
}

// endpoints is the source of EndpointSlices.
func (w *watching) endpoints() *endpointSource {
	for _, s := range w.sources {
		if e, is := s.(*endpointSource); is {
			return e
		}
	}
	return nil
}

// heap is how much memory is in use.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// decodedSlice is an EndpointSlice as it comes from the API server: no two strings in it share memory, nor with another slice.
func decodedSlice(i, size int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: fmt.Sprintf("namespace-%d", i%50), Name: fmt.Sprintf("service-%d-x7k2p", i), UID: types.UID(fmt.Sprintf("%036d", i)),
			ResourceVersion: fmt.Sprint(1000000 + i), CreationTimestamp: metav1.NewTime(time.Unix(int64(i), 0)),
			Labels: map[string]string{discoveryv1.LabelServiceName: fmt.Sprintf("service-%d", i)},
		},
		AddressType: discoveryv1.AddressTypeIPv4,
	}
	for e := range size {
		node := fmt.Sprintf("worker-%d.example.com", (i*7+e*13)%1000)
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			NodeName: &node, Addresses: []string{fmt.Sprintf("10.%d.%d.%d", i%250, i/250, e)},
			Conditions: discoveryv1.EndpointConditions{Ready: new(true), Serving: new(true), Terminating: new(false)},
		})
	}
	return s
}

func TestEndpointsTakeLittleMemory(t *testing.T) {
	const total = 20_000
	client := fake.NewClientset()
	for _, tt := range []struct{ size, limit, limitOfLoadBalancers int }{{1, 500, 2000}, {10, 100, 300}, {100, 60, 150}} {
		for _, loadBalancers := range []bool{false, true} {
			before, limit := heap(), tt.limit
			source := newEndpointSource(client, func(types.NamespacedName) bool { return loadBalancers })
			source.start(plan.TransformFor("worker-1.example.com"))
			views := []*plan.View{plan.NewView(), plan.NewView()}
			for i := range total / tt.size {
				s := decodedSlice(i, tt.size)
				if err := source.Add(s); err != nil {
					t.Fatal(err)
				}
				for _, view := range views {
					source.give(view, cache.ObjectName{Namespace: s.Namespace, Name: s.Name})
				}
			}
			if loadBalancers {
				limit = tt.limitOfLoadBalancers
			}
			each := (heap() - before) / total
			t.Logf("%d endpoints in each slice, load balancers: %t: %d bytes for each endpoint", tt.size, loadBalancers, each)
			if each > int64(limit) {
				t.Errorf("that is more than %d", limit)
			}
			runtime.KeepAlive(source)
			runtime.KeepAlive(views)
		}
	}
}
