package announced

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/internal/paced"
)

// told are the events since the last call.
func (w *world) told() (events []string) {
	for len(w.events.Events) > 0 {
		events = append(events, <-w.events.Events)
	}
	return events
}

// expectEvents compares what the events since the last call begin with.
func (w *world) expectEvents(when string, want ...string) {
	w.Helper()
	if got := w.told(); !slices.EqualFunc(got, want, strings.HasPrefix) {
		w.Errorf("%s: events\n%q, not\n%q", when, got, want)
	}
}

const (
	noNode = "Warning NoNode 192.0.2.5 is not announced: "
	again  = "Normal AddressAnnounced " + onN1
)

// silence has no announcer be able to announce anything.
func (w *world) silence() {
	for _, name := range []string{"n1", "n2"} {
		w.set(name, func(status *v1alpha1.AnnouncerStatus) { status.Layer2.Interfaces = nil })
	}
}

func TestAServiceIsToldThatItIsNotAnnouncedUntilItIs(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", claims(one, "eth0"))
		w.elect()
		w.after(time.Hour)
		w.expectEvents("one that is announced")
		w.silence()
		w.after(settle / 2)
		w.expectEvents("at once")
		w.after(settle)
		got := w.told()
		if len(got) != 1 || !strings.HasPrefix(got[0], noNode) || !strings.HasSuffix(w.says(), strings.TrimPrefix(got[0], "Warning NoNode")) {
			t.Errorf("told %q, says %s", got, w.says())
		}
		for range 3 {
			w.after(paced.Reminder)
			w.expectEvents("while it lasts", got...)
		}
		w.set("n1", claims(one, "eth0"))
		w.after(2 * time.Second)
		w.expectEvents("at the end", again)
		w.after(3 * paced.Reminder)
		w.expectEvents("afterwards")
		if n := len(w.controller.conditions.events.known); n != 0 {
			t.Errorf("%d Services are remembered", n)
		}
	})
}

func TestThereIsAnEventForEachCause(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.silence()
		w.elect()
		w.after(2 * settle)
		w.told()
		slice := theirs[len(theirs)-1].(*discoveryv1.EndpointSlice).DeepCopy()
		slice.Endpoints = nil
		if _, err := w.kube.DiscoveryV1().EndpointSlices("default").Update(w.ctx, slice, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		w.after(2 * settle)
		w.expectEvents("another cause", "Warning NoEndpoint 192.0.2.5 is not announced: the Service has no endpoint that can serve; have its selector select a pod that is ready, or give it EndpointSlices")
	})
}

func TestWhatIsOverSoonIsNotTold(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect() // pending
		w.after(settle / 4)
		w.set("n1", claims(one, "eth0"))
		w.after(time.Minute)
		w.expectEvents("a new Service")
		for range 20 {
			w.set("n1", nil)
			w.after(settle / 2)
			w.set("n1", claims(one, "eth0"))
			w.after(settle)
		}
		w.expectEvents("failovers")
	})
	theirs, ours = served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		w.after(2 * settle)
		w.expectEvents("one that stays pending", "Warning Pending 192.0.2.5 is about to be announced")
	})
}

func TestAServiceThatGoesToAndFroIsToldLittleAndTheTruthInTheEnd(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.elect()
		for range 30 {
			w.set("n1", claims(one, "eth0"))
			w.after(2 * settle)
			w.silence()
			w.after(2 * settle)
		}
		got := w.told()
		if most := 2 * (warningBurst + 1 + int(30*4*settle/warningInterval)); len(got) < 10 || len(got) > most {
			t.Errorf("told %d times, at most %d", len(got), most)
		}
		w.after(2 * warningInterval)
		if got = append(got, w.told()...); !strings.HasPrefix(got[len(got)-1], noNode) {
			t.Errorf("told last: %s", got[len(got)-1])
		}
	})
}

