package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericiooptions"
)

// execute runs a command line and returns its exit code and what it writes.
func execute(t *testing.T, input string, args ...string) (code int, out, errOut string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code = run(t.Context(), genericiooptions.IOStreams{In: strings.NewReader(input), Out: &stdout, ErrOut: &stderr}, args)
	return code, stdout.String(), stderr.String()
}

func TestExitCodes(t *testing.T) {
	const data = "../../internal/migrate/testdata/"
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"", 0, "kubectl clarion [command]"},
		{"--help", 0, "Exit codes"},
		{"--version", 0, "version"},
		{"completion bash", 0, "complete"},
		{"__complete migrate m", 0, "metallb\n:4\n"},
		{"nonsense", 2, "unknown command"},
		{"migrate nonsense", 2, "name one of"},
		{"migrate metallb --nonsense", 2, "unknown flag"},
		{"migrate metallb --canary=a", 2, "--canary needs --apply"},
		{"migrate metallb --rollback=a", 2, "--rollback goes alone"},
		{"migrate metallb -o wide -f " + data + "metallb_configmap.yaml", 2, "-o is yaml or json"},
		{"uninstall now", 2, "unknown command"},
		{"dashboard now", 2, "unknown command"},
		{"dashboard --port=70000", 2, "invalid argument"},
		{"dashboard --kubeconfig=/nonexistent", 1, "nonexistent"},
		{"uninstall --hand-over --release", 2, "exclude each other"},
		{"migrate metallb -f " + data + "metallb_configmap.yaml", 0, "IPAddressPool default"},
		{"migrate -f " + data + "metallb_configmap.yaml", 0, "From metallb"},
		{"migrate metallb -f " + data + "metallb_configmap.yaml -o yaml", 0, "kind: IPAddressPool"},
		{"migrate metallb -f " + data + "metallb_configmap.yaml -o json", 0, `"kind":"IPAddressPool"`},
		{"migrate metallb -f " + data + "metallb.yaml", 3, "203.0.113.9 is in no pool"},
		{"migrate metallb -f " + data + "metallb.yaml --pool=203.0.113.0/24", 0, "IPAddressPool migrated"},
		{"migrate cilium -f " + data + "kube-vip.yaml", 1, "there is nothing of cilium"},
		{"migrate metallb -f /nonexistent", 1, "does not exist"},
		{"uninstall --kubeconfig=/nonexistent", 1, "nonexistent"},
		{"validate", 2, "name files with -f"},
		{"validate -f ../../manifests/samples", 0, "0 errors, 0 warnings"},
		{"validate -f ../../internal/plugin/validate/testdata/mistakes.yaml", 1, "spec.autoasign: unknown field"},
	} {
		code, out, errOut := execute(t, "", strings.Fields(test.line)...)
		if code != test.code || !strings.Contains(out+errOut, test.want) {
			t.Errorf("%s: %d\n%s%s", test.line, code, out, errOut)
		}
	}
}

// TestKubectlCompletesThePlugin runs the script as kubectl does, which finds it in the PATH and gives it the arguments up to the word that
// is typed (pkg/cmd/plugin/plugin_completion.go of k8s.io/kubectl).
func TestKubectlCompletesThePlugin(t *testing.T) {
	dir := t.TempDir()
	script, err := os.ReadFile("kubectl_complete-clarion")
	if err != nil {
		t.Fatal(err)
	}
	plugin := "#!/bin/sh\nfor word; do echo \"<$word>\"; done\n"
	for name, text := range map[string]string{"kubectl_complete-clarion": string(script), "kubectl-clarion": plugin} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Setenv("PATH", dir)
	out, err := exec.Command("kubectl_complete-clarion", "why", "shop/front end", "").Output()
	if want := "<__complete>\n<why>\n<shop/front end>\n<>\n"; err != nil || string(out) != want {
		t.Errorf("%v: the plugin gets %q, want %q", err, out, want)
	}
}

func TestFilesComeFromTheStandardInputToo(t *testing.T) {
	text, err := os.ReadFile("../../internal/migrate/testdata/external-ips.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if code, out, errOut := execute(t, string(text), "migrate", "external-ips", "-f", "-"); code != 0 || !strings.Contains(out, "edge/dual") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
}
