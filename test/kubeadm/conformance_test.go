package kubeadm

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// TestConformance runs all of Kubernetes' own tests of load balancers, by both protocols, on a cluster of each IP family.
func TestConformance(t *testing.T) {
	if !*conformance {
		t.Skip("it takes long: make conformance runs it")
	}
	choice, err := regexp.Compile(*chosen)
	if err != nil {
		t.Fatal(err)
	}
	run := slices.DeleteFunc(slices.Clone(specs), func(s spec) bool { return !choice.MatchString(s.name) })
	for _, family := range []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol} {
		t.Run(string(family), func(t *testing.T) {
			config := changed(t)
			if family == corev1.IPv6Protocol {
				config = changed(t,
					"value: 192.168.10.11}", "value: \"fd00:10::11\"}",
					"podSubnet: 10.244.0.0/16", "podSubnet: fd00:244::/48\n  serviceSubnet: fd00:96::/112",
				)
			}
			i := boot(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{family}})
			i.found(config, i.Nodes()...)
			i.network(i.Nodes()...)
			s := i.newSuite(family)
			s.startRouter()
			for _, by := range []protocol{layer2, bgp} {
				s.run(by, run)
				if choice.MatchString(upgradeSpec.name) {
					s.upgrade(by)
				}
			}
		})
	}
}

// ownTests runs those of Kubernetes' own tests of load balancers that do not take long. They leave nothing behind in Clarion's
// processes.
func (i *installation) ownTests() {
	s := i.newSuite(corev1.IPv4Protocol)
	s.startRouter()
	quick := slices.DeleteFunc(slices.Clone(specs), func(s spec) bool { return !s.quick })
	i.returnsAll(func() {
		s.run(layer2, quick)
		s.run(bgp, quick)
	})
}

// TestEverySpecIsKnown expects that the list has what Kubernetes has, so that none goes unnoticed when the version changes.
func TestEverySpecIsKnown(t *testing.T) {
	program, err := setup.Conformance(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	report := filepath.Join(t.TempDir(), "report.json")
	out, err := exec.CommandContext(t.Context(), program, "--provider=skeleton", "--host=http://127.0.0.1",
		"--ginkgo.dry-run", "--ginkgo.label-filter="+specLabel, "--ginkgo.json-report="+report).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	reports, err := readReports(report)
	if err != nil {
		t.Fatal(err)
	}
	var theirs, ours []string
	for _, report := range reports {
		name, _, _ := strings.Cut(report.LeafNodeText, " [")
		theirs = append(theirs, name)
	}
	for _, spec := range specs {
		ours = append(ours, spec.name)
	}
	slices.Sort(theirs)
	slices.Sort(ours)
	if !slices.Equal(theirs, ours) {
		t.Errorf("Kubernetes has\n%s\nthe list has\n%s", strings.Join(theirs, "\n"), strings.Join(ours, "\n"))
	}
}

const specsDocument = "docs/conformance.md"

// TestTheDocumentHasAllSpecs holds the document against the list. With UPDATE=1 it writes the table.
func TestTheDocumentHasAllSpecs(t *testing.T) {
	const begin, end = "<!-- The table is generated: cd test && UPDATE=1 go test ./kubeadm -run TheDocumentHasAllSpecs -->\n", "<!-- end of the table -->\n"
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(root, specsDocument)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the table", specsDocument)
	}
	want := before + begin + specsTable() + end + after
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(file, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(content) != want {
		t.Errorf("%s is out of date: cd test && UPDATE=1 go test ./kubeadm -run TheDocumentHasAllSpecs", specsDocument)
	}
}

// specsTable has a line for each spec.
func specsTable() string {
	var b strings.Builder
	b.WriteString("\n| Spec | `make test` | Not run |\n|---|---|---|\n")
	for _, spec := range specs {
		quick := ""
		if spec.quick {
			quick = "yes"
		}
		var not []string
		for _, e := range spec.exceptions {
			not = append(not, strings.TrimSpace(fmt.Sprintf("%s %s", e.by, e.family))+": "+e.why)
		}
		fmt.Fprintf(&b, "| %s | %s | %s |\n", spec.name, quick, strings.Join(not, "; "))
	}
	return b.String() + "\n"
}
