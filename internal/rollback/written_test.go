package rollback

import (
	"net/http"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// watchNodes has the client watch Nodes, too.
func (w *world) watchNodes() {
	w.shared.Core().V1().Nodes().Informer()
	w.shared.Start(w.ctx.Done())
	w.after(time.Second)
}

// writeNode has the client write the Node.
func (w *world) writeNode(t *testing.T) {
	t.Helper()
	node, err := w.client.CoreV1().Nodes().Patch(w.ctx, "n1", types.MergePatchType, []byte("{}"), metav1.PatchOptions{}, "status")
	if err != nil || node.Name != "n1" {
		t.Fatalf("wrote the Node: %v, %v", node, err)
	}
}

// TestWhatWasWrittenAndIsLostTellsOfTheRestore has more be written than was lost before anybody asks, so that no revision tells of it.
func TestWhatWasWrittenAndIsLostTellsOfTheRestore(t *testing.T) {
	for _, tt := range []struct {
		name    string
		watched bool
		written bool // by the client, since the copy was made
		down    time.Duration
		noticed int
	}{
		{"after an outage that is longer than any watch", true, true, 20 * time.Minute, 1},
		{"although the API server was asked too late to be away", true, true, 0, 1},
		{"if nothing was written, nothing is known", true, false, time.Minute, 0},
		{"what is not watched may not be asked for", false, true, time.Minute, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				if tt.watched {
					w.watchNodes()
				}
				w.writeNode(t)
				copied := w.server.copy()
				w.server.write("ghost")
				if tt.written {
					w.writeNode(t)
				}
				w.after(time.Second)
				w.take()
				w.server.setDown(true)
				w.after(tt.down)
				w.server.restore(copied)
				for range 10 {
					w.server.write("new")
				}
				w.server.setDown(false)
				w.after(time.Minute)
				if got := w.take(); strings.Contains(got, "gone ghost") != (tt.noticed > 0) || w.noticed != tt.noticed {
					t.Errorf("noticed %d times, and the informer told: %q", w.noticed, got)
				}
				w.server.breakWatches() // it is known by now
				w.after(time.Minute)
				if w.noticed != tt.noticed {
					t.Errorf("noticed %d times in the end", w.noticed)
				}
			})
		})
	}
}

// TestWhatIsWrittenAgainBeforeItIsWatchedAgainTellsOfTheRestore has the client write before its watches go on, which wait until they may ask.
func TestWhatIsWrittenAgainBeforeItIsWatchedAgainTellsOfTheRestore(t *testing.T) {
	for _, tt := range []struct {
		name     string
		restored bool
		answers  answers // at first, of an API server that has just started
		noticed  int
	}{
		{"etcd was restored", true, lists, 1},
		{"etcd was restored, and the API server knows no roles yet", true, refuses, 1},
		{"etcd was restored, and the API server has too much to do", true, isBusy, 1},
		{"the API server was away", false, lists, 0},
		{"the API server was away, and knows no roles yet", false, refuses, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inWorld(t, func(w *world) {
				w.watchNodes()
				w.writeNode(t)
				copied := w.server.copy()
				w.writeNode(t)
				w.after(time.Second)
				w.server.setDown(true)
				w.after(10 * time.Second)
				if tt.restored {
					w.server.restore(copied)
				}
				for range 10 {
					w.server.write("new")
				}
				w.server.toLists(tt.answers)
				time.AfterFunc(3*time.Second, func() { w.server.toLists(lists) })
				w.server.setDown(false)
				w.writeNode(t)
				w.after(time.Minute)
				w.writeNode(t)
				if w.noticed != tt.noticed {
					t.Errorf("noticed %d times", w.noticed)
				}
			})
		})
	}
}

// TestAWriteWaitsForARefusalOnce has the API server refuse to list for good, while it allows to write.
func TestAWriteWaitsForARefusalOnce(t *testing.T) {
	inWorld(t, func(w *world) {
		w.watchNodes()
		w.writeNode(t)
		w.server.toLists(refuses)
		w.server.breakWatches()
		for _, limit := range []time.Duration{2 * refusedFor, 0} {
			began := time.Now()
			w.writeNode(t)
			if took := time.Since(began); took > limit {
				t.Errorf("a write took %s, more than %s", took, limit)
			}
		}
		if w.noticed != 0 {
			t.Errorf("noticed %d times", w.noticed)
		}
	})
}

func TestWatchesThatEndInTimeCostNoMoreQuestions(t *testing.T) {
	inWorld(t, func(w *world) {
		w.watchNodes()
		w.writeNode(t)
		for range 3 {
			w.after(20 * time.Minute) // a watch is to last no longer than ten
			w.server.breakWatches()
			w.after(time.Minute)
		}
		if w.server.asked != 0 || w.noticed != 0 {
			t.Errorf("asked %d times for what was written, and noticed %d restores", w.server.asked, w.noticed)
		}
	})
}

func TestTheVersionOfAnObjectIsThatOfItsMetadata(t *testing.T) {
	for body, want := range map[string]string{
		`{"apiVersion":"v1","kind":"Node","metadata":{"name":"n1","resourceVersion":"7"},"status":{}}`: "7",
		`{"status":{"metadata":{"resourceVersion":"8"}},"metadata":{"resourceVersion":"7"}}`:           "7",
		`{"metadata":{"resourceVersion":"7"},"status":`:                                                "",
		`{"kind":"Status"}`:              "",
		`{"metadata":{}}`:                "",
		`{"metadata":7}`:                 "",
		`{"metadata"`:                    "",
		`[]`:                             "",
		``:                               "",
		`{"kind":}`:                      "",
		`{"metadata":{"labels":{"a":1}}`: "",
	} {
		if got := revisionIn([]byte(body)); got != want {
			t.Errorf("%s has the version %q, want %q", body, got, want)
		}
	}
}

func TestWhatAClientChangesIsKnownByItsCollection(t *testing.T) {
	for _, tt := range []struct{ method, path, collection, name string }{
		{http.MethodPatch, "/apis/clarionlb.io/v1alpha1/announcers/n1/status", "/apis/clarionlb.io/v1alpha1/announcers", "n1"},
		{http.MethodPut, "/apis/clarionlb.io/v1alpha1/announcers/n1", "/apis/clarionlb.io/v1alpha1/announcers", "n1"},
		{http.MethodGet, "/apis/clarionlb.io/v1alpha1/announcers/n1", "", ""},
		{http.MethodPost, "/apis/clarionlb.io/v1alpha1/announcers", "", ""},
		{http.MethodPatch, "/api/v1/namespaces/default/services/web/status", "", ""},
	} {
		request, err := http.NewRequest(tt.method, "http://api"+tt.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if collection, name, changes := changed(request); changes != (tt.name != "") || changes && (collection != tt.collection || name != tt.name) {
			t.Errorf("%s %s changes %q of %q: %t", tt.method, tt.path, name, collection, changes)
		}
	}
}
