package migrate

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	dynamicfake "k8s.io/client-go/dynamic/fake"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/migrate"
	"github.com/clarionlb/clarion/internal/scope"
)

// clarion answers each Service that is taken up, as the cloud-controller-manager does; with a refusal those that are to be refused.
func clarion(kube *fake.Clientset, refused string) {
	kube.PrependReactor("patch", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		patch := action.(clienttesting.PatchAction)
		if patch.GetSubresource() != "status" {
			return false, nil, nil
		}
		services := kube.Tracker()
		object, err := services.Get(action.GetResource(), action.GetNamespace(), patch.GetName())
		if err != nil {
			return true, nil, err
		}
		s := object.(*corev1.Service).DeepCopy()
		said := metav1.Condition{Type: v1alpha1.ConditionAddressAssigned, Status: metav1.ConditionTrue, Message: "all is well"}
		if s.Name == refused {
			said.Status, said.Message, s.Status.LoadBalancer.Ingress = metav1.ConditionFalse, "192.0.2.1 is in no pool", nil
		}
		s.Status.Conditions, s.Finalizers = []metav1.Condition{said}, []string{scope.Finalizer}
		return true, s, services.Update(action.GetResource(), s, action.GetNamespace())
	})
}

func web(name, address string) *corev1.Service {
	s := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name, UID: types.UID(name), Annotations: map[string]string{"example.com/a": "b"}},
		Spec:       corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer},
	}
	s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
	return s
}

func adopt(name, address string) migrate.Move {
	return migrate.Move{Service: types.NamespacedName{Namespace: "default", Name: name}, How: migrate.Adopt, Addresses: []string{address},
		Annotations: map[string]string{"clarionlb.io/addresses": address}}
}

// cluster has Services, and an applier that writes to it and to a record.
func cluster(t *testing.T, refused string, services ...runtime.Object) (*fake.Clientset, *applier, string) {
	t.Helper()
	kube := fake.NewClientset(services...)
	clarion(kube, refused)
	path := filepath.Join(t.TempDir(), "record")
	record, err := openRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	return kube, &applier{kube: kube, dynamic: dynamicfake.NewSimpleDynamicClient(runtime.NewScheme()), record: record, timeout: time.Nanosecond, out: &bytes.Buffer{}}, path
}

func get(t *testing.T, kube *fake.Clientset, name string) *corev1.Service {
	t.Helper()
	s, err := kube.CoreV1().Services("default").Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// untouched says whether a Service is as another load balancer has it.
func untouched(s *corev1.Service, address string) bool {
	return len(s.Finalizers) == 0 && len(s.Status.Conditions) == 0 && len(s.Annotations) == 1 && slices.Equal(addressesOf(s), []string{address})
}

func TestAServiceIsTakenUpAndGivenBack(t *testing.T) {
	kube, a, path := cluster(t, "", web("a", "192.0.2.1"), web("b", "192.0.2.2"))
	a.timeout = time.Minute
	if err := a.move(t.Context(), []migrate.Move{adopt("a", "192.0.2.1")}); err != nil {
		t.Fatal(err)
	}
	if s := get(t, kube, "a"); s.Annotations["clarionlb.io/addresses"] != "192.0.2.1" || assigned(s, []string{"192.0.2.1"}) != nil {
		t.Errorf("it is %+v", s)
	}
	if s := get(t, kube, "b"); !untouched(s, "192.0.2.2") {
		t.Errorf("another one is %+v", s)
	}
	entries, err := readRecord(path)
	if err != nil || len(entries) != 2 || len(unsettled(entries)) != 0 {
		t.Fatal(entries, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := a.rollback(t.Context(), entries); err != nil {
			t.Fatal(err)
		}
		if s := get(t, kube, "a"); !untouched(s, "192.0.2.1") {
			t.Errorf("after that it is %+v", s)
		}
	}
}

func TestAServiceThatAsksForItsAddressKeepsItsAnnotations(t *testing.T) {
	kube, a, path := cluster(t, "", web("a", "192.0.2.1"))
	a.timeout = time.Minute
	move := adopt("a", "192.0.2.1")
	move.Annotations = nil
	if err := a.move(t.Context(), []migrate.Move{move}); err != nil {
		t.Fatal(err)
	}
	if s := get(t, kube, "a"); s.Annotations["example.com/a"] != "b" || assigned(s, []string{"192.0.2.1"}) != nil {
		t.Errorf("it is %+v", s)
	}
	entries, err := readRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.rollback(t.Context(), entries); err != nil {
		t.Fatal(err)
	}
	if s := get(t, kube, "a"); !untouched(s, "192.0.2.1") {
		t.Errorf("after that it is %+v", s)
	}
}

func TestAServiceThatIsRefusedIsPutBackWithItsAddress(t *testing.T) {
	kube, a, _ := cluster(t, "b", web("a", "192.0.2.1"), web("b", "192.0.2.1"))
	a.timeout = 3 * poll
	err := a.move(t.Context(), []migrate.Move{adopt("a", "192.0.2.1"), adopt("b", "192.0.2.1")})
	if err == nil || !strings.Contains(err.Error(), "is in no pool") {
		t.Errorf("it says %v", err)
	}
	for _, name := range []string{"a", "b"} {
		if s := get(t, kube, name); !untouched(s, "192.0.2.1") {
			t.Errorf("%s is %+v", name, s)
		}
	}
}

// another gives each Service of class "other" an address when it becomes a load balancer: the one that an annotation asks for, or
// else the next one.
func another(kube *fake.Clientset, next string) {
	kube.PrependReactor("update", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		s := action.(clienttesting.UpdateAction).GetObject().(*corev1.Service).DeepCopy()
		address := cmp.Or(s.Annotations["example.com/address"], next)
		switch {
		case s.Spec.Type != corev1.ServiceTypeLoadBalancer:
			s.Status.LoadBalancer.Ingress = nil
		case ptr.Deref(s.Spec.LoadBalancerClass, "") == "other" && address != "":
			s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address}}
		}
		return true, s, kube.Tracker().Update(action.GetResource(), s, action.GetNamespace())
	})
}

