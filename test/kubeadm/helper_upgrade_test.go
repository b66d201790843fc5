package kubeadm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/images"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// upgradeSpec has Kubernetes' ServiceUpgradeTest run (test/cluster/binaries/conformance).
var upgradeSpec = spec{name: "should reach a Service during an upgrade"}

// upgrade goes back to the last release, and runs ServiceUpgradeTest while this checkout is installed again.
func (s *suite) upgrade(by protocol) {
	s.t.Helper()
	s.t.Run(fmt.Sprintf("%s: ServiceUpgradeTest", by), func(t *testing.T) {
		s := &suite{s.as(t), s.family, s.program, s.dir}
		s.installLastRelease()
		if err := s.ApplyYAML(s.ctx, by.objects(s.family)); err != nil {
			t.Fatal(err)
		}
		defer s.endAnnouncing(by)
		kubectl := strings.Join(s.KubectlCommand(), " ")
		upgrade := strings.Join([]string{
			kubectl + " apply -k " + filepath.Join(s.desk, "manifests"),
			kubectl + " --namespace clarion-system rollout status daemonset/announcer --timeout=120s",
			kubectl + " --namespace kube-system rollout status deployment/clarion-cloud-controller-manager --timeout=120s",
		}, " && ")
		// Its own label filter comes last, and counts.
		if result := s.runSpec(by, upgradeSpec, "--ginkgo.label-filter=", "--upgrade-command="+upgrade); result.err != nil {
			t.Fatal(result.err)
		}
	})
}

// installLastRelease puts the last release in the place of what is installed.
func (s *suite) installLastRelease() {
	s.t.Helper()
	release, err := setup.LastRelease(s.ctx, os.Stderr)
	if errors.Is(err, setup.ErrNotInHistory) {
		s.t.Skip(err)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	const name, tag = "release.example/clarion", "last"
	archive := filepath.Join(s.desk, "last-release.tar")
	if err := images.Write(archive, images.Product(name+":"+tag, release.Programs)); err != nil {
		s.t.Fatal(err)
	}
	content, err := os.ReadFile(archive)
	if err != nil {
		s.t.Fatal(err)
	}
	for _, node := range s.Nodes() {
		if _, err := node.Execute(s.ctx, string(content), "ctr", "--namespace=k8s.io", "images", "import", "--local", "-"); err != nil {
			s.t.Fatal(err)
		}
	}
	overlay := filepath.Join(s.desk, "last-release")
	if err := os.MkdirAll(overlay, 0o755); err != nil {
		s.t.Fatal(err)
	}
	manifests, err := filepath.Rel(overlay, filepath.Join(release.Source, "manifests"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("last-release/kustomization.yaml", fmt.Sprintf("resources: [%s]\nimages:\n- {name: %s, newName: %s, newTag: %s}\n", manifests, s.image.Name, name, tag))
	s.installation.run("kubectl apply -k last-release/")
	s.announcersRolledOut()
	s.installation.run("kubectl --namespace kube-system rollout status deployment/clarion-cloud-controller-manager --timeout=120s")
}
