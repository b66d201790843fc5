package main

import (
	"context"
	"flag"
	"os/exec"

	"github.com/onsi/ginkgo/v2"
	"k8s.io/kubernetes/test/e2e/framework"
	e2eskipper "k8s.io/kubernetes/test/e2e/framework/skipper"
	"k8s.io/kubernetes/test/e2e/upgrades"
	"k8s.io/kubernetes/test/e2e/upgrades/network"
	admissionapi "k8s.io/pod-security-admission/api"
)

var upgradeCommand = flag.String("upgrade-command", "", "the shell command that upgrades what ServiceUpgradeTest goes on through")

// Kubernetes runs ServiceUpgradeTest around upgrades of clusters on clouds, and has no spec for others.
var _ = ginkgo.Describe("ServiceUpgradeTest", func() {
	f := framework.NewDefaultFramework("service-upgrade")
	f.NamespacePodSecurityLevel = admissionapi.LevelPrivileged
	ginkgo.It("should reach a Service during an upgrade", func(ctx context.Context) {
		if *upgradeCommand == "" {
			e2eskipper.Skipf("there is nothing to upgrade")
		}
		test := &network.ServiceUpgradeTest{}
		ginkgo.DeferCleanup(test.Teardown, f)
		test.Setup(ctx, f)
		var out []byte
		var err error
		done := make(chan struct{})
		go func() {
			defer close(done)
			out, err = exec.CommandContext(ctx, "sh", "-c", *upgradeCommand).CombinedOutput()
		}()
		test.Test(ctx, f, done, upgrades.ClusterUpgrade)
		framework.ExpectNoError(err, "upgrade: %s", out)
	})
})
