package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

const (
	echoCommand = "echo"
	// enterCommand is this program's own first argument when it becomes a container's process.
	enterCommand = "enter-container"

	// enterFailed is the exit status of a container's process that could not be started.
	enterFailed = 128
)

// entry is what enterContainer reads from its standard input: how to get from the machine into the
// container.
type entry struct {
	// Join is a process of the container whose mount namespace is entered; 0 is none.
	Join int
	// Root is an empty folder to build the container's root file system on, from the fields up to
	// ReadOnly and in the namespaces that the process was started in; with none, the root stays.
	// Image is the folder whose entries it begins with.
	Root, Image string
	Hostname    string
	Mounts      []mount
	// Files are small files of the root, by path.
	Files    map[string]string
	ReadOnly bool
	// Args, Env and Dir are the command, looked up inside the container.
	Args, Env []string
	Dir       string
	Identity  identity
}

// mount makes the file or folder Source of the machine visible at Target in the container.
type mount struct {
	Source, Target string
	ReadOnly       bool
}

// enterContainer turns this process into a container's: it does what the entry on standard input
// says and executes the command. It never returns. Until the command runs, readyFD takes the reason
// why it does not.
func enterContainer() {
	// Mounts, credentials and the execution belong to one thread.
	runtime.LockOSThread()
	unix.CloseOnExec(readyFD)
	err := func() error {
		var e entry
		if err := json.NewDecoder(os.Stdin).Decode(&e); err != nil {
			return err
		}
		return e.execute()
	}()
	fmt.Fprintln(os.Stderr, "cannot start the container:", err)
	fmt.Fprint(os.NewFile(readyFD, "ready"), err)
	os.Exit(enterFailed)
}

func (e entry) execute() error {
	if e.Join != 0 {
		if err := joinMounts(e.Join); err != nil {
			return fmt.Errorf("enter the container of process %d: %w", e.Join, err)
		}
	} else if e.Root != "" {
		if err := e.buildRoot(); err != nil {
			return err
		}
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		return err
	}
	if err := unix.Dup3(int(null.Fd()), 0, 0); err != nil {
		return err
	}
	if err := os.Chdir(e.Dir); err != nil {
		return err
	}
	path, err := lookPath(e.Args[0], e.Env)
	if err != nil {
		return err
	}
	if err := e.Identity.assume(); err != nil {
		return err
	}
	return fmt.Errorf("execute %s: %w", path, syscall.Exec(path, e.Args, e.Env))
}

// joinMounts enters the mount namespace, and with it the root, of another process.
func joinMounts(pid int) error {
	fd, err := unix.Open(fmt.Sprintf("/proc/%d/ns/mnt", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	// The kernel refuses a mount namespace to a thread that shares its root and working directory
	// with others.
	if err := unix.Unshare(unix.CLONE_FS); err != nil {
		return err
	}
	return unix.Setns(fd, unix.CLONE_NEWNS)
}

// buildRoot names the container, makes its root file system and leaves the machine's behind.
func (e entry) buildRoot() error {
	if err := unix.Sethostname([]byte(e.Hostname)); err != nil {
		return fmt.Errorf("set hostname: %w", err)
	}
	if err := unix.Mount("tmpfs", e.Root, "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("mount root: %w", err)
	}
	files, err := os.ReadDir(e.Image)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	for _, file := range files {
		if err := e.bind(mount{Source: filepath.Join(e.Image, file.Name()), Target: "/" + file.Name(), ReadOnly: true}); err != nil {
			return err
		}
	}
	for _, dir := range []string{"/proc", "/dev"} {
		if err := e.bind(mount{Source: dir, Target: dir}); err != nil {
			return err
		}
	}
	// A fresh sysfs shows the network of the namespace that this process is in.
	if err := os.MkdirAll(filepath.Join(e.Root, "sys"), 0o755); err != nil {
		return err
	}
	if err := unix.Mount("sysfs", filepath.Join(e.Root, "sys"), "sysfs", unix.MS_RDONLY, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	for path, content := range e.Files {
		path = filepath.Join(e.Root, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			return err
		}
	}
	for _, m := range e.Mounts {
		if err := e.bind(m); err != nil {
			return err
		}
	}
	if e.Dir != "" {
		if err := os.MkdirAll(filepath.Join(e.Root, e.Dir), 0o755); err != nil {
			return err
		}
	}
	if e.ReadOnly {
		if err := unix.Mount("", e.Root, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("make root read-only: %w", err)
		}
	}
	if err := os.Chdir(e.Root); err != nil {
		return err
	}
	// With both roots in one place the old one lies on top and is taken off (pivot_root(2)).
	if err := unix.PivotRoot(".", "."); err != nil {
		return fmt.Errorf("change root: %w", err)
	}
	return unix.Unmount(".", unix.MNT_DETACH)
}

func (e entry) bind(m mount) error {
	target := filepath.Join(e.Root, m.Target)
	info, err := os.Stat(m.Source)
	if err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	if info.IsDir() {
		err = os.MkdirAll(target, 0o755)
	} else if err = os.MkdirAll(filepath.Dir(target), 0o755); err == nil {
		var file *os.File
		if file, err = os.OpenFile(target, os.O_CREATE, 0o644); err == nil {
			file.Close()
		}
	}
	if err == nil {
		err = unix.Mount(m.Source, target, "", unix.MS_BIND|unix.MS_REC, "")
	}
	if err == nil && m.ReadOnly {
		err = unix.Mount("", target, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY, "")
	}
	if err != nil {
		return fmt.Errorf("mount %s: %w", m.Target, err)
	}
	return nil
}

// lookPath finds a command by the PATH of the container's environment.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	for _, variable := range env {
		value, ok := strings.CutPrefix(variable, "PATH=")
		if !ok {
			continue
		}
		for _, dir := range filepath.SplitList(value) {
			path := filepath.Join(dir, name)
			if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
				return path, nil
			}
		}
	}
	return "", fmt.Errorf("execute %s: %w in $PATH", name, errors.New("executable file not found"))
}