func TestAServiceThatWasMadeAnewGetsItsAddressBack(t *testing.T) {
	for name, test := range map[string]struct {
		reclaim map[string]string
		next    string
		wrong   string
	}{
		"it asks for it":                      {map[string]string{"example.com/address": "192.0.2.1"}, "192.0.2.9", ""},
		"it comes first":                      {nil, "192.0.2.1", ""},
		"the other load balancer has another": {nil, "192.0.2.9", `["192.0.2.9"] in place of ["192.0.2.1"]`},
		"the other load balancer is gone":     {nil, "", "does it run?"},
	} {
		t.Run(name, func(t *testing.T) {
			before := web("a", "192.0.2.1")
			before.Spec.LoadBalancerClass = ptr.To("other")
			after := before.DeepCopy()
			after.Spec.LoadBalancerClass = ptr.To("clarionlb.io/clarion")
			kube, a, _ := cluster(t, "", after)
			a.timeout = 3 * poll
			another(kube, test.next)
			err := a.rollback(t.Context(), []entry{{Service: before, How: migrate.Recreate, Reclaim: test.reclaim}})
			if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
				t.Errorf("it says %v", err)
			}
			if s := get(t, kube, "a"); ptr.Deref(s.Spec.LoadBalancerClass, "") != "other" || test.wrong == "" && !slices.Equal(addressesOf(s), []string{"192.0.2.1"}) {
				t.Errorf("it is %+v", s)
			}
		})
	}
}

// allocating has the API server refuse node ports for good, as it does.
func allocating(kube *fake.Clientset, taken ...int32) {
	kube.PrependReactor("update", "services", func(action clienttesting.Action) (bool, runtime.Object, error) {
		s := action.(clienttesting.UpdateAction).GetObject().(*corev1.Service)
		for i, p := range s.Spec.Ports {
			if slices.Contains(taken, p.NodePort) {
				path := field.NewPath("spec", "ports").Index(i).Child("nodePort")
				return true, nil, apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), s.Name,
					field.ErrorList{field.Invalid(path, p.NodePort, "provided port is already allocated")})
			}
		}
		if port := s.Spec.HealthCheckNodePort; slices.Contains(taken, port) {
			return true, nil, apierrors.NewInternalError(fmt.Errorf("failed to allocate requested HealthCheck NodePort %d: provided port is already allocated", port))
		}
		return false, nil, nil
	})
}

func TestAServiceGetsItsAddressBackWithoutTheNodePortsThatAreTaken(t *testing.T) {
	for name, test := range map[string]struct {
		taken []int32
		want  string
	}{
		"none":                    {nil, "31481 31482 32000"},
		"a node port":             {[]int32{31482}, "31481 0 32000"},
		"the healthCheckNodePort": {[]int32{32000}, "31481 31482 0"},
		"all":                     {[]int32{31481, 31482, 32000}, "0 0 0"},
		"others":                  {[]int32{3148, 1482}, "31481 31482 32000"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				before := web("a", "192.0.2.1")
				before.Spec.LoadBalancerClass, before.Spec.ExternalTrafficPolicy, before.Spec.HealthCheckNodePort = ptr.To("other"), corev1.ServiceExternalTrafficPolicyLocal, 32000
				before.Spec.Ports = []corev1.ServicePort{{Port: 80, NodePort: 31481}, {Port: 443, NodePort: 31482}}
				kube, a, _ := cluster(t, "", before.DeepCopy())
				a.timeout = time.Minute
				another(kube, "192.0.2.1")
				allocating(kube, test.taken...)
				if err := a.rollback(t.Context(), []entry{{Service: before, How: migrate.Recreate}}); err != nil {
					t.Fatal(err)
				}
				s := get(t, kube, "a")
				if got := fmt.Sprint(s.Spec.Ports[0].NodePort, s.Spec.Ports[1].NodePort, s.Spec.HealthCheckNodePort); got != test.want {
					t.Errorf("it has node ports %s, want %s", got, test.want)
				}
				if ptr.Deref(s.Spec.LoadBalancerClass, "") != "other" || !slices.Equal(addressesOf(s), []string{"192.0.2.1"}) {
					t.Errorf("it is %+v", s)
				}
			})
		})
	}
}

