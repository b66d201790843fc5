package setup

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
)

// packages names the Debian packages of every command that clusters and tests run.
var packages = map[string]string{
	"ip":        "iproute2",
	"nft":       "nftables",
	"iptables":  "iptables",
	"conntrack": "conntrack",
	"tcpdump":   "tcpdump",
	"curl":      "curl",
	"sysctl":    "procps",
	"setpriv":   "util-linux",
	"modprobe":  "kmod",
	// Nodes of kubeadm clusters.
	"runc":    "runc",
	"nsenter": "util-linux",
	"ldd":     "libc-bin",
	// What Kubernetes' own tests call in pods.
	"busybox":    "busybox-static",
	"nc.openbsd": "netcat-openbsd",
	// Routers to speak BGP with, and BFD with the first two.
	"vtysh":  "frr",
	"birdc":  "bird2",
	"bgpctl": "openbgpd",
	"exabgp": "exabgp",
	// Pages are tested in it; without a font it has no text.
	"chromium": "chromium fonts-dejavu-core",
	// The race detector is linked by a C compiler.
	"gcc": "gcc libc6-dev",
}

// Packages installs the Debian packages that are missing. It does nothing where every command is
// there already, on whatever distribution.
func Packages(ctx context.Context, progress io.Writer) error {
	if len(missing()) == 0 {
		return nil
	}
	if os.Geteuid() != 0 {
		return fmt.Errorf("the packages %s are missing and only root can install them", strings.Join(missing(), ", "))
	}
	if !found("apt-get") {
		return fmt.Errorf("the packages %s are missing and there is no apt-get to install them", strings.Join(missing(), ", "))
	}
	cache, err := cacheDir()
	if err != nil {
		return err
	}
	lock, err := filelock.Wait(ctx, filepath.Join(cache, "packages.lock"), func() {
		fmt.Fprintln(progress, "waiting for another process that installs packages")
	})
	if err != nil {
		return err
	}
	defer lock.Release()
	names := missing()
	if len(names) == 0 {
		return nil
	}
	install := append([]string{"install", "--yes", "--no-install-recommends"}, names...)
	return during(progress, "installing "+strings.Join(names, ", "), func() error {
		// The lists of a fresh machine are empty or old. Where they are not, no update is needed.
		if aptGet(ctx, install...) == nil {
			return nil
		}
		return errors.Join(aptGet(ctx, "update"), aptGet(ctx, install...))
	})
}

func missing() []string {
	var names []string
	for command, provided := range packages {
		if !found(command) {
			names = append(names, strings.Fields(provided)...)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// found also looks where only root's PATH leads on Debian.
func found(command string) bool {
	if _, err := exec.LookPath(command); err == nil {
		return true
	}
	for _, dir := range []string{"/usr/sbin", "/sbin"} {
		if _, err := exec.LookPath(filepath.Join(dir, command)); err == nil {
			return true
		}
	}
	return false
}

func aptGet(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, "apt-get", append([]string{"-q", "-o", "DPkg::Lock::Timeout=300"}, args...)...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
	}
	return nil
}
