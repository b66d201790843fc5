package kube

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
)

// TestTheDocumentationQuotesEventsOfMoves holds docs/troubleshooting.md against what events say.
func TestTheDocumentationQuotesEventsOfMoves(t *testing.T) {
	text, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## The address moves again and again\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, reason := range []plan.MoveReason{plan.MoveIncumbentDown, plan.MoveHandedOver} {
		move := plan.Move{From: "NODE", Reason: reason}
		_, place, _ := strings.Cut(move.Sentence(), " from node ")
		if quote := "`" + strings.TrimLeft(place, ", ") + "`"; !strings.Contains(section, quote) {
			t.Errorf("%s is not in\n%s", quote, section)
		}
	}
	for _, verdict := range []plan.Reason{plan.NotReady, plan.KubeProxyDown, plan.NoLocalEndpoint, plan.Draining} {
		move := plan.Move{From: "NODE", Reason: plan.MoveIncumbentIneligible, Verdict: verdict}
		_, why, _ := strings.Cut(move.Sentence(), " in place of NODE ")
		if quote := "`" + why + "`"; !strings.Contains(section, quote) {
			t.Errorf("%s is not in\n%s", quote, section)
		}
	}
}

func TestWhatHappensToAnAddressIsAnEventOnItsServices(t *testing.T) {
	ip := netip.MustParseAddr("192.168.10.100")
	host := plan.ConflictingHost{Interface: "eth0", MAC: "02:00:00:00:00:99"}
	for _, tt := range []struct {
		name string
		tell func(e *Events, services []plan.ServiceRef)
		want string
	}{
		{"new", moved(plan.Move{Address: ip, To: "n1", Reason: plan.MoveNew}), "Normal AddressAnnounced: 192.168.10.100 is announced from node n1"},
		{"taken over", moved(plan.Move{Address: ip, From: "n2", To: "n1", Reason: plan.MoveIncumbentDown}),
			"Normal AddressAnnounced: 192.168.10.100 is announced from node n1 in place of n2, which is not in sight"},
		{"drained", moved(plan.Move{Address: ip, From: "n2", To: "n1", Reason: plan.MoveIncumbentIneligible, Verdict: plan.Draining}),
			"Normal AddressAnnounced: 192.168.10.100 is announced from node n1 in place of n2 (the node is being drained)"},
		{"taken over before", moved(plan.Move{Address: ip, From: "n2", To: "n1", Reason: plan.MoveIncumbentIneligible, Verdict: plan.StandsBy}),
			"Normal AddressAnnounced: 192.168.10.100 is announced from node n1 in place of n2"},
		{"handed over", moved(plan.Move{Address: ip, From: "n2", To: "n1", Reason: plan.MoveHandedOver}),
			"Normal AddressAnnounced: 192.168.10.100 is announced from node n1, handed over by n2"},
		{"resumed", moved(plan.Move{Address: ip, To: "n1", Reason: plan.MoveResumed}), ""},
		{"conflict", conflict(plan.Conflict{Address: ip, ConflictingHost: host, InUse: true}),
			"Warning AddressConflict: the host 02:00:00:00:00:99 on eth0 answers for 192.168.10.100 too"},
		{"taken", conflict(plan.Conflict{Address: ip, ConflictingHost: host}),
			"Warning AddressConflict: 192.168.10.100 is not announced: the host 02:00:00:00:00:99 on eth0 answers for it"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				kube := fake.NewClientset()
				e := NewEvents(kube, oneAnnouncer{}, "n1", klog.Logger{})
				e.Start()
				synctest.Wait()
				tt.tell(e, []plan.ServiceRef{
					{NamespacedName: types.NamespacedName{Namespace: "default", Name: "web"}, UID: "1"},
					{NamespacedName: types.NamespacedName{Namespace: "default", Name: "dns"}, UID: "2"},
				})
				synctest.Wait()
				e.Stop()
				list, err := kube.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
				if err != nil {
					t.Fatal(err)
				}
				var got, want []string
				for _, event := range list.Items {
					if event.Source.Host != "n1" || event.Source.Component != "clarion" {
						t.Errorf("the event is from %+v", event.Source)
					}
					got = append(got, event.InvolvedObject.Name+" "+string(event.InvolvedObject.UID)+": "+event.Type+" "+event.Reason+": "+event.Message)
				}
				if tt.want != "" {
					want = []string{"dns 2: " + tt.want, "web 1: " + tt.want}
				}
				slices.Sort(got)
				if !slices.Equal(got, want) {
					t.Errorf("got %q, want %q", got, want)
				}
			})
		})
	}
}

func TestWhateverIsClaimedEventsAboutConflictsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		kube := fake.NewClientset()
		e := NewEvents(kube, oneAnnouncer{}, "n1", klog.Logger{})
		e.Start()
		defer e.Stop()
		ip, host := netip.MustParseAddr("192.168.10.0"), plan.ConflictingHost{Interface: "eth0", MAC: "02:00:00:00:00:99"}
		for n := range 1000 {
			ip = ip.Next()
			e.Conflict([]plan.ServiceRef{{NamespacedName: types.NamespacedName{Namespace: "default", Name: fmt.Sprintf("web%d", n)}}},
				plan.Conflict{Address: ip, ConflictingHost: host, InUse: true})
			time.Sleep(10 * time.Millisecond)
		}
		synctest.Wait()
		list, err := kube.CoreV1().Events("default").List(t.Context(), metav1.ListOptions{})
		if err != nil || len(list.Items) > conflictEventBurst+10*conflictEventRate {
			t.Errorf("%d events about 1000 conflicts in 10 s, %v", len(list.Items), err)
		}
	})
}

func moved(m plan.Move) func(*Events, []plan.ServiceRef) {
	return func(e *Events, services []plan.ServiceRef) { e.Moved(services, m) }
}

func conflict(c plan.Conflict) func(*Events, []plan.ServiceRef) {
	return func(e *Events, services []plan.ServiceRef) { e.Conflict(services, c) }
}
