package bundle

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/resource"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"

	"github.com/clarionlb/clarion/api/v1alpha1"
	clarionfake "github.com/clarionlb/clarion/client/versioned/fake"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// planted is what no archive may have. Each secret is another one, so that a failure says where it came from.
const planted = "hunter2"

func cluster(t *testing.T) *snapshot.Snapshot {
	t.Helper()
	env := plugin.Env{IOStreams: genericiooptions.IOStreams{}, Flags: genericclioptions.NewConfigFlags(true)}
	objects, err := env.ReadFiles(resource.FilenameOptions{Filenames: []string{"../whatif/testdata/cluster.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := snapshot.Parse(objects)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

// clients are those of a cluster with these objects.
func clients(taken *snapshot.Snapshot, more ...runtime.Object) *plugin.Clients {
	var kube, clarion []runtime.Object
	for _, object := range append(taken.Objects(), more...) {
		if _, _, err := scheme.Scheme.ObjectKinds(object); err == nil {
			kube = append(kube, object)
		} else {
			clarion = append(clarion, object)
		}
	}
	return &plugin.Clients{Kube: fakeapi.Kube(kube...), Clarion: fakeapi.Clarion(clarion...)}
}

// plant puts secrets wherever the objects of a cluster can have one, and returns the Secrets.
func plant(taken *snapshot.Snapshot) []runtime.Object {
	annotations := func() map[string]string {
		return map[string]string{
			corev1.LastAppliedConfigAnnotation: `{"data":{"password":"` + planted + `-applied"}}`,
			"example.com/token":                planted + "-annotation",
			"note":                             "the login is " + planted + "-note",
		}
	}
	for _, object := range taken.Objects() {
		m := object.(metav1.Object)
		m.SetAnnotations(annotations())
		m.SetManagedFields([]metav1.ManagedFieldsEntry{{Manager: planted + "-manager"}})
	}
	taken.BGPPeers[0].Spec.PasswordSecret = &v1alpha1.BGPPasswordSecret{Name: "tor"}
	taken.Announcers[0].Status.BGP.Peers[0].LastError = "wrong password: " + planted + "-session"
	taken.Services[0].Status.Conditions[0].Message = "see https://admin:" + planted + "-url@example.com/"
	taken.Events = append(taken.Events, &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: "e"},
		InvolvedObject: corev1.ObjectReference{Kind: "Service", Namespace: "shop", Name: "web"},
		Message:        `cannot log in: {\"token\": \"` + planted + `-event\"}, Authorization: Bearer ` + planted + "-bearer",
	})
	taken.Pods = append(taken.Pods, &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: snapshot.ControllerNamespace, Name: "ccm-1", Annotations: annotations(), Labels: map[string]string{"app.kubernetes.io/name": snapshot.ControllerName},
		},
		Spec: corev1.PodSpec{
			Containers: []corev1.Container{{
				Name: "ccm", Command: []string{"ccm", "--token", planted + "-command"},
				Args:      []string{"--load-balancer-class=example.com/lb", "--bind-password=" + planted + "-arg", "-v=2"},
				Env:       []corev1.EnvVar{{Name: "NAME", Value: planted + "-env"}},
				Lifecycle: &corev1.Lifecycle{PostStart: &corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{planted + "-hook"}}}},
				Ports:     []corev1.ContainerPort{{Name: "https", ContainerPort: 10258}},
				ReadinessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					Scheme: corev1.URISchemeHTTPS, Port: intstr.FromString("https"), Path: "/healthz",
				}}},
				LivenessProbe: &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
					HTTPHeaders: []corev1.HTTPHeader{{Name: "Authorization", Value: planted + "-probe"}},
				}}},
			}},
			InitContainers: []corev1.Container{{Name: "init", Args: []string{planted + "-init"}}},
		},
		Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "ccm", RestartCount: 1, Image: "clarion:v1",
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: "secret=" + planted + "-termination"}}}}},
	})
	return []runtime.Object{
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "clarion-bgp", Name: "tor"}, Data: map[string][]byte{"password": []byte(planted + "-secret")}},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "kube-system", Name: "c"}, Data: map[string]string{"a": planted + "-configmap"}},
	}
}

