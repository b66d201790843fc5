// Package setup brings to a machine what a test cluster needs on it: Debian packages, the
// Kubernetes components compiled from their Go modules, and the binaries of this checkout.
// Everything is done once and cached, may be asked for by several processes at the same time, and
// leaves nothing half-made when it is interrupted.
package setup

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// cacheDir is where results are kept that all checkouts share.
func cacheDir() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "clarion"), nil
}

// during runs f, after saying what it is about to do; when f takes long, it says every now and then
// that it still goes on.
func during(progress io.Writer, what string, f func() error) error {
	fmt.Fprintln(progress, what)
	started := time.Now()
	done := make(chan error, 1)
	go func() { done <- f() }()
	tick := time.NewTicker(15 * time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			return nil
		case <-tick.C:
			fmt.Fprintf(progress, "%s: %s\n", what, time.Since(started).Round(time.Second))
		}
	}
}
