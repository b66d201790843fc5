package validate

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/clarionlb/clarion/internal/plugin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// validated runs the verb and returns what it writes.
func validated(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := NewCommand(plugin.Env{IOStreams: genericiooptions.IOStreams{In: strings.NewReader(input), Out: &out, ErrOut: &out}})
	command.SetArgs(args)
	command.SilenceErrors, command.SilenceUsage = true, true
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestMistakesAreNamedWithFileLineObjectAndField(t *testing.T) {
	out, err := validated(t, "", "-f", "testdata/mistakes.yaml")
	if plugin.ExitCode(err) != plugin.ExitFailed {
		t.Errorf("%v", err)
	}
	if *update {
		if err := os.WriteFile("testdata/mistakes.txt", []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile("testdata/mistakes.txt")
	if err != nil {
		t.Fatal(err)
	}
	if out != string(want) {
		t.Errorf("%s\nnot\n%s", out, want)
	}
}

func TestProblemsAsJSON(t *testing.T) {
	out, err := validated(t, "", "-f", "testdata/mistakes.yaml", "-o", "json")
	if plugin.ExitCode(err) != plugin.ExitFailed {
		t.Errorf("%v", err)
	}
	var result Result
	if err := json.Unmarshal([]byte(out), &result); err != nil {
		t.Fatal(err)
	}
	if len(result.Problems) == 0 || result.Skipped != 1 {
		t.Errorf("%+v", result)
	}
}

func TestTheSamplesAreValid(t *testing.T) {
	out, err := validated(t, "", "-f", "../../../manifests/samples")
	if err != nil || !strings.Contains(out, "0 errors, 0 warnings") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestWhatIsWrittenIsJudgedWhateverWasInForce(t *testing.T) {
	out, err := validated(t, `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: a, uid: x, creationTimestamp: "2026-01-01T00:00:00Z", resourceVersion: "7", generation: 2}
spec: {addresses: [nonsense]}
status:
  appliedSpec: {addresses: [192.0.2.0/28]}
`, "-f", "-")
	if err == nil || !strings.Contains(out, `-:5: error: IPAddressPool a: spec.addresses`) && !strings.Contains(out, `-:5: error: IPAddressPool a: `) {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAServiceThatNamesNoFamilyIsGivenThatOfItsPool(t *testing.T) {
	for _, service := range []string{
		"metadata: {name: a}\nspec: {type: LoadBalancer}",
		"metadata: {name: a, annotations: {clarionlb.io/addresses: '2001:db8::7'}}\nspec: {type: LoadBalancer}",
		"metadata: {name: a, annotations: {clarionlb.io/address: x}}\nspec: {type: LoadBalancer, loadBalancerClass: example.com/other}",
		"metadata: {name: a}\nspec: {type: ClusterIP}",
	} {
		out, err := validated(t, "apiVersion: v1\nkind: Service\n"+service+`
---
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: six}
spec: {addresses: ["2001:db8::/120"]}
`, "-f", "-")
		if err != nil || !strings.Contains(out, "0 errors, 0 warnings") {
			t.Errorf("%s: %v\n%s", service, err, out)
		}
	}
}

func TestAClassThatIsNearlyClarions(t *testing.T) {
	out, err := validated(t, "apiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec:\n  type: LoadBalancer\n  loadBalancerClass: clarionlb.io/clarionn\n", "-f", "-")
	if err != nil || !strings.Contains(out, "-:6: warning: Service default/a: spec.loadBalancerClass") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAFileThatCannotBeReadHidesNothingOfTheOthers(t *testing.T) {
	out, err := validated(t, "kind: [\n---\napiVersion: clarionlb.io/v1alpha1\nkind: IPAddressPool\nmetadata: {name: a}\nspec: {}\n", "-f", "-")
	if plugin.ExitCode(err) != plugin.ExitFailed || !strings.Contains(err.Error(), "line 1") || !strings.Contains(out, "-:6: error: IPAddressPool a: spec.addresses") {
		t.Errorf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{}, {"-f", "testdata", "-o", "xml"}, {"-f", "testdata", "more"}} {
		if _, err := validated(t, "", args...); plugin.ExitCode(err) != plugin.ExitUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}
