package network

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// namespaceDir is where `ip netns` keeps its namespaces.
const namespaceDir = "/run/netns"

func createNamespace(name string) error {
	if output, err := exec.Command("ip", "netns", "add", name).CombinedOutput(); err != nil {
		return fmt.Errorf("create namespace %s: %w\n%s", name, err, output)
	}
	return nil
}

// destroyNamespaces kills everything in the namespaces with a prefix, and in the named ones, and
// removes them.
func destroyNamespaces(prefix string, names ...string) error {
	deadline := time.Now().Add(20 * time.Second)
	for {
		pids, err := signalAll(unix.SIGKILL, prefix, names...)
		if err != nil {
			return err
		}
		if len(pids) == 0 {
			break
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("processes in %s* do not die: %v", prefix, pids)
		}
		time.Sleep(time.Millisecond)
	}
	namespaces, err := namespaces(prefix, names...)
	if err != nil {
		return err
	}
	for _, name := range namespaces {
		path := filepath.Join(namespaceDir, name)
		// A file that is no mount point is left when the process that made the namespace died
		// meanwhile.
		if err := unix.Unmount(path, unix.MNT_DETACH); err != nil && !errors.Is(err, unix.EINVAL) {
			return fmt.Errorf("remove namespace %s: %w", name, err)
		}
		if err := os.Remove(path); err != nil {
			return err
		}
	}
	return nil
}

// signalAll sends a signal to every process in the namespaces that have the prefix or are named,
// and returns which.
func signalAll(signal unix.Signal, prefix string, names ...string) ([]int, error) {
	pids, err := processesIn(prefix, names...)
	if err != nil {
		return nil, err
	}
	for _, pid := range pids {
		if err := unix.Kill(pid, signal); err != nil && !errors.Is(err, unix.ESRCH) {
			return nil, fmt.Errorf("send %s to %d: %w", signal, pid, err)
		}
	}
	return pids, nil
}

// namespaces returns the existing namespaces that have the prefix or are named.
func namespaces(prefix string, names ...string) ([]string, error) {
	entries, err := os.ReadDir(namespaceDir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	var found []string
	for _, entry := range entries {
		if strings.HasPrefix(entry.Name(), prefix) || slices.Contains(names, entry.Name()) {
			found = append(found, entry.Name())
		}
	}
	return found, nil
}

// processesIn returns the IDs of the processes in the namespaces that have the prefix or are named.
func processesIn(prefix string, names ...string) ([]int, error) {
	namespaces, err := namespaces(prefix, names...)
	if err != nil {
		return nil, err
	}
	inside := map[uint64]bool{}
	for _, name := range namespaces {
		var stat unix.Stat_t
		if unix.Stat(filepath.Join(namespaceDir, name), &stat) == nil {
			inside[stat.Ino] = true
		}
	}
	processes, err := os.ReadDir("/proc")
	if err != nil {
		return nil, err
	}
	var pids []int
	for _, process := range processes {
		pid, err := strconv.Atoi(process.Name())
		// Our own first thread may be inside a host for the moment.
		if err != nil || pid == os.Getpid() {
			continue
		}
		var stat unix.Stat_t
		if unix.Stat(filepath.Join("/proc", process.Name(), "ns/net"), &stat) == nil && inside[stat.Ino] {
			pids = append(pids, pid)
		}
	}
	return pids, nil
}
