package schema

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	kubernetesscheme "k8s.io/client-go/kubernetes/scheme"
	kubeproxy "k8s.io/kube-proxy/config/v1alpha1"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// foreign are the API groups of others whose schemas this module does not have.
var foreign = []string{
	"argoproj.io", "gateway.networking.k8s.io", "kubeadm.k8s.io", "kustomize.config.k8s.io", "kustomize.toolkit.fluxcd.io",
	"source.toolkit.fluxcd.io",
}

// blocks are the fenced blocks of a language in the documents, by the document and the line on which they begin.
func blocks(t *testing.T, language string) map[string]string {
	t.Helper()
	fence := regexp.MustCompile("(?ms)^( *)```" + language + "\n(.*?)^ *```$")
	found := map[string]string{}
	root := "../.."
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			if within, _ := filepath.Rel(root, path); within != "." && within != "docs" && !strings.HasPrefix(within, "docs/") {
				return filepath.SkipDir
			}
			return nil
		}
		if filepath.Ext(path) != ".md" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, at := range fence.FindAllSubmatchIndex(text, -1) {
			indent, block := string(text[at[2]:at[3]]), string(text[at[4]:at[5]])
			line := bytes.Count(text[:at[0]], []byte("\n")) + 1
			block = strings.ReplaceAll("\n"+block, "\n"+indent, "\n")[1:]
			found[fmt.Sprintf("%s:%d", path, line)] = block
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatalf("there is no block of %s", language)
	}
	return found
}

// TestObjectsInDocumentsAreAsTheAPITakesThem reads every object in the documents with the types of its API, or with the schema of
// its CRD, and refuses fields that these do not have.
func TestObjectsInDocumentsAreAsTheAPITakesThem(t *testing.T) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{kubernetesscheme.AddToScheme, kubeproxy.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	strict := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	checked := 0
	for where, block := range blocks(t, "yaml") {
		documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(block)))
		for {
			document, err := documents.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			var object unstructured.Unstructured
			if err == nil {
				err = yaml.UnmarshalStrict(document, &object.Object)
			}
			if err != nil {
				t.Errorf("%s: %v", where, err)
				break
			}
			group := object.GroupVersionKind().Group
			switch {
			case object.GetKind() == "" || slices.Contains(foreign, group):
				continue // a part of something, which has to be YAML
			case group == v1alpha1.SchemeGroupVersion.Group:
				err = ours(t, object.Object)
			default:
				_, _, err = strict.Decode(document, nil, nil)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", where, object.GetKind(), err)
			}
			checked++
		}
	}
	if checked < 15 {
		t.Errorf("only %d objects were found", checked)
	}
}

// ours says what is wrong with an object of Clarion.
func ours(t *testing.T, object map[string]any) error {
	t.Helper()
	kind, _, _ := unstructured.NestedString(object, "kind")
	plural := strings.ToLower(kind) + "s"
	if kind == "Community" {
		plural = "communities"
	}
	s := read(t, plural)
	for _, field := range []string{"apiVersion", "kind", "metadata"} { // those that every object has
		delete(object, field)
	}
	unknown := pruning.PruneWithOptions(runtime.DeepCopyJSON(object), s.structural, false,
		structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	if len(unknown) > 0 {
		return errors.New("unknown fields " + strings.Join(unknown, ", "))
	}
	spec, err := yaml.Marshal(object["spec"])
	if err != nil {
		return err
	}
	text, err := yaml.YAMLToJSON(spec)
	if err != nil {
		return err
	}
	if refusal := s.refuse(t, string(text)); refusal != "" {
		return errors.New(refusal)
	}
	return nil
}

// TestTheFirewallOfTheGuideIsOneThatNFTTakes needs root: nft asks the kernel.
func TestTheFirewallOfTheGuideIsOneThatNFTTakes(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root")
	}
	for where, block := range blocks(t, "nft") {
		nft := exec.CommandContext(t.Context(), "nft", "--check", "--file", "-")
		nft.Stdin = strings.NewReader(block)
		if output, err := nft.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", where, err, output)
		}
	}
}

