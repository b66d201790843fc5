package main

import (
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster/machine"
)

// root is a root file system that is being made.
type root struct {
	spec machine.Spec
	// memory is a folder that the power takes with it, and dir the root in it.
	memory, dir string
}

// makeRoot makes the machine's root file system and leaves the real machine's behind.
func makeRoot(spec machine.Spec) error {
	// Nothing of what is mounted here is to be seen outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keep mounts apart: %w", err)
	}
	r := root{spec: spec, memory: filepath.Join(spec.Disk, "memory")}
	r.dir = filepath.Join(r.memory, "root")
	for _, step := range []func() error{r.overlay, r.kernel, r.controlGroups, r.outside, r.files, r.sysctls, r.change} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// overlay makes a copy of the real machine's root that takes all changes into memory.
func (r root) overlay() error {
	if err := os.MkdirAll(r.memory, 0o755); err != nil {
		return err
	}
	if err := mount("tmpfs", r.memory, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	upper, work := filepath.Join(r.memory, "upper"), filepath.Join(r.memory, "work")
	for _, dir := range []string{upper, work, r.dir} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return err
		}
	}
	return mount("overlay", r.dir, "overlay", 0, "lowerdir=/,upperdir="+upper+",workdir="+work)
}

// kernel mounts what the kernel shows.
func (r root) kernel() error {
	for _, m := range []struct {
		kind, target string
		flags        uintptr
		options      string
	}{
		{"proc", "proc", 0, ""},
		{"sysfs", "sys", 0, ""},
		{"tmpfs", "run", 0, "mode=0755"},
		{"tmpfs", "tmp", 0, "mode=1777"},
	} {
		if err := mount(m.kind, filepath.Join(r.dir, m.target), m.kind, m.flags, m.options); err != nil {
			return err
		}
	}
	return mount("/dev", filepath.Join(r.dir, "dev"), "", unix.MS_BIND|unix.MS_REC, "")
}

// controlGroups mounts the hierarchies again, from the group of this process down.
func (r root) controlGroups() error {
	hierarchies, err := machine.Hierarchies()
	if err != nil {
		return err
	}
	dir := filepath.Join(r.dir, "sys/fs/cgroup")
	if h := hierarchies[0]; h.Type == "cgroup2" {
		return ownHierarchy(dir)
	}
	if err := mount("tmpfs", dir, "tmpfs", 0, "mode=0755"); err != nil {
		return err
	}
	for _, h := range hierarchies {
		target := filepath.Join(dir, filepath.Base(h.Path))
		if err := os.Mkdir(target, 0o755); err != nil {
			return err
		}
		if err := mount("cgroup", target, "cgroup", 0, h.Options); err != nil {
			return err
		}
	}
	return nil
}

// ownHierarchy mounts the one hierarchy of version 2, and puts this process into a group of it, so
// that it can have others.
func ownHierarchy(dir string) error {
	if err := mount("cgroup2", dir, "cgroup2", 0, ""); err != nil {
		return err
	}
	group := filepath.Join(dir, "boot")
	if err := os.Mkdir(group, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0); err != nil {
		return err
	}
	return machine.Hierarchy{Path: dir, Type: "cgroup2"}.Distribute()
}

// outside mounts what the machine has from the real one: its disk, its logs, programs and what else
// the spec names.
func (r root) outside() error {
	for _, dir := range r.spec.Kept {
		disk := r.spec.OnDisk(dir)
		if err := os.MkdirAll(disk, 0o755); err != nil {
			return err
		}
		if err := r.bind(disk, dir, true); err != nil {
			return err
		}
	}
	if err := r.bind(r.spec.Logs, "/var/log", true); err != nil {
		return err
	}
	for target, source := range r.spec.Mounts {
		if err := r.bind(source, target, false); err != nil {
			return err
		}
	}
	for _, program := range r.spec.Programs {
		if err := r.bind(program, filepath.Join(machine.ProgramsDir, filepath.Base(program)), false); err != nil {
			return err
		}
	}
	return nil
}

func (r root) files() error {
	for path, content := range r.spec.Files {
		path = filepath.Join(r.dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.RemoveAll(path); err != nil { // a link would lead elsewhere
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (r root) sysctls() error {
	dir := filepath.Join(r.memory, "sysctls")
	for path, value := range r.spec.Sysctls {
		file := filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := mount(file, filepath.Join(r.dir, "proc/sys", path), "", unix.MS_BIND, ""); err != nil {
			return err
		}
	}
	return nil
}

// change makes the root the one of this process and of all that it starts.
func (r root) change() error {
	if err := os.Chdir(r.dir); err != nil {
		return err
	}
	// With both roots in one place the old one lies on top and is taken off (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return err
	}
	// Pods may share what they mount with the machine, as systemd has it on real ones.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts: %w", err)
	}
	return os.Chdir("/")
}

// bind makes a file or folder of the real machine visible in the root.
func (r root) bind(source, target string, writable bool) error {
	info, err := os.Stat(source)
	if err != nil {
		return err
	}
	target = filepath.Join(r.dir, target)
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		err = os.WriteFile(target, nil, 0o755)
	}
	if err != nil {
		return err
	}
	if err := mount(source, target, "", unix.MS_BIND, ""); err != nil || writable {
		return err
	}
	return mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
}

func mount(source, target, kind string, flags uintptr, options string) error {
	if err := unix.Mount(source, target, kind, flags, options); err != nil {
		return fmt.Errorf("mount %s on %s: %w", source, target, err)
	}
	return nil
}