func TestAServiceIsMovedWithoutANodePortThatIsTakenMeanwhile(t *testing.T) {
	synctest.Test(t, testMoveWithoutNodePort)
}

func testMoveWithoutNodePort(t *testing.T) {
	s := web("a", "192.0.2.1")
	s.Spec.LoadBalancerClass, s.Spec.Ports = ptr.To("other"), []corev1.ServicePort{{Port: 80, NodePort: 31481}}
	kube, a, _ := cluster(t, "", s)
	allocating(kube, 31481)
	m := adopt("a", "192.0.2.1")
	m.How, m.Class = migrate.Recreate, v1alpha1.LoadBalancerClass
	if err := a.begin(t.Context(), &m); err != nil {
		t.Fatal(err)
	}
	if err := a.finish(t.Context(), &m, s); err == nil || !strings.Contains(err.Error(), "there is no answer yet") {
		t.Errorf("%v", err) // nobody answers for the cloud-controller-manager here
	}
	if got := get(t, kube, "a"); got.Spec.Ports[0].NodePort != 0 || ptr.Deref(got.Spec.LoadBalancerClass, "") != v1alpha1.LoadBalancerClass {
		t.Errorf("it is %+v", got.Spec)
	}
}

// TestAServiceIsChangedOnceTheAPIServerLetsIt has the API server refuse the first updates.
func TestAServiceIsChangedOnceTheAPIServerLetsIt(t *testing.T) {
	services, port := corev1.SchemeGroupVersion.WithResource("services").GroupResource(), field.NewPath("spec", "ports").Index(0).Child("nodePort")
	invalid := func(message string) error {
		return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Service").GroupKind(), "a", field.ErrorList{field.Invalid(port, 31481, message)})
	}
	for name, test := range map[string]struct {
		refusal error
		changed bool
	}{
		"somebody else has changed it":      {apierrors.NewConflict(services, "a", errors.New("modified")), true},
		"its node port is not given up yet": {invalid("provided port is already allocated"), true},
		"its node port is none":             {invalid("provided port is not in the valid range"), false},
		"nobody may change it":              {apierrors.NewForbidden(services, "a", errors.New("no")), false},
	} {
		t.Run(name, func(t *testing.T) {
			kube, a, _ := cluster(t, "", web("a", "192.0.2.1"))
			refusals := 2
			kube.PrependReactor("update", "services", func(clienttesting.Action) (bool, runtime.Object, error) {
				refusals--
				return refusals >= 0, nil, test.refusal
			})
			err := a.update(t.Context(), types.NamespacedName{Namespace: "default", Name: "a"}, withdraw)
			if changed := get(t, kube, "a").Spec.Type == corev1.ServiceTypeClusterIP; changed != test.changed || (err == nil) != changed {
				t.Errorf("it is changed: %t, %v", changed, err)
			}
		})
	}
}

