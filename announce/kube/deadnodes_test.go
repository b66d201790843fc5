package kube

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/deadnodes"
	"github.com/clarionlb/clarion/internal/fakeapi"
)

// onlyNode has one object.
type onlyNode struct{ node *corev1.Node }

func (o onlyNode) Node(string) *corev1.Node           { return o.node }
func (onlyNode) Announcer(string) *v1alpha1.Announcer { return nil }

// withDeadNodes runs a test with a DeadNodesWriter of node n1 that runs.
func withDeadNodes(t *testing.T, test func(api *fake.Clientset, w *DeadNodesWriter), objects ...runtime.Object) {
	synctest.Test(t, func(t *testing.T) {
		api := fakeapi.Kube(objects...)
		w := NewDeadNodesWriter("n1", api, onlyNode{&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid"}}}, klog.Logger{})
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = w.Run(ctx)
		}()
		test(api, w)
		cancel()
		<-ended
	})
}

// recorded is what the API has of node n1.
func recorded(t *testing.T, api *fake.Clientset) (names []string) {
	t.Helper()
	synctest.Wait()
	lease, err := api.CoordinationV1().Leases(deadnodes.Namespace).Get(t.Context(), "n1", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	record := deadnodes.Of(lease)
	for _, name := range []string{"n2", "n3", "n4"} {
		if _, is := record[name]; is {
			names = append(names, name)
		}
	}
	return names
}

func expectRecorded(t *testing.T, api *fake.Clientset, want ...string) {
	t.Helper()
	got := recorded(t, api)
	if len(got) != len(want) {
		t.Errorf("recorded are %v, want %v", got, want)
		return
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("recorded are %v, want %v", got, want)
		}
	}
}

func leaseOf(record deadnodes.Record) *coordinationv1.Lease {
	return record.Lease(metav1.OwnerReference{Kind: "Node", Name: "n1"}, time.Unix(1, 0))
}

func TestSilentNodesAreRecordedAtOnceAndTakenBackByAnAnswer(t *testing.T) {
	withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
		w.Write(nil, nil)
		expectRecorded(t, api) // it takes part
		w.Write([]string{"n2"}, []string{"n3"})
		expectRecorded(t, api, "n2")
		w.Write([]string{"n3"}, []string{"n2"})
		expectRecorded(t, api, "n2", "n3")
		w.Write(nil, []string{"n3"})
		expectRecorded(t, api, "n3")
		before := len(api.Actions())
		w.Write([]string{"n3"}, nil)
		if synctest.Wait(); len(api.Actions()) != before {
			t.Errorf("what is recorded was written again: %v", api.Actions()[before:])
		}
	})
}

func TestARestartTakesNoRecordBack(t *testing.T) {
	withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
		w.Write(nil, []string{"n2", "n3"}) // nobody is in sight yet, and nobody was asked
		expectRecorded(t, api, "n2", "n3")
		w.Write([]string{"n2"}, nil)
		expectRecorded(t, api, "n2")
	}, leaseOf(deadnodes.Record{"n2": time.Unix(1, 0), "n3": time.Unix(1, 0), "n4": time.Unix(1, 0)}))
}

func TestARecordThatIsDeletedIsWrittenAnew(t *testing.T) {
	withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
		w.Write([]string{"n2"}, nil)
		expectRecorded(t, api, "n2")
		if err := api.CoordinationV1().Leases(deadnodes.Namespace).Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.Write([]string{"n2", "n3"}, nil)
		expectRecorded(t, api, "n2", "n3")
	})
}

func TestARecordIsWrittenOnceTheAPIAnswers(t *testing.T) {
	for _, verb := range []string{"get", "create", "patch"} {
		withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
			failure := fakeapi.Fail(&api.Fake, verb, "leases", apierrors.NewInternalError(errors.New("not now")))
			w.Write([]string{"n2"}, nil)
			synctest.Wait()
			failure.Set(nil)
			time.Sleep(time.Second)
			expectRecorded(t, api, "n2")
		})
	}
}

func TestRecordsOfNodesThatComeAndGoAreBounded(t *testing.T) {
	withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
		for i := range 600 {
			if i%2 == 0 {
				w.Write([]string{"n2"}, nil)
			} else {
				w.Write(nil, nil)
			}
			time.Sleep(100 * time.Millisecond)
		}
		if n := len(api.Actions()); n > 60+recordBurst+2 {
			t.Errorf("%d requests in a minute", n)
		}
		w.Write([]string{"n3"}, nil)
		time.Sleep(2 * time.Second)
		expectRecorded(t, api, "n3")
	})
}

// TestARestoredRecordIsCorrected has etcd restored from a copy that has what was taken back since, or lacks what was found since.
func TestARestoredRecordIsCorrected(t *testing.T) {
	for name, tt := range map[string]struct {
		copied          deadnodes.Record
		silent, unknown []string
		want            []string
	}{
		"a node that is alive again is in the copy":    {copied: deadnodes.Record{"n2": time.Unix(1, 0)}},
		"one of which nothing is known now is in it":   {copied: deadnodes.Record{"n2": time.Unix(1, 0)}, unknown: []string{"n2"}},
		"one that has died since is not":               {copied: deadnodes.Record{}, silent: []string{"n3"}, want: []string{"n3"}},
		"one that died, and of which nothing is known": {copied: deadnodes.Record{}, unknown: []string{"n4"}, want: []string{"n4"}},
		"nothing has changed since":                    {copied: deadnodes.Record{"n3": time.Unix(1, 0)}, silent: []string{"n3"}, want: []string{"n3"}},
	} {
		t.Run(name, func(t *testing.T) {
			withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
				w.Write(append(tt.silent, tt.want...), nil)
				recorded(t, api)
				w.Write(tt.silent, tt.unknown)
				expectRecorded(t, api, tt.want...)
				if _, err := api.CoordinationV1().Leases(deadnodes.Namespace).Update(t.Context(), leaseOf(tt.copied), metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				w.WentBack()
				expectRecorded(t, api, tt.want...)
			})
		})
	}
}

func TestARecordThatIsNotInTheCopyIsWrittenAnew(t *testing.T) {
	withDeadNodes(t, func(api *fake.Clientset, w *DeadNodesWriter) {
		w.Write([]string{"n2"}, nil)
		expectRecorded(t, api, "n2")
		if err := api.CoordinationV1().Leases(deadnodes.Namespace).Delete(t.Context(), "n1", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		w.WentBack()
		expectRecorded(t, api, "n2")
	})
}
