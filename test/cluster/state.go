package cluster

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
	"github.com/clarionlb/clarion/test/cluster/machine"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// stateDir has a folder for each cluster that exists or was not cleaned up, and beside it a lock.
// The process that runs a cluster holds the lock; nobody holds that of a detached cluster, or of
// one whose process was killed.
const stateDir = "/run/clarion"

func runDir(name string) string        { return filepath.Join(stateDir, name) }
func lockFile(name string) string      { return runDir(name) + ".lock" }
func stateFile(name string) string     { return filepath.Join(runDir(name), "cluster.json") }
func defaultLogDir(name string) string { return filepath.Join(os.TempDir(), "clarion", name) }

// state is what another process needs to know about a cluster.
type state struct {
	Config        Config `json:"config"`
	KubernetesDir string `json:"kubernetesDir"`
	ProductDir    string `json:"productDir"`
	// Programs and PauseImage are those of a kubeadm cluster.
	Programs   setup.NodePrograms `json:"programs"`
	PauseImage string             `json:"pauseImage,omitempty"`
	// PID is the process that started the cluster.
	PID int `json:"pid"`
	// Up means that the start is complete.
	Up bool `json:"up"`
}

func (c *Cluster) writeState(up bool) error {
	content, err := json.MarshalIndent(state{
		Config: c.config, KubernetesDir: c.kubernetesDir, ProductDir: c.productDir,
		Programs: c.programs, PauseImage: c.pauseImage, PID: os.Getpid(), Up: up,
	}, "", "  ")
	if err != nil {
		return err
	}
	path := stateFile(c.config.Name)
	if err := os.WriteFile(path+".new", content, 0o644); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

func readState(name string) (state, error) {
	var s state
	content, err := os.ReadFile(stateFile(name))
	if errors.Is(err, os.ErrNotExist) {
		return s, fmt.Errorf("there is no cluster %q", name)
	}
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(content, &s)
}

// Names returns the names of all clusters on the machine, also of those that were not cleaned up.
func Names() ([]string, error) {
	entries, err := os.ReadDir(stateDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var names []string
	for _, entry := range entries {
		if entry.IsDir() {
			names = append(names, entry.Name())
		}
	}
	return names, nil
}

// Remove takes a cluster down, whoever started it: it asks the process that runs the cluster to end
// and, once nobody runs it, kills and removes what is left. There need not be anything left.
func Remove(ctx context.Context, name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("there is no cluster %q", name)
	}
	var asked error
	lock, err := filelock.Wait(ctx, lockFile(name), func() {
		if s, err := readState(name); err != nil {
			asked = err
		} else if s.PID != os.Getpid() {
			asked = unix.Kill(s.PID, unix.SIGTERM)
		}
	})
	if err != nil {
		return errors.Join(fmt.Errorf("take cluster %s down: %w", name, err), asked)
	}
	return errors.Join(clean(name), lock.Remove())
}

// removeAbandoned cleans up after clusters whose process was killed.
func removeAbandoned() error {
	names, err := Names()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range names {
		lock, err := filelock.Try(lockFile(name))
		if err != nil {
			continue // it is in use
		}
		if isUp(name) {
			errs = append(errs, lock.Release())
		} else {
			errs = append(errs, clean(name), lock.Remove())
		}
	}
	return errors.Join(errs...)
}

// isUp tells whether there is a complete detached cluster of that name.
func isUp(name string) bool {
	s, err := readState(name)
	return err == nil && s.Up && s.Config.Detached && slices.ContainsFunc(assemble(s.Config).hosts(), hasPower)
}

// clean removes what is left of a cluster that nobody runs.
func clean(name string) error {
	if err := (&network.Network{Name: name}).Destroy(); err != nil {
		return err
	}
	// The machines of a kubeadm cluster are gone when their control groups are.
	if err := machine.RemoveControlGroups(controlGroup(name) + "*"); err != nil {
		return err
	}
	return errors.Join(os.RemoveAll(diskDir(name)), os.RemoveAll(runDir(name)))
}