func TestWhatIsGoneOrAnotherOneIsNotRolledBack(t *testing.T) {
	other := web("other", "192.0.2.2")
	kube, a, _ := cluster(t, "", other)
	gone, before := web("gone", "192.0.2.1"), web("other", "192.0.2.1")
	before.UID = "former"
	entries := []entry{{Service: gone, How: migrate.Adopt}, {Service: before, How: migrate.Recreate}}
	if err := a.rollback(context.Background(), entries); err != nil {
		t.Fatal(err)
	}
	if s := get(t, kube, "other"); !untouched(s, "192.0.2.2") {
		t.Errorf("it is %+v", s)
	}
	want := "Service default/other is another one by now, and is left as it is\nService default/gone is gone\n"
	if said := a.out.(*bytes.Buffer).String(); said != want {
		t.Errorf("it says %s", said)
	}
}

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	for range 2 { // a later run adds to it
		r, err := openRecord(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.add(entry{Created: &created{Kind: "IPAddressPool", Name: "lan", UID: "u"}}); err != nil {
			t.Fatal(err)
		}
	}
	entries, err := readRecord(path)
	if err != nil || len(entries) != 2 || *entries[1].Created != (created{Kind: "IPAddressPool", Name: "lan", UID: "u"}) {
		t.Errorf("%+v, %v", entries, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("{}\nnonsense\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readRecord(path); err == nil || !strings.Contains(err.Error(), "line 2") {
		t.Errorf("of a record with nonsense: %v", err)
	}
}

func TestALineThatACrashHasCutIsNoPartOfTheRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	for _, text := range []string{`{"created":{"kind":"IPAddressPool","na`, "{\"created\":{\"kind\":\"IPAddressPool\"}}\n{", "{\"created\":{\"kind\":\"IPAddressPool\"}}\n"} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		whole := strings.Count(text, "\n")
		if entries, err := readRecord(path); err != nil || len(entries) != whole {
			t.Errorf("%q: %v, %v", text, entries, err)
		}
		r, err := openRecord(path)
		if err == nil {
			err = r.add(entry{Settled: "default/a"})
		}
		if err != nil {
			t.Fatal(err)
		}
		if entries, err := readRecord(path); err != nil || len(entries) != whole+1 || entries[whole].Settled != "default/a" {
			t.Errorf("after %q: %v, %v", text, entries, err)
		}
	}
}

func TestWhatIsUndoneIsNotUndoneAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "record")
	r, err := openRecord(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []entry{{Service: web("a", "192.0.2.1")}, {RolledBack: true}, {Service: web("b", "192.0.2.2")}} {
		if err := r.add(e); err != nil {
			t.Fatal(err)
		}
	}
	if entries, err := readRecord(path); err != nil || len(entries) != 1 || entries[0].name() != "default/b" {
		t.Errorf("%v, %v", entries, err)
	}
}

// TestAServiceThatWasLeftInTheMiddleIsPutBack kills a run when two Services that share an address are on their way.
func TestAServiceThatWasLeftInTheMiddleIsPutBack(t *testing.T) {
	a0, b0, moved := web("a", "192.0.2.1"), web("b", "192.0.2.1"), web("moved", "192.0.2.3")
	for _, s := range []*corev1.Service{a0, b0} {
		s.Spec.LoadBalancerClass = ptr.To("other")
	}
	kube, a, path := cluster(t, "", a0, b0, moved)
	a.timeout = time.Minute
	another(kube, "192.0.2.1")
	if err := a.move(t.Context(), []migrate.Move{adopt("moved", "192.0.2.3")}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"a", "b"} {
		m := adopt(name, "192.0.2.1")
		m.How = migrate.Recreate
		if err := errors.Join(a.record.add(entry{Service: get(t, kube, name), How: m.How, Annotations: []string{"clarionlb.io/addresses"}}), a.begin(t.Context(), &m)); err != nil {
			t.Fatal(err)
		}
	}
	if s := get(t, kube, "a"); s.Spec.Type != corev1.ServiceTypeClusterIP {
		t.Fatalf("on its way it is %+v", s)
	}
	for _, left := range []int{2, 0} { // the second time there is nothing to do
		entries, err := readRecord(path)
		if err != nil || len(unsettled(entries)) != left {
			t.Fatalf("%v, %v, want %d that are left in the middle", entries, err, left)
		}
		if err := a.settle(t.Context(), unsettled(entries)); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"a", "b"} {
			if s := get(t, kube, name); ptr.Deref(s.Spec.LoadBalancerClass, "") != "other" || !untouched(s, "192.0.2.1") {
				t.Errorf("%s is %+v", name, s)
			}
		}
	}
	if s := get(t, kube, "moved"); assigned(s, []string{"192.0.2.3"}) != nil {
		t.Errorf("one that was moved before is %+v", s)
	}
}

func TestARollbackWithoutARecordSaysWhatElseThereIs(t *testing.T) {
	o := &options{rollback: filepath.Join(t.TempDir(), "none")}
	if err := o.runRollback(t.Context()); err == nil || !strings.Contains(err.Error(), "uninstall --hand-over") {
		t.Error(err)
	}
}

func TestACanaryIsAServiceOrANamespaceWithWhatSharesItsAddress(t *testing.T) {
	moves := []migrate.Move{adopt("a", "192.0.2.1"), adopt("b", "192.0.2.2"), adopt("c", "192.0.2.1")}
	moves[1].Service.Namespace = "shop"
	for canary, want := range map[string]string{"": "a b c", "default/a": "a c", "shop": "b", "shop/b": "b", "default": "a c", "nobody": "", "default/b": ""} {
		chosen, err := selected(moves, canary)
		var names []string
		for _, m := range chosen {
			names = append(names, m.Service.Name)
		}
		if got := strings.Join(names, " "); got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %s, %v", canary, got, err)
		}
	}
}