func TestAProcessThatTakesOverRemindsAndTellsTheEnd(t *testing.T) {
	theirs, ours := served(saying(metav1.ConditionFalse, v1alpha1.ReasonNoNode, "whatever it was"))
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", claims(one, "eth0"))
		w.elect()
		w.expectEvents("the end", again)
	})
	theirs, ours = served(saying(metav1.ConditionFalse, v1alpha1.ReasonPending, "192.0.2.5 is about to be announced"))
	withController(t, theirs, append(ours, layer2), func(w *world) {
		w.set("n1", claims(one, "eth0"))
		w.elect()
		w.expectEvents("what was about to be is so")
	})
	said, notAdvertised := "", "Warning NotAdvertised 192.0.2.5 is not announced: no L2Advertisement or BGPAdvertisement selects this address; "+
		"create an L2Advertisement or BGPAdvertisement, or have one select its pool"
	theirs, ours = served(nil)
	withController(t, theirs, ours, func(w *world) {
		w.elect()
		said = strings.TrimPrefix(w.says(), "False NotAdvertised: ")
		w.after(2 * settle)
		w.expectEvents("the former process", notAdvertised)
	})
	theirs, ours = served(sayingSince(settle/2, metav1.ConditionFalse, v1alpha1.ReasonNotAdvertised, said))
	withController(t, theirs, ours, func(w *world) {
		w.elect()
		w.after(2 * settle)
		w.expectEvents("the former process had no time to tell", notAdvertised)
	})
	theirs, ours = served(sayingSince(2*succession, metav1.ConditionFalse, v1alpha1.ReasonNotAdvertised, said))
	withController(t, theirs, ours, func(w *world) {
		w.elect()
		w.after(2 * settle)
		w.expectEvents("told by the former process")
		w.after(paced.Reminder)
		w.expectEvents("a reminder", notAdvertised)
	})
}

func TestAServiceIsToldWhoAnnouncesItByBGPAndWhenThatEnds(t *testing.T) {
	theirs, ours := served(nil)
	withController(t, theirs, append(ours, byBGP()...), func(w *world) {
		w.elect()
		w.set("n1", up("tor"))
		w.after(time.Second)
		w.set("n2", up("tor"))
		w.after(time.Minute)
		w.expectEvents("the first time", "Normal AddressAnnounced 192.0.2.5 is announced by BGP from n1 and n2 to tor")
		w.set("n2", nil)
		w.after(time.Minute)
		w.expectEvents("from fewer nodes")
		w.set("n1", nil)
		w.after(time.Minute)
		got := w.told()
		if len(got) != 1 || !strings.HasPrefix(got[0], "Warning NoSession 192.0.2.5 is not announced: ") {
			t.Errorf("withdrawn: %q", got)
		}
		w.set("n1", up("tor"))
		w.after(time.Minute)
		w.expectEvents("again", "Normal AddressAnnounced 192.0.2.5 is announced by BGP from n1 to tor")
	})
	theirs, ours = served(nil)
	withController(t, theirs, append(ours, append(byBGP(), layer2)...), func(w *world) {
		w.set("n1", both(up("tor"), claims(one, "eth0")))
		w.elect()
		w.after(time.Minute)
		w.told()
		w.set("n1", claims(one, "eth0"))
		w.after(time.Minute)
		w.expectEvents("on layer 2 alone", "Warning BGPWithdrawn no longer announced by BGP; "+onN1)
	})
	theirs, ours = served(saying(metav1.ConditionTrue, v1alpha1.ReasonAnnounced, "192.0.2.5 is announced by BGP from 1 node to 1 peer"))
	withController(t, theirs, append(ours, byBGP()...), func(w *world) {
		w.set("n1", up("tor"))
		w.elect()
		w.after(time.Minute)
		w.expectEvents("told by the former process")
	})
}

// TestManyServicesAtOnceAreNoFlood has many Services lose their addresses at once, and get them back while they are told.
func TestManyServicesAtOnceAreNoFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
		var services []*corev1.Service
		for n := range 10_000 {
			services = append(services, service(fmt.Sprintf("many-%d", n), nil))
			if err := indexer.Add(services[n]); err != nil {
				t.Fatal(err)
			}
		}
		recorder := record.NewFakeRecorder(10_000)
		w := newEventWriter(recorder, corelisters.NewServiceLister(indexer))
		ctx, cancel := context.WithCancel(t.Context())
		go w.run(ctx)
		say := func(status metav1.ConditionStatus, reason string) {
			for _, s := range services {
				w.observe(s, nil, metav1.Condition{Status: status, Reason: reason, Message: reason}, nil, time.Now())
			}
		}
		say(metav1.ConditionFalse, v1alpha1.ReasonNoNode)
		time.Sleep(settle + 30*time.Second)
		told := len(recorder.Events)
		if most := paced.Burst + 31*paced.Rate; told < paced.Burst || told > most {
			t.Errorf("told %d times, at most %d", told, most)
		}
		// Only those who were told that it is so are told that it is not.
		say(metav1.ConditionTrue, v1alpha1.ReasonAnnounced)
		time.Sleep(time.Hour)
		normal, warnings := 0, 0
		for len(recorder.Events) > 0 {
			if strings.HasPrefix(<-recorder.Events, corev1.EventTypeNormal) {
				normal++
			} else {
				warnings++
			}
		}
		if normal != warnings || warnings > told+1 {
			t.Errorf("told %d times, then %d times altogether, and %d times that it is over", told, warnings, normal)
		}
		synctest.Wait()
		if len(w.known) != 0 {
			t.Errorf("%d Services are remembered", len(w.known))
		}
		cancel()
		w.queue.ShutDown()
	})
}
