// Package metallb puts MetalLB on a test cluster, by its own manifests and with its own programs, for tests and benchmarks that
// have it beside Clarion. Nothing of it is in this repository: who has it at hand names the folder. The package says how to make
// one:
//
//	git clone https://github.com/metallb/metallb && cd metallb
//	CGO_ENABLED=0 go build -o /tmp/metallb-bin/ ./controller ./speaker
//	cp config/manifests/metallb-native.yaml /tmp/metallb-bin/
package metallb

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster"
)

// Namespace is that of all of MetalLB.
const Namespace = "metallb-system"

const manifest = "metallb-native.yaml"

// Folder has MetalLB's controller and speaker, and its manifest metallb-native.yaml.
type Folder string

// Found returns the folder that an environment variable names. It skips a test for which there is none.
func Found(t testing.TB, variable string) Folder {
	t.Helper()
	dir := os.Getenv(variable)
	if dir == "" {
		t.Skipf("%s names no folder with MetalLB's controller, speaker and %s: see test/metallb for how to make one", variable, manifest)
	}
	for _, name := range []string{"controller", "speaker", manifest} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Fatalf("%s=%s: %v", variable, dir, err)
		}
	}
	return Folder(dir)
}

// Images are what a cluster needs to run it: see [cluster.Config].
func (f Folder) Images() map[string]string {
	return map[string]string{"quay.io/metallb/controller": string(f), "quay.io/metallb/speaker": string(f)}
}

// overlay has the programs run by their names and the speaker as root, as there is no image that says so; has no webhooks, since
// the API server of a test cluster does not reach pods; and leaves out a mount below another one that the kubelet of a test
// cluster does not make.
const overlay = `
resources: [metallb-native.yaml]
patches:
- patch: '{$patch: delete, apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration, metadata: {name: metallb-webhook-configuration}}'
- patch: |
    apiVersion: apps/v1
    kind: DaemonSet
    metadata: {name: speaker, namespace: metallb-system}
    spec: {template: {spec: {containers: [{name: speaker, securityContext: {runAsUser: 0}, volumeMounts: [{$patch: delete, mountPath: /etc/metallb/memberlist}]}]}}}
- target: {kind: Deployment, name: controller}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/command, value: [/controller]}
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --webhook-mode=disabled}
- target: {kind: DaemonSet, name: speaker}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/command, value: [/speaker]}
`

const argument = `    - {op: add, path: /spec/template/spec/containers/0/args/-, value: %q}
`

// Install puts MetalLB on a cluster and returns when it is ready. The arguments are for the speakers; what the controller has to
// know too, --lb-class, it gets. Nodes need no cloud-controller-manager after that.
func (f Folder) Install(t testing.TB, c *cluster.Cluster, arguments ...string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(string(f), manifest))
	if err != nil {
		t.Fatal(err)
	}
	begin := strings.LastIndex(overlay, "- target:")
	controller, speaker := overlay[:begin], overlay[begin:]
	for _, a := range arguments {
		speaker += fmt.Sprintf(argument, a)
		if strings.HasPrefix(a, "--lb-class=") {
			controller += fmt.Sprintf(argument, a)
		}
	}
	dir := t.TempDir()
	if err := errors.Join(
		os.WriteFile(filepath.Join(dir, manifest), text, 0o644),
		os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(controller+speaker), 0o644),
		c.Apply(t.Context(), dir),
	); err != nil {
		t.Fatal(err)
	}
	for _, command := range [][]string{
		{"taint", "nodes", "--all", "node.cloudprovider.kubernetes.io/uninitialized-"},
		{"rollout", "status", "--namespace=" + Namespace, "--timeout=180s", "deployment/controller"},
		{"rollout", "status", "--namespace=" + Namespace, "--timeout=180s", "daemonset/speaker"},
	} {
		if _, err := c.Kubectl(t.Context(), command...); err != nil {
			t.Fatal(err)
		}
	}
}

// Pool is what has MetalLB hand out addresses of ranges, and announce them on layer 2.
func Pool(ranges ...string) string {
	return fmt.Sprintf(`
apiVersion: metallb.io/v1beta1
kind: IPAddressPool
metadata: {name: lan, namespace: %[1]s}
spec: {addresses: [%[2]s]}
---
apiVersion: metallb.io/v1beta1
kind: L2Advertisement
metadata: {name: lan, namespace: %[1]s}
spec: {ipAddressPools: [lan]}
`, Namespace, `"`+strings.Join(ranges, `", "`)+`"`)
}
