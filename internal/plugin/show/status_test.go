package show

import (
	"bytes"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clarionlb/clarion/internal/causes"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

func TestStatusNamesEveryObjectThatIsNotInForceAsItIsWritten(t *testing.T) {
	for _, cause := range causes.All() {
		if cause.Symptom != causes.NotAsWritten {
			continue
		}
		t.Run(cause.Name, func(t *testing.T) {
			found := causes.Produce(t, cause)
			taken := snapshot.Of(found.Objects...)
			taken.Events, taken.Time = found.Events, found.Now
			v := statusOf(taken.State())
			for _, shown := range cause.Shown {
				if shown.Column {
					continue
				}
				named := false
				for _, item := range v.Degraded {
					kind, name, _ := strings.Cut(item.Name, " ")
					named = named || strings.ToLower(kind)+"/"+name == shown.Object && item.Sentence != ""
				}
				if !named {
					t.Errorf("nothing is said of %s: %+v", shown.Object, v.Degraded)
				}
			}
		})
	}
}

// example is the cluster of the examples.
func example(t *testing.T) *snapshot.Snapshot {
	t.Helper()
	env := plugin.Env{Flags: genericclioptions.NewConfigFlags(true)}
	objects, err := env.ReadFiles(resource.FilenameOptions{Filenames: []string{"../testdata/cluster.yaml"}})
	if err != nil {
		t.Fatal(err)
	}
	taken, err := snapshot.Parse(objects)
	if err != nil {
		t.Fatal(err)
	}
	return taken
}

func TestStatusSaysWhatIsWrongWithTheCloudControllerManagerAndCountsWhatServicesHave(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*snapshot.Snapshot)
		want   []string
		not    string
	}{
		{"all is well", func(*snapshot.Snapshot) {}, []string{"✔ the cloud-controller-manager runs"}, "→ kubectl -n kube-system"},
		{"its Pod is not ready", func(s *snapshot.Snapshot) {
			for _, pod := range s.Pods {
				if strings.HasPrefix(pod.Name, snapshot.ControllerName) {
					pod.Status.Conditions[0].Status = corev1.ConditionFalse
				}
			}
		}, []string{"Pod clarion-cloud-controller-manager-0: is not ready", "→ kubectl -n kube-system describe pod clarion-cloud-controller-manager-0"}, "✔ the cloud-controller-manager"},
		{"it is away", func(s *snapshot.Snapshot) { s.Time = s.Time.Add(time.Minute) }, []string{"has not been heard of", "→ have a replica run"}, "✔ the cloud-controller-manager"},
		{"there is no Lease", func(s *snapshot.Snapshot) { s.Leases = nil }, []string{"holds the Lease", "→ kubectl -n kube-system logs"}, "✔ the cloud-controller-manager"},
	} {
		s := example(t)
		test.change(s)
		for _, service := range s.Services {
			if service.Name == "late" { // is not answered yet
				service.Status.Conditions, service.Annotations = nil, nil
			}
		}
		var out bytes.Buffer
		if err := WriteStatus(&out, s.State()); err != nil {
			t.Fatal(err)
		}
		for _, want := range append(test.want, "IPv4 2 of 4 in use") {
			if !strings.Contains(out.String(), want) {
				t.Errorf("%s: it does not say %q:\n%s", test.name, want, &out)
			}
		}
		if strings.Contains(out.String(), test.not) {
			t.Errorf("%s: it says %q:\n%s", test.name, test.not, &out)
		}
	}
}