// TestTheHealthCheckForArgoCDSaysWhatReadySays runs the check of the guide as Argo CD does, with the object in the global obj.
func TestTheHealthCheckForArgoCDSaysWhatReadySays(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/gitops.md")
	if err != nil {
		t.Fatal(err)
	}
	var configMap struct{ Data map[string]string }
	block := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if err := yaml.Unmarshal(block[1], &configMap); err != nil {
		t.Fatal(err)
	}
	var customizations map[string]map[string]string
	if err := yaml.Unmarshal([]byte(configMap.Data["resource.customizations"]), &customizations); err != nil {
		t.Fatal(err)
	}
	check := customizations[v1alpha1.SchemeGroupVersion.Group+"/*"]["health.lua"]
	for _, tt := range []struct{ object, health, message string }{
		{`{}`, "Progressing", "Clarion has not seen it yet"},
		{`{status = {}}`, "Progressing", "Clarion has not seen it yet"},
		{`{status = {conditions = {{type = "StrictARP", status = "False", message = "a"}}}}`, "Progressing", "Clarion has not seen it yet"},
		{`{status = {conditions = {{type = "Ready", status = "Unknown", message = "a"}}}}`, "Progressing", "a"},
		{`{status = {conditions = {{type = "Ready", status = "False", message = "a"}}}}`, "Degraded", "a"},
		{`{status = {conditions = {{type = "Ready", status = "True", message = "a"}, {type = "Recorded", status = "False"}}}}`, "Healthy", "a"},
	} {
		state := lua.NewState()
		err := state.DoString("obj = " + tt.object + "\n" + check)
		result, is := state.Get(-1).(*lua.LTable)
		if err != nil || !is {
			t.Fatalf("%s: %v %v", tt.object, state.Get(-1), err)
		}
		if health, message := result.RawGetString("status").String(), result.RawGetString("message").String(); health != tt.health || message != tt.message {
			t.Errorf("%s: %s %q, want %s %q", tt.object, health, message, tt.health, tt.message)
		}
		state.Close()
	}
}

// TestFluxWaitsForWhatReadySays computes the state of objects as Flux does.
func TestFluxWaitsForWhatReadySays(t *testing.T) {
	const pool = `{"apiVersion": "clarionlb.io/v1alpha1", "kind": "IPAddressPool", "metadata": {"name": "a", "generation": 2}, "status": {"conditions": [%s]}}`
	const service = `{"apiVersion": "v1", "kind": "Service", "metadata": {"name": "a"}, "spec": {"type": "LoadBalancer", "clusterIP": "10.96.0.9"}, "status": {%s}}`
	for object, want := range map[string]status.Status{
		fmt.Sprintf(pool, ``): status.CurrentStatus, // nobody has seen it yet
		fmt.Sprintf(pool, `{"type": "Ready", "status": "True"}`):                                            status.CurrentStatus,
		fmt.Sprintf(pool, `{"type": "Ready", "status": "False", "reason": "Invalid"}`):                      status.InProgressStatus,
		fmt.Sprintf(pool, `{"type": "Ready", "status": "Unknown"}`):                                         status.InProgressStatus,
		fmt.Sprintf(service, `"conditions": [{"type": "clarionlb.io/AddressAssigned", "status": "False"}]`): status.CurrentStatus,
		fmt.Sprintf(service, `"loadBalancer": {"ingress": [{"ip": "192.168.10.200", "ipMode": "VIP"}]}`):    status.CurrentStatus,
	} {
		var u unstructured.Unstructured
		if err := u.UnmarshalJSON([]byte(object)); err != nil {
			t.Fatal(err)
		}
		if got, err := status.Compute(&u); err != nil || got.Status != want {
			t.Errorf("%s: %v (%v), want %s", object, got, err, want)
		}
	}
}

// TestWhatGitOpsAppliesIsInTheRepository holds the paths that the guide names against the checkout.
func TestWhatGitOpsAppliesIsInTheRepository(t *testing.T) {
	text, err := os.ReadFile("../../docs/guides/gitops.md")
	if err != nil {
		t.Fatal(err)
	}
	paths := regexp.MustCompile(`(?m)^ +path: (\S+)$`).FindAllSubmatch(text, -1)
	if len(paths) != 2 {
		t.Errorf("it names %q", paths)
	}
	for _, path := range paths {
		if _, err := os.Stat(filepath.Join("../..", string(path[1]), "kustomization.yaml")); err != nil {
			t.Error(err)
		}
	}
}
