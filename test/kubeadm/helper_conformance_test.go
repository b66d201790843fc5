package kubeadm

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster/images"
	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/frr"
)

// conformance has all of Kubernetes' own tests of load balancers run, which take long.
var (
	conformance = flag.Bool("conformance", false, "run all of Kubernetes' own tests of load balancers")
	chosen      = flag.String("specs", "", "of those, run the specs whose names this regular expression matches")
)

const (
	// specLabel is what Kubernetes' own tests of load balancers have in common.
	specLabel = "Feature: containsAny LoadBalancer"
	// sideBySide is how many specs run at the same time. They wait most of the time.
	sideBySide = 5
)

// suite is Kubernetes' own tests on an installation.
type suite struct {
	*installation
	// family is the first of the cluster, of which specs make their Services.
	family  corev1.IPFamily
	program string
	// dir has the output of each spec, and its report.
	dir string
}

// newSuite gives the nodes the image that specs run in pods.
func (i *installation) newSuite(family corev1.IPFamily) *suite {
	i.t.Helper()
	program, err := setup.Conformance(i.ctx, io.Discard)
	if err != nil {
		i.t.Fatal(err)
	}
	programs, err := setup.Node(i.ctx, io.Discard)
	if err != nil {
		i.t.Fatal(err)
	}
	image, err := images.Conformance(i.ctx, filepath.Join(programs.Kubeadm, "agnhost"))
	if err != nil {
		i.t.Fatal(err)
	}
	const archive = "conformance.tar"
	if err := images.Write(filepath.Join(i.desk, archive), image); err != nil {
		i.t.Fatal(err)
	}
	i.importArchive(i.Nodes()[1:], archive) // no spec runs on the control plane
	dir := filepath.Join(i.LogDir(), "conformance")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		i.t.Fatal(err)
	}
	return &suite{i, family, program, dir}
}

// startRouter has the cluster's router speak BGP, and spread connections by their addresses alone: session affinity needs
// that, since each node remembers its own clients.
func (s *suite) startRouter() {
	s.t.Helper()
	router, err := frr.Start(s.ctx, s.Router, filepath.Join(s.LogDir(), "router"), " bgp listen range fd00:10::/64 peer-group nodes")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { router.Close() })
	if _, err := s.Router.Run(s.ctx, "sysctl", "--quiet", "--write",
		"net.ipv4.fib_multipath_hash_policy=0", "net.ipv6.fib_multipath_hash_policy=0"); err != nil {
		s.t.Fatal(err)
	}
}

// run runs specs as a client outside the nodes' networks, several side by side. What they are about is announced by a
// protocol.
func (s *suite) run(by protocol, specs []spec) {
	s.t.Helper()
	if err := s.ApplyYAML(s.ctx, by.objects(s.family)); err != nil {
		s.t.Fatal(err)
	}
	defer s.endAnnouncing(by)
	results := make([]result, len(specs))
	var running errgroup.Group
	running.SetLimit(sideBySide)
	for _, slow := range []bool{true, false} {
		for n, spec := range specs {
			if spec.slow == slow && spec.exceptions.why(by, s.family) == "" {
				running.Go(func() error {
					results[n] = s.runSpec(by, spec)
					return nil
				})
			}
		}
	}
	_ = running.Wait()
	for n, spec := range specs {
		s.t.Run(fmt.Sprintf("%s: %s", by, spec.name), func(t *testing.T) {
			if why := spec.exceptions.why(by, s.family); why != "" {
				t.Skip(why)
			}
			if results[n].err != nil {
				t.Fatal(results[n].err)
			}
			t.Logf("passed after %s", results[n].took.Round(time.Second))
		})
	}
}

// endAnnouncing has no new Service get an address of the pool. What Services have of it they keep until they are deleted.
func (s *suite) endAnnouncing(by protocol) {
	s.t.Helper()
	_, err := s.Kubectl(s.ctx, "patch", "ipaddresspool", by.pool(), "--type=merge", "--patch", `{"spec": {"autoAssign": false}}`)
	if by == bgp {
		_, peerErr := s.Kubectl(s.ctx, "delete", "bgppeer", "gateway")
		err = errors.Join(err, peerErr)
	}
	if err != nil {
		s.t.Error(err)
	}
}

// result is what became of a spec.
type result struct {
	took time.Duration
	err  error
}

var notInFileNames = regexp.MustCompile(`[^A-Za-z0-9]+`)

func (s *suite) runSpec(by protocol, spec spec, more ...string) result {
	file := filepath.Join(s.dir, notInFileNames.ReplaceAllString(fmt.Sprintf("%s %s", by, spec.name), "-"))
	out, err := s.FarClient.Run(s.ctx, append([]string{s.program,
		"--provider=skeleton", "--kubeconfig=" + s.Kubeconfig(), "--kubectl-path=" + s.KubectlCommand()[0],
		"--ginkgo.label-filter=" + specLabel, "--ginkgo.focus=" + regexp.QuoteMeta(spec.name) + `( \[|$)`,
		"--ginkgo.json-report=" + file + ".json", "--ginkgo.no-color",
	}, more...)...)
	err = errors.Join(err, os.WriteFile(file+".log", []byte(out), 0o644))
	reports, reportErr := readReports(file + ".json")
	if err = errors.Join(err, reportErr); err != nil {
		return result{err: fmt.Errorf("%w\n%s", err, failure(out))}
	}
	// One that skips itself has not passed.
	if len(reports) != 1 || reports[0].State != "passed" {
		return result{err: fmt.Errorf("%+v, want one that has passed:\n%s", reports, failure(out))}
	}
	if lost := lostRequests(out); lost > 0 {
		return result{err: fmt.Errorf("%d requests were lost", lost)}
	}
	return result{took: reports[0].RunTime}
}

// failure is what the output of a spec says of what went wrong.
func failure(out string) string {
	_, said, found := strings.Cut(out, "[FAILED]")
	if !found {
		said = out[max(0, len(out)-2000):]
	}
	return said[:min(2000, len(said))]
}

var lostRequest = regexp.MustCompile(`(?:Network|HTTP) errors: (\d+)`)

// lostRequests counts what rolling updates have lost, of which the specs tolerate 5 %.
func lostRequests(out string) int {
	lost := 0
	for _, match := range lostRequest.FindAllStringSubmatch(out, -1) {
		count, _ := strconv.Atoi(match[1])
		lost += count
	}
	return lost
}

// specReport is a part of what Ginkgo reports of a spec (types.SpecReport).
type specReport struct {
	ContainerHierarchyTexts []string
	LeafNodeText            string
	LeafNodeType            string
	State                   string
	RunTime                 time.Duration
}

// readReports reads a report of Ginkgo, without the specs that were not selected.
func readReports(file string) ([]specReport, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var suites []struct{ SpecReports []specReport }
	if err := json.Unmarshal(content, &suites); err != nil {
		return nil, err
	}
	var selected []specReport
	for _, suite := range suites {
		for _, report := range suite.SpecReports {
			if report.LeafNodeType == "It" && report.State != "skipped" {
				selected = append(selected, report)
			}
		}
	}
	return selected, nil
}
