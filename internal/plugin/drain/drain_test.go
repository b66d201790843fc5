package drain

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/cli-runtime/pkg/resource"
	kubefake "k8s.io/client-go/kubernetes/fake"
	"k8s.io/client-go/kubernetes/scheme"
	clienttesting "k8s.io/client-go/testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/fakeapi"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// cluster is one of three nodes: node-1 has 192.0.2.200 and, with the only endpoint of its Service, 192.0.2.201.
type cluster struct {
	*plugin.Clients
	kube *kubefake.Clientset
	out  bytes.Buffer
	env  plugin.Env
}

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	c.env = plugin.Env{IOStreams: genericiooptions.IOStreams{Out: &c.out, ErrOut: &c.out}, Flags: genericclioptions.NewConfigFlags(true)}
	objects, err := c.env.ReadFiles(resource.FilenameOptions{Filenames: []string{"../whatif/testdata/cluster.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := snapshot.Parse(objects)
	if err != nil {
		t.Fatal(err)
	}
	var kube, clarion []runtime.Object
	for _, object := range taken.Objects() {
		if _, _, err := scheme.Scheme.ObjectKinds(object); err == nil {
			kube = append(kube, object)
		} else {
			clarion = append(clarion, object)
		}
	}
	c.kube = fakeapi.Kube(kube...)
	c.Clients = &plugin.Clients{Kube: c.kube, Clarion: fakeapi.Clarion(clarion...)}
	return c
}

func (c *cluster) node(t *testing.T, name string) *corev1.Node {
	t.Helper()
	node, err := c.Kube.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// setAnnouncer has an Announcer say that its node is drained and announces these addresses and routes.
func (c *cluster) setAnnouncer(t *testing.T, name string, routes int32, addresses ...string) {
	t.Helper()
	announcers := c.Clarion.ClarionV1alpha1().Announcers()
	a, err := announcers.Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	a.Status.Layer2.Addresses = nil
	for _, ip := range addresses {
		a.Status.Layer2.Addresses = append(a.Status.Layer2.Addresses, v1alpha1.Layer2Address{IP: ip, Epoch: 1})
	}
	a.Status.BGP.Peers[0].Prefixes = routes
	meta.SetStatusCondition(&a.Status.Conditions, metav1.Condition{Type: v1alpha1.ConditionReady, Status: metav1.ConditionTrue, Reason: v1alpha1.ReasonDraining})
	if _, err := announcers.UpdateStatus(t.Context(), a, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
}

func TestADrainIsRefusedThatWouldKeepAddresses(t *testing.T) {
	c := newCluster(t)
	err := (&drainOptions{Env: c.env}).run(t.Context(), c.Clients, []string{"node-1"})
	if plugin.ExitCode(err) != plugin.ExitRefused || !strings.Contains(err.Error(), "192.0.2.201 of Service shop/local") {
		t.Errorf("%v", err)
	}
	if c.node(t, "node-1").Annotations[v1alpha1.AnnotationDrain] != "" {
		t.Error("the node is annotated nevertheless")
	}
	err = (&drainOptions{Env: c.env}).run(t.Context(), c.Clients, []string{"node-3", "node-9"})
	if err == nil || c.node(t, "node-3").Annotations[v1alpha1.AnnotationDrain] != "" {
		t.Errorf("with a node that does not exist: %v", err)
	}
}

func TestADrainWaitsUntilOthersAnnounceEverything(t *testing.T) {
	c := newCluster(t)
	synctest.Test(t, func(t *testing.T) {
		done := make(chan error, 1)
		go func() {
			done <- (&drainOptions{Env: c.env, force: true, timeout: time.Hour}).run(t.Context(), c.Clients, []string{"node-1"})
		}()
		time.Sleep(10 * time.Second) // of the bubble
		if c.node(t, "node-1").Annotations[v1alpha1.AnnotationDrain] != "true" {
			t.Error("the node is not annotated")
		}
		c.setAnnouncer(t, "node-1", 1, "192.0.2.200", "192.0.2.201")
		time.Sleep(10 * time.Second)
		select {
		case err := <-done:
			t.Errorf("it has not waited: %v", err)
		default:
		}
		c.setAnnouncer(t, "node-1", 0, "192.0.2.201")
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	want := `warning: no other node can announce 192.0.2.201 of Service shop/local
Node node-1 is to be drained
Node node-1 has not noticed yet
Node node-1 still announces 2 addresses and 1 route
Node node-1 announces 1 address and 0 routes, which no other node can
`
	if c.out.String() != want {
		t.Errorf("%s", c.out.String())
	}
}

func TestADrainThatTakesTooLongSaysWhatIsLeft(t *testing.T) {
	c := newCluster(t)
	c.setAnnouncer(t, "node-3", 1, "192.0.2.202")
	synctest.Test(t, func(t *testing.T) {
		err := (&drainOptions{Env: c.env, timeout: time.Minute}).run(t.Context(), c.Clients, []string{"node-3"})
		if err == nil || !strings.Contains(err.Error(), "after 1m0s Node node-3 still announces 1 address and 1 route") {
			t.Errorf("%v", err)
		}
	})
}

func TestADrainOfANodeWhoseAnnouncerDoesNotRunSaysSo(t *testing.T) {
	a := &v1alpha1.Announcer{}
	a.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: v1alpha1.ReasonAnnouncerDown, Message: "The announcer does not run."}}
	if says, done := progress(a, rest{}); says != "cannot say what it announces: The announcer does not run." || done {
		t.Errorf("it says %q, done: %v", says, done)
	}
}

func TestADryRunChangesNothing(t *testing.T) {
	c := newCluster(t)
	c.kube.PrependReactor("patch", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, errors.New("a write") })
	if err := (&drainOptions{Env: c.env, dryRun: true}).run(t.Context(), c.Clients, []string{"node-3"}); err != nil {
		t.Error(err)
	}
	if !strings.Contains(c.out.String(), "192.0.2.202 moves from node-3 to node-2") {
		t.Errorf("%s", c.out.String())
	}
	if err := (&undrainOptions{Env: c.env, dryRun: true}).run(t.Context(), c.Clients, []string{"node-3"}); err != nil {
		t.Error(err)
	}
}

func TestUndrainRemovesTheAnnotationAndNamesWhatElseDrains(t *testing.T) {
	c := newCluster(t)
	node := c.node(t, "node-3")
	node.Annotations = map[string]string{v1alpha1.AnnotationDrain: "true", "other": "stays"}
	node.Labels = map[string]string{corev1.LabelNodeExcludeBalancers: ""}
	if _, err := c.Kube.CoreV1().Nodes().Update(t.Context(), node, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	o := &undrainOptions{Env: c.env}
	if err := o.run(t.Context(), c.Clients, []string{"node-3", "node-9"}); err == nil || len(c.node(t, "node-3").Annotations) != 2 {
		t.Errorf("with a node that does not exist: %v", err)
	}
	if err := o.run(t.Context(), c.Clients, []string{"node-3", "node-2"}); err != nil {
		t.Fatal(err)
	}
	if annotations := c.node(t, "node-3").Annotations; len(annotations) != 1 || annotations["other"] != "stays" {
		t.Errorf("%v", annotations)
	}
	for _, want := range []string{"Node node-3 is not drained any more", "the label node.kubernetes.io/exclude-from-external-load-balancers drains Node node-3, too", "Node node-2 has no annotation"} {
		if !strings.Contains(c.out.String(), want) {
			t.Errorf("%s", c.out.String())
		}
	}
}

func TestRebalancingAsksThoseWhoHaveTooMany(t *testing.T) {
	for _, test := range []struct {
		nodes []string
		want  []string // that are asked
	}{{nil, []string{"node-1"}}, {[]string{"node-1"}, []string{"node-1"}}, {[]string{"node-2"}, nil}} {
		c := newCluster(t)
		if err := (&rebalanceOptions{Env: c.env}).run(t.Context(), c.Clients, test.nodes, time.Unix(1, 0)); err != nil {
			t.Fatal(err)
		}
		list, err := c.Clarion.ClarionV1alpha1().Announcers().List(t.Context(), metav1.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		for _, a := range list.Items {
			if a.Annotations[v1alpha1.AnnotationRebalance] == "1970-01-01T00:00:01Z" {
				asked = append(asked, a.Name)
			}
		}
		if strings.Join(asked, " ") != strings.Join(test.want, " ") {
			t.Errorf("of %v these are asked: %v\n%s", test.nodes, asked, c.out.String())
		}
		if len(test.want) > 0 != strings.Contains(c.out.String(), "192.0.2.200 moves from node-1 to node-2") {
			t.Errorf("%v: %s", test.nodes, c.out.String())
		}
	}
	c := newCluster(t)
	if err := (&rebalanceOptions{Env: c.env}).run(t.Context(), c.Clients, []string{"node-9"}, time.Unix(1, 0)); err == nil {
		t.Error("a node that does not exist")
	}
}
