package loadbalancer

import (
	"fmt"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// benchRequest is the request of the n-th Service.
func benchRequest(n int) Request {
	name := fmt.Sprintf("service-%d", n)
	return Request{
		Service:  types.NamespacedName{Namespace: "default", Name: name},
		UID:      types.UID(name),
		Created:  time.Unix(int64(n), 0),
		Families: []corev1.IPFamily{corev1.IPv4Protocol},
		Policy:   corev1.IPFamilyPolicySingleStack,
		Ports:    []Port{{corev1.ProtocolTCP, 80}},
	}
}

func benchRequests(n int) []Request {
	list := make([]Request, n)
	for i := range list {
		list[i] = benchRequest(i)
	}
	return list
}

func filled(b *testing.B, addresses string, requests []Request) *Allocator {
	b.Helper()
	a := New()
	a.SetPools(epoch, []*v1alpha1.IPAddressPool{newPool("public", addresses)})
	for _, r := range requests {
		if _, err := a.Ensure(epoch, r); err != nil {
			b.Fatal(err)
		}
	}
	return a
}

// cpu reports the CPU time of a round, which other work on the machine does not change, beside its
// duration. It is to be deferred: defer cpu(b)().
func cpu(b *testing.B) func() {
	b.Helper()
	used := func() time.Duration {
		var usage unix.Rusage
		if err := unix.Getrusage(unix.RUSAGE_SELF, &usage); err != nil {
			b.Fatal(err)
		}
		return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
	}
	before := used()
	return func() { b.ReportMetric(float64(used()-before)/float64(b.N), "cpu-ns/op") }
}

// BenchmarkFill allocates all of the Services from an empty /16; a round is the whole of it.
func BenchmarkFill(b *testing.B) {
	for _, n := range []int{1000, 4000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			requests := benchRequests(n)
			defer cpu(b)()
			for b.Loop() {
				filled(b, "10.0.0.0/16", requests)
			}
		})
	}
}

// BenchmarkNext gives one more Service an address, and takes it back, in addition to those that
// have one.
func BenchmarkNext(b *testing.B) {
	for _, n := range []int{1000, 4000, 16000, 64000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			requests := benchRequests(n + 1)
			a := filled(b, "10.0.0.0/16", requests[:n])
			r := requests[n]
			defer cpu(b)()
			for b.Loop() {
				if _, err := a.Ensure(epoch, r); err != nil {
					b.Fatal(err)
				}
				a.Release(epoch, r.Service, r.UID)
			}
		})
	}
}

// BenchmarkNextInHoles is BenchmarkNext in a pool where every second address is free.
func BenchmarkNextInHoles(b *testing.B) {
	for _, n := range []int{1000, 4000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			requests := benchRequests(2*n + 1)
			a := filled(b, "10.0.0.0/16", requests[:2*n])
			for i := 0; i < 2*n; i += 2 {
				a.Release(epoch, requests[i].Service, "")
			}
			now := epoch.Add(time.Hour)
			r := requests[2*n]
			defer cpu(b)()
			for b.Loop() {
				if _, err := a.Ensure(now, r); err != nil {
					b.Fatal(err)
				}
				a.Release(now, r.Service, r.UID)
				now = now.Add(time.Minute)
			}
		})
	}
}

// BenchmarkAgain asks again for what a Service has.
func BenchmarkAgain(b *testing.B) {
	requests := benchRequests(16000)
	a := filled(b, "10.0.0.0/16", requests)
	defer cpu(b)()
	for i := 0; b.Loop(); i++ {
		if _, err := a.Ensure(epoch, requests[i%len(requests)]); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkRefusal asks for an address of a full pool, with as many waiting.
func BenchmarkRefusal(b *testing.B) {
	for _, bits := range []int{24, 20, 16} {
		b.Run(fmt.Sprintf("full-%d", bits), func(b *testing.B) {
			n := 1 << (32 - bits)
			requests := benchRequests(n + 10000)
			a := filled(b, fmt.Sprintf("10.0.0.0/%d", bits), requests[:n])
			waiting := requests[n:]
			defer cpu(b)()
			for i := 0; b.Loop(); i++ {
				if _, err := a.Ensure(epoch, waiting[i%len(waiting)]); err == nil {
					b.Fatal("the pool is not full")
				}
			}
		})
	}
}

// BenchmarkHandOver releases an address of a full pool, with 10,000 Services waiting, and gives it
// to the one that is requeued.
func BenchmarkHandOver(b *testing.B) {
	requests := benchRequests(1 << 12)
	a := filled(b, "10.0.0.0/20", requests)
	extra := benchRequests(1<<12 + 10000)[1<<12:]
	byName := map[types.NamespacedName]Request{}
	for _, r := range extra {
		byName[r.Service] = r
		if _, err := a.Ensure(epoch, r); err == nil {
			b.Fatal("the pool is not full")
		}
	}
	owner := requests[0]
	byName[owner.Service] = owner
	defer cpu(b)()
	for b.Loop() {
		requeued := a.Release(epoch, owner.Service, owner.UID)
		if len(requeued) != 1 {
			b.Fatalf("requeued %v", requeued)
		}
		next := byName[requeued[0]]
		if _, err := a.Ensure(epoch, next); err != nil {
			b.Fatal(err)
		}
		if _, err := a.Ensure(epoch, owner); err == nil {
			b.Fatal("the pool is not full")
		}
		owner = next
	}
}

// BenchmarkRestore learns what Services have after a restart.
func BenchmarkRestore(b *testing.B) {
	requests := benchRequests(16000)
	a := filled(b, "10.0.0.0/16", requests)
	for i := range requests {
		requests[i].Current, _ = a.Lookup(requests[i].Service)
	}
	pools := []*v1alpha1.IPAddressPool{newPool("public", "10.0.0.0/16")}
	defer cpu(b)()
	for b.Loop() {
		a := New()
		a.SetPools(epoch, pools)
		if conflicts := a.Restore(epoch, requests); len(conflicts) > 0 {
			b.Fatal(conflicts)
		}
	}
}

// BenchmarkPoolAdded adds a pool of ten addresses that 16,000 Services of another one have nothing
// to do with and for which 10,000 wait.
func BenchmarkPoolAdded(b *testing.B) {
	requests := benchRequests(1<<14 + 10000)
	a := filled(b, "10.0.0.0/18", requests[:1<<14])
	for _, r := range requests[1<<14:] {
		if _, err := a.Ensure(epoch, r); err == nil {
			b.Fatal("the pool is not full")
		}
	}
	first := newPool("public", "10.0.0.0/18")
	second := newPool("small", "10.1.0.0-10.1.0.9")
	defer cpu(b)()
	for b.Loop() {
		if requeued := a.SetPools(epoch, []*v1alpha1.IPAddressPool{first, second}); len(requeued) > 10 {
			b.Fatalf("requeued %d", len(requeued))
		}
		a.SetPools(epoch, []*v1alpha1.IPAddressPool{first})
	}
}

// BenchmarkFillSameKey is BenchmarkFill with a sharing key and a port that all Services have in
// common, so that none can share with any other.
func BenchmarkFillSameKey(b *testing.B) {
	for _, n := range []int{1000, 4000, 16000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			requests := benchRequests(n)
			for i := range requests {
				requests[i].SharingKey = "everybody"
			}
			defer cpu(b)()
			for b.Loop() {
				filled(b, "10.0.0.0/16", requests)
			}
		})
	}
}
