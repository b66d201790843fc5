//go:build race

package speaker

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// init has the race detector be silent about one race of GoBGP. Up to v4.8.0 its rules for choosing between paths are package
// variables: StartBgp writes them, and servers that run already read them. All that is ever written here is their zero value (see
// gobgpConnection.start), so that nobody reads anything else. https://github.com/osrg/gobgp/pull/3659, merged and not released
// yet, gives each server its own; with that release this file and what it reads go.
//
// The detector reads its options when the process starts, so the process starts again.
func init() {
	const options, suppressions = "GORACE", "suppressions="
	if strings.Contains(os.Getenv(options), suppressions) {
		return
	}
	path, err := filepath.Abs("testdata/gobgp.supp")
	if err == nil {
		os.Setenv(options, strings.TrimSpace(os.Getenv(options)+" "+suppressions+path))
		err = syscall.Exec("/proc/self/exe", os.Args, os.Environ())
	}
	fmt.Fprintln(os.Stderr, "start again, with options for the race detector:", err)
	os.Exit(1)
}
