package provider

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/provider/internal/paced"
)

// expectTold compares what the events since the last call begin with.
func (c *cluster) expectTold(when string, want ...string) {
	c.Helper()
	if got := c.told(); !slices.EqualFunc(got, want, strings.HasPrefix) {
		c.Errorf("%s: events\n%q, not\n%q", when, got, want)
	}
}

// after lets time pass and everything happen that is due then.
func (c *cluster) after(d time.Duration) {
	time.Sleep(d)
	settle()
}

func TestAServiceThatWaitsIsToldAgainForAsLongAsItDoes(t *testing.T) {
	const exhausted, misspelt = "Warning PoolExhausted ", "Warning ClassNotServed "
	near := web("near")
	near.Spec.LoadBalancerClass = ptr.To("clarion")
	withCluster(t, []runtime.Object{poolOf("192.0.2.0/32"), web("a", "192.0.2.0"), web("b"), near}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		settled := c.told()
		slices.Sort(settled)
		if !slices.EqualFunc(settled, []string{"Normal AddressAssigned ", misspelt, exhausted}, strings.HasPrefix) {
			t.Errorf("told at first: %q", settled)
		}
		c.after(10 * time.Second)
		c.told() // that nothing advertises the address
		writes := c.writes()
		for n := range 4 {
			c.after(paced.Reminder)
			got := slices.DeleteFunc(c.told(), func(e string) bool { return strings.HasPrefix(e, "Warning NotAdvertised ") })
			slices.Sort(got)
			if !slices.EqualFunc(got, []string{misspelt, exhausted}, strings.HasPrefix) {
				t.Errorf("reminder %d: %q", n, got)
			}
		}
		if n := c.writes(); n != writes {
			t.Errorf("%d writes while nothing changes", n-writes)
		}

		// A process that takes over goes on, however long it takes to.
		c.after(20 * time.Minute)
		c.end()
		c.begin()
		c.told()
		c.after(5 * time.Minute)
		c.told()
		c.after(10 * time.Minute)
		if got := c.told(); !slices.ContainsFunc(got, func(e string) bool { return strings.HasPrefix(e, exhausted) }) {
			t.Errorf("told by the next process: %q", got)
		}

		// It ends when there is nothing to wait for.
		c.delete("a")
		c.change("near", func(s *corev1.Service) {
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: "198.51.100.1"}}
		})
		c.expectTold("served", "Normal AddressAssigned ")
		c.after(2 * time.Hour)
		for _, event := range c.told() {
			if strings.HasPrefix(event, exhausted) || strings.HasPrefix(event, misspelt) {
				t.Errorf("told afterwards: %s", event)
			}
		}
		if n := len(c.cloud.reminders.known); n != 0 {
			t.Errorf("%d Services are remembered", n)
		}
	})
}

func TestNobodyIsRemindedOfWhatIsGone(t *testing.T) {
	withCluster(t, []runtime.Object{web("gone"), web("away"), web("other", "198.51.100.1")}, func(c *cluster) {
		c.start()
		c.elect()
		c.serve()
		c.expectTold("at first", "Warning ", "Warning ", "Warning ")
		c.delete("gone")
		c.change("away", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
		c.after(2 * time.Hour)
		c.expectTold("later") // also not the one that another load balancer has served
	})
}

// TestManyRemindersAreNoFlood has ten thousand Services wait since one moment.
func TestManyRemindersAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
		recorder := record.NewFakeRecorder(20_000)
		r := newReminders(recorder, corelisters.NewServiceLister(indexer))
		go r.queue.Run(t.Context(), "services")
		for n := range 10_000 {
			s := web(fmt.Sprintf("many-%d", n))
			if err := indexer.Add(s); err != nil {
				t.Fatal(err)
			}
			r.keep(s, "PoolExhausted", "it is", time.Now(), time.Now())
		}
		time.Sleep(paced.Reminder + 30*time.Second)
		if told, most := len(recorder.Events), paced.Burst+31*paced.Rate; told < paced.Burst || told > most {
			t.Errorf("told %d times in half a minute, at most %d", told, most)
		}
		time.Sleep(paced.Reminder - time.Minute)
		synctest.Wait()
		if told := len(recorder.Events); told != 10_000 {
			t.Errorf("told %d times, not each once", told)
		}
		r.queue.ShutDown()
	})
}
