package informer

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/fakeapi"
)

// withInformer runs a test with an informer of Secrets, in a bubble of simulated time.
func withInformer(t *testing.T, test func(ctx context.Context, api *fake.Clientset, i cache.SharedIndexInformer, start func())) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		api := fakeapi.Kube()
		shared := informers.NewSharedInformerFactory(api, 0)
		test(ctx, api, shared.Core().V1().Secrets().Informer(), func() {
			shared.Start(ctx.Done())
			time.Sleep(time.Second)
			synctest.Wait()
		})
		cancel()
		shared.Shutdown()
	})
}

func secret(value string) *corev1.Secret {
	return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "a"}, Data: map[string][]byte{"v": []byte(value)}}
}

// said notes what a set function gets.
func said(got *[]string) func(types.NamespacedName, *corev1.Secret) {
	return func(name types.NamespacedName, s *corev1.Secret) {
		text := name.String() + " gone"
		if s != nil {
			text = fmt.Sprintf("%s %s", name, s.Data["v"])
		}
		*got = append(*got, text)
	}
}

func TestChangesAreBroughtUpToDateOrToldOneByOne(t *testing.T) {
	withInformer(t, func(ctx context.Context, api *fake.Clientset, i cache.SharedIndexInformer, start func()) {
		changes := NewChanges()
		var latest, odd, states []string
		synced := Latest(changes, i, nil, said(&latest))
		Latest(changes, i, func(_, after *corev1.Secret) bool { return string(after.Data["v"]) != "2" }, said(&odd))
		States(changes, i, said(&states))
		start()
		if !synced() {
			t.Error("what there was at first is not delivered")
		}
		check := func(wantLatest, wantOdd, wantStates []string) {
			t.Helper()
			synctest.Wait()
			changes.Apply()
			if !slices.Equal(latest, wantLatest) || !slices.Equal(odd, wantOdd) || !slices.Equal(states, wantStates) {
				t.Errorf("got %q, %q and %q\nwant %q, %q and %q", latest, odd, states, wantLatest, wantOdd, wantStates)
			}
			latest, odd, states = nil, nil, nil
		}
		secrets := api.CoreV1().Secrets("default")
		must := func(_ *corev1.Secret, err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(secrets.Create(ctx, secret("0"), metav1.CreateOptions{}))
		must(secrets.Update(ctx, secret("1"), metav1.UpdateOptions{}))
		synctest.Wait()
		select {
		case <-changes.Changed():
		default:
			t.Error("nobody is woken")
		}
		check([]string{"default/a 1"}, []string{"default/a 1"}, []string{"default/a 0", "default/a 1"})
		must(secrets.Update(ctx, secret("2"), metav1.UpdateOptions{}))
		check([]string{"default/a 2"}, nil, []string{"default/a 2"})
		must(nil, secrets.Delete(ctx, "a", metav1.DeleteOptions{}))
		check([]string{"default/a gone"}, []string{"default/a gone"}, []string{"default/a gone"})
		check(nil, nil, nil)
	})
}

func TestHandlersGetObjectsOfTheirType(t *testing.T) {
	var got []string
	note := func(what string) func(*corev1.Secret) {
		return func(s *corev1.Secret) { got = append(got, what+" "+string(s.Data["v"])) }
	}
	f := Funcs[*corev1.Secret]{Add: note("add"), Update: func(_, s *corev1.Secret) { note("update")(s) }, Delete: note("delete")}
	f.OnAdd(secret("1"), true)
	f.OnUpdate(secret("1"), secret("2"))
	f.OnDelete(secret("3"))
	f.OnDelete(cache.DeletedFinalStateUnknown{Obj: secret("4")})
	f.OnDelete(cache.DeletedFinalStateUnknown{})
	Funcs[*corev1.Secret]{}.OnAdd(secret("5"), true)
	if want := []string{"add 1", "update 2", "delete 3", "delete 4"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestWhatIsDoneToAnInformerTooLateIsAMistake(t *testing.T) {
	withInformer(t, func(_ context.Context, _ *fake.Clientset, i cache.SharedIndexInformer, start func()) {
		Handle(i, OnAny(func() {}))
		start()
		defer func() {
			if recover() == nil {
				t.Error("a transform is set on an informer that runs")
			}
		}()
		SetTransform(i, func(o any) (any, error) { return o, nil })
	})
}
