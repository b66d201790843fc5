package kubeadm

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/setup"
	"github.com/clarionlb/clarion/test/release"
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
	last, err := setup.LastRelease(s.ctx, os.Stderr)
	if errors.Is(err, setup.ErrNotInHistory) {
		s.t.Skip(err)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	image := imageOf("last")
	if err := writeImage(image, last.Programs, filepath.Join(s.desk, image.Archive())); err != nil {
		s.t.Fatal(err)
	}
	s.importArchive(s.Nodes(), image.Archive())
	overlay := filepath.Join(s.desk, "last-release")
	if err := os.MkdirAll(overlay, 0o755); err != nil {
		s.t.Fatal(err)
	}
	manifests, err := filepath.Rel(overlay, filepath.Join(last.Source, "manifests"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("last-release/kustomization.yaml", fmt.Sprintf("resources: [%s]\nimages:\n- {name: %s, newTag: %s}\n", manifests, release.Repository, image.Version))
	s.installation.run("kubectl apply -k last-release/")
	s.announcersRolledOut()
	s.installation.run("kubectl --namespace kube-system rollout status deployment/clarion-cloud-controller-manager --timeout=120s")
}
