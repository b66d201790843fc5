package machine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// SearchPath is the PATH of everything that runs in a machine.
const SearchPath = ProgramsDir + ":/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// ProgramsDir has in it the folders of programs that a machine brings along, see [Spec.Programs].
const ProgramsDir = "/opt/programs"

// Spec is what a machine is, besides its network.
type Spec struct {
	// Name is its hostname.
	Name string
	// ControlGroup is the name of the control group that all of it is in, in every hierarchy of the
	// real machine.
	ControlGroup string
	// Disk is the folder of the real machine that has the machine's disk.
	Disk string
	// Kept are the folders that are on the disk; all others are as new after a loss of power.
	Kept []string
	// Logs is the folder of the real machine that has /var/log.
	Logs string
	// Programs are files of the real machine that are found by their names in $PATH.
	Programs []string
	// Mounts are folders of the real machine, by where they are to be read.
	Mounts map[string]string
	// Files are written at each boot, by path. An empty one hides what the real machine has.
	Files map[string]string
	// Sysctls are values that the machine is to see, by path below /proc/sys, of those that the
	// real machine has once for all. It neither sees nor changes the real ones.
	Sysctls map[string]string
	// Services are started at boot, and again whenever they end.
	Services []Service
}

// Service is a program that a machine keeps running.
type Service struct {
	// Name is that of its log, <name>.log.
	Name string
	// Needs are files without which it is not started.
	Needs   []string
	Command []string
}

// Machine is a computer that may have power or not.
type Machine struct {
	*network.Host
	Spec Spec
	// BootProgram is the executable of test/cluster/machine/boot.
	BootProgram string
}

// PowerOn boots the machine. Its services are being started when it returns.
func (m *Machine) PowerOn(ctx context.Context) error {
	// What the last boot left of processes is gone when its control groups are.
	if err := RemoveControlGroups(m.Spec.ControlGroup); err != nil {
		return err
	}
	if err := m.Host.PowerOn(); err != nil {
		return err
	}
	for _, dir := range []string{m.Spec.Disk, m.Spec.Logs} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
	}
	if err := os.Remove(m.pidFile()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	content, err := json.Marshal(m.Spec)
	if err != nil {
		return err
	}
	file := filepath.Join(m.Spec.Disk, "machine.json")
	if err := os.WriteFile(file, content, 0o644); err != nil {
		return err
	}
	process, err := m.Start(filepath.Join(m.Spec.Logs, "boot.log"), m.BootProgram, file)
	if err != nil {
		return err
	}
	return m.awaitBoot(ctx, process)
}

func (m *Machine) awaitBoot(ctx context.Context, process *network.Process) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !m.booted() {
		select {
		case <-ctx.Done():
			return fmt.Errorf("boot %s: %w", m.Name, ctx.Err())
		case <-process.Done():
			log, err := os.ReadFile(process.Log)
			return errors.Join(fmt.Errorf("boot %s: it ended:\n%s", m.Name, bytes.TrimSpace(log)), err)
		case <-tick.C:
		}
	}
	return nil
}

// PIDFile is the file on a machine's disk with the process ID, on the real machine, of its first
// process. It is there while the machine has booted.
func (s Spec) PIDFile() string { return filepath.Join(s.Disk, "pid") }

func (m *Machine) pidFile() string { return m.Spec.PIDFile() }

func (m *Machine) booted() bool {
	_, err := os.Stat(m.pidFile())
	return err == nil
}

// Command is a command line that runs a command in the machine when it is run in its network.
func (m *Machine) Command(command ...string) ([]string, error) {
	if !m.On() {
		return nil, fmt.Errorf("%s: %w", m.Name, network.ErrOff)
	}
	pid, err := os.ReadFile(m.pidFile())
	if err != nil {
		return nil, fmt.Errorf("%s has not booted: %w", m.Name, err)
	}
	enter := []string{"nsenter", "--target=" + strings.TrimSpace(string(pid)), "--all", "env", "--ignore-environment", "PATH=" + SearchPath, "HOME=/root"}
	return append(enter, command...), nil
}

// Execute runs a command in the machine, with a text for its standard input, and returns what it
// wrote to its standard output.
func (m *Machine) Execute(ctx context.Context, input string, command ...string) (string, error) {
	command, err := m.Command(command...)
	if err != nil {
		return "", err
	}
	return m.RunWithInput(ctx, input, command...)
}

// OnDisk is where the real machine has a file that is in one of the folders that are kept.
func (s Spec) OnDisk(path string) string { return filepath.Join(s.Disk, "kept", path) }

// WriteFile writes a file of a folder that is kept, also while the machine has no power. Whoever
// reads it meanwhile has the old one or the new one.
func (m *Machine) WriteFile(path, content string) error {
	path = m.Spec.OnDisk(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(path+".new", []byte(content), 0o600); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}