// filesIn are the files of an archive.
func filesIn(t *testing.T, archive []byte) map[string]string {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for r := tar.NewReader(compressed); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		files[header.Name] = string(text)
	}
}

// measured is what pods at this endpoint say; others refuse to.
type measured struct{ only endpoint }

func (m measured) Scrape(_ context.Context, pod *corev1.Pod, at endpoint) ([]byte, error) {
	if m.only != (endpoint{}) && at != m.only {
		return nil, fmt.Errorf("pods %q is forbidden", pod.Name)
	}
	return []byte("clarion_pool_addresses 1\npassword=" + planted + "-metric\n"), nil
}

func TestAnArchiveSaysWhyServicesAreInTroubleAndWhichMetricsAreMissing(t *testing.T) {
	taken := cluster(t)
	plant(taken)
	taken.L2Advertisements, taken.BGPAdvertisements = nil, nil
	var out bytes.Buffer
	o := &options{Env: plugin.Env{IOStreams: genericiooptions.IOStreams{Out: &out}}, file: "-", metrics: measured{endpoint{"http", 1}}}
	if err := o.run(t.Context(), clients(taken)); err != nil {
		t.Fatal(err)
	}
	files := filesIn(t, out.Bytes())
	if why := files["clarion-support/answers/why/shop/web.txt"]; !strings.Contains(why, "there is no L2Advertisement and no BGPAdvertisement") {
		t.Errorf("why: %q in %q", why, slices.Sorted(maps.Keys(files)))
	}
	if missing := files["clarion-support/missing"]; !strings.Contains(missing, `metrics/kube-system/ccm-1.txt: pods "ccm-1" is forbidden`) {
		t.Errorf("missing: %q", missing)
	}
}

func TestMetricsAreWhereTheKubeletAsks(t *testing.T) {
	probe := func(scheme corev1.URIScheme, port intstr.IntOrString) *corev1.Probe {
		return &corev1.Probe{ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Scheme: scheme, Port: port}}}
	}
	for name, test := range map[string]struct {
		container corev1.Container
		want      endpoint
	}{
		"an announcer":      {corev1.Container{ReadinessProbe: probe("", intstr.FromInt32(7948))}, endpoint{"http", 7948}},
		"a name":            {corev1.Container{ReadinessProbe: probe("HTTPS", intstr.FromString("a")), Ports: []corev1.ContainerPort{{Name: "a", ContainerPort: 1}}}, endpoint{"https", 1}},
		"a name of no port": {corev1.Container{ReadinessProbe: probe("HTTPS", intstr.FromString("a"))}, endpoint{}},
		"no probe":          {corev1.Container{}, endpoint{}},
	} {
		pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{test.container}}}
		if at, found := endpointOf(pod); found != (test.want != endpoint{}) || found && at != test.want {
			t.Errorf("%s: %v, %t", name, at, found)
		}
	}
}

func TestAnArchiveHasNoSecret(t *testing.T) {
	taken := cluster(t)
	c := clients(taken, plant(taken)...)
	var out bytes.Buffer
	if err := (&options{Env: plugin.Env{IOStreams: genericiooptions.IOStreams{Out: &out}}, file: "-", metrics: measured{}}).run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	files := filesIn(t, out.Bytes())
	for name, text := range files {
		for line := range strings.Lines(text) {
			if strings.Contains(line, planted) || strings.Contains(line, base64.StdEncoding.EncodeToString([]byte(planted))) {
				t.Errorf("%s: %s", name, line)
			}
		}
	}
	for file, want := range map[string]string{
		"objects/pod.yaml":                        "--load-balancer-class=example.com/lb",
		"objects/bgppeer.yaml":                    "name: tor",
		"objects/service.yaml":                    "name: web",
		"objects/event.yaml":                      "cannot log in",
		"objects/announcer.yaml":                  "192.0.2.200",
		"logs/kube-system/ccm-1/ccm.log":          "fake logs",
		"logs/kube-system/ccm-1/ccm.previous.log": "fake logs",
		"metrics/kube-system/ccm-1.txt":           "clarion_pool_addresses 1\npassword=(removed)",
		"answers/status.txt":                      "Pools",
		"version":                                 "clarion:v1",
	} {
		if !strings.Contains(files["clarion-support/"+file], want) {
			t.Errorf("%s: %q", file, files["clarion-support/"+file])
		}
	}
	if n := fakeapi.Count(&c.Kube.(*kubefake.Clientset).Fake, "list", "secrets") + fakeapi.Count(&c.Kube.(*kubefake.Clientset).Fake, "get", "secrets"); n > 0 {
		t.Errorf("%d reads of Secrets", n)
	}
}

