package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/install"
)

// jsonOverlay has both programs log as JSON. %s is the folder of the repository.
const jsonOverlay = `
resources: [%s/manifests]
patches:
- target: {kind: (DaemonSet|Deployment)}
  patch: |
    - {op: add, path: /spec/template/spec/containers/0/args/-, value: --logging-format=json}
`

// deployLogging is deploy, with logs as JSON.
func deployLogging(t *testing.T, config cluster.Config) *deployment {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	root, err = filepath.Rel(folder, root)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), fmt.Appendf(nil, jsonOverlay, root), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newDeployment(t, install.Bare(t, config))
	d.apply(folder)
	d.AwaitReady(t)
	return d
}

// mostRepeats is how often a program may say the very same.
const mostRepeats = 12

// testLogs reads what both programs have logged: every line is one object of JSON, says where it comes from, and is news.
func testLogs(d *deployment) {
	var logs []string
	for _, pattern := range []string{"clarion-system_announcer-*.log", "kube-system_clarion-*.log"} {
		found, err := filepath.Glob(filepath.Join(d.LogDir(), "*", pattern))
		if err != nil || len(found) == 0 {
			d.t.Fatalf("there is no log %s in %s: %v", pattern, d.LogDir(), err)
		}
		logs = append(logs, found...)
	}
	for _, log := range logs {
		for line, count := range countLines(d.t, log) {
			if count > mostRepeats {
				d.t.Errorf("%s has %d times %s", log, count, line)
			}
		}
	}
}

// countLines is how often each line is in a log, but for its time.
func countLines(t *testing.T, log string) map[string]int {
	t.Helper()
	file, err := os.Open(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	counts := map[string]int{}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var line map[string]any
		if err := json.Unmarshal(lines.Bytes(), &line); err != nil || line["msg"] == "" || line["caller"] == nil {
			t.Errorf("%s: %v: %s", log, err, lines.Bytes())
			continue
		}
		delete(line, "ts")
		text, err := json.Marshal(line)
		if err != nil {
			t.Fatal(err)
		}
		counts[string(text)]++
	}
	if err := lines.Err(); err != nil {
		t.Error(err)
	}
	return counts
}