func TestLogsAreScrubbed(t *testing.T) {
	key := base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32)))
	for _, line := range []string{
		`I0101 password=%s`, `level=info msg="x" token="%s"`, `{"authorization":"%s","a":1}`, `Authorization: Bearer %s`, `dial tcp://user:%s@192.0.2.1:179`,
		`the password is %s`, `{"msg":"{\"secret\":\"%s\"}"}`, `passphrase: '%s'`, `api_key = %s`, `credentials:%s`,
		"-----BEGIN EC PRIVATE KEY-----\n%s\n-----END EC PRIVATE KEY-----", "-----BEGIN RSA PRIVATE KEY-----%s",
	} {
		if got := string(Scrub(fmt.Appendf(nil, line, planted))); strings.Contains(got, planted) {
			t.Errorf("%s", got)
		}
	}
	for _, secret := range []string{key, "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJrdWJlcm5ldGVzIn0.c2lnbmF0dXJl"} {
		if got := string(Scrub([]byte("using " + secret + " now"))); strings.Contains(got, secret) {
			t.Errorf("%s", got)
		}
	}
	for _, line := range []string{
		`"Address moved" address="192.0.2.1" from="n1" to="n2"`, `the Secret clarion-bgp/tor has no password in it`, `read Secret clarion-bgp/tor: not found`,
		`image sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08`, `https://example.com:6443/api/v1`,
	} {
		if got := string(Scrub([]byte(line))); got != line {
			t.Errorf("%s has become %s", line, got)
		}
	}
}

func TestAnArchiveIsReadAgainAndSaysTheSame(t *testing.T) {
	taken := cluster(t)
	name := filepath.Join(t.TempDir(), "b.tar.gz")
	var out bytes.Buffer
	env := plugin.Env{IOStreams: genericiooptions.IOStreams{Out: &out}, Flags: genericclioptions.NewConfigFlags(true)}
	if err := (&options{Env: env, file: name, metrics: measured{}}).run(t.Context(), clients(taken)); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	objects, err := env.ReadFiles(resource.FilenameOptions{Filenames: []string{name}})
	if err != nil {
		t.Fatal(err)
	}
	again, err := snapshot.Parse(objects)
	if err != nil {
		t.Fatal(err)
	}
	was, is := taken.State(), again.State()
	for service := range was.Answers {
		before, after := was.Announced.Condition(service), is.Announced.Condition(service)
		if before == nil || after == nil || before.Message != after.Message {
			t.Errorf("%s: %v, not %v", service, after, before)
		}
	}
	if err := (&options{Env: env, file: name, metrics: measured{}}).run(t.Context(), clients(taken)); !errors.Is(err, os.ErrExist) {
		t.Errorf("a file is overwritten: %v", err)
	}
}

func TestWhatMayNotBeReadIsNamed(t *testing.T) {
	c := clients(cluster(t))
	fakeapi.Fail(&c.Clarion.(*clarionfake.Clientset).Fake, "list", "bgppeers", apierrors.NewForbidden(v1alpha1.Resource("bgppeers"), "", nil))
	var out bytes.Buffer
	if err := (&options{Env: plugin.Env{IOStreams: genericiooptions.IOStreams{Out: &out}}, file: "-", metrics: measured{}}).run(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if missing := filesIn(t, out.Bytes())["clarion-support/missing"]; !strings.Contains(missing, "bgppeers.clarionlb.io: ") {
		t.Errorf("%q", missing)
	}
}
