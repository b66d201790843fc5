package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Hierarchy is a hierarchy of control groups (cgroups(7)).
type Hierarchy struct {
	// Path is where the real machine has it.
	Path string
	// Type is its file system: "cgroup" for version 1, "cgroup2" for version 2.
	Type string
	// Options are those of the mount of version 1: the controllers, or a name.
	Options string
}

// Hierarchies returns the hierarchies of control groups that the real machine has: those of version
// 1, or the one of version 2 if there are none.
func Hierarchies() ([]Hierarchy, error) {
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var found, second []Hierarchy
	for line := range strings.Lines(string(mounts)) {
		// The fifth field is the mount point. After a lone hyphen come type, source and options
		// (proc_pid_mountinfo(5)).
		own, more, _ := strings.Cut(strings.TrimSpace(line), " - ")
		fields, last := strings.Fields(own), strings.Fields(more)
		if len(fields) < 5 || len(last) < 3 {
			continue
		}
		if last[0] == "cgroup2" {
			second = append(second, Hierarchy{Path: fields[4], Type: last[0]})
		}
		if last[0] != "cgroup" {
			continue
		}
		options := slices.DeleteFunc(strings.Split(last[2], ","), func(option string) bool { return option == "rw" || option == "ro" })
		found = append(found, Hierarchy{Path: fields[4], Type: last[0], Options: strings.Join(options, ",")})
	}
	if len(found) > 0 {
		return found, nil
	}
	if len(second) == 0 {
		return nil, errors.New("this machine has no control groups mounted")
	}
	return second[:1], nil
}

// JoinControlGroup puts this process into a control group of each hierarchy, which is made if there
// is none.
func JoinControlGroup(name string) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		group := filepath.Join(h.Path, name)
		if err := os.MkdirAll(group, 0o755); err != nil {
			return err
		}
		if h.Type == "cgroup2" {
			if err := h.Distribute(); err != nil {
				return err
			}
		}
		// A new group of this controller has nothing, and takes no process.
		for _, file := range []string{"cpuset.cpus", "cpuset.mems"} {
			all, err := os.ReadFile(filepath.Join(h.Path, file))
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err == nil {
				err = os.WriteFile(filepath.Join(group, file), all, 0)
			}
			if err != nil {
				return err
			}
		}
		if err := os.WriteFile(filepath.Join(group, "cgroup.procs"), []byte("0"), 0); err != nil {
			return fmt.Errorf("join control group %s: %w", group, err)
		}
	}
	return nil
}

// LeaveControlGroup puts this process back into the root of a hierarchy of version 2, in which
// groups have processes or other groups. In those of version 1 it stays where it is.
func LeaveControlGroup() error {
	hierarchies, err := Hierarchies()
	if err != nil || hierarchies[0].Type != "cgroup2" {
		return err
	}
	return os.WriteFile(filepath.Join(hierarchies[0].Path, "cgroup.procs"), []byte("0"), 0)
}

// Distribute gives the groups at the top of a hierarchy of version 2 all controllers. Until that is
// done, it waits for processes to leave the group that they are in, unless that is the root of the
// real machine: a group has processes or shares out controllers (cgroups(7), "no internal
// processes").
func (h Hierarchy) Distribute() error {
	controllers, err := os.ReadFile(filepath.Join(h.Path, "cgroup.controllers"))
	if err != nil {
		return err
	}
	all := ""
	for _, controller := range strings.Fields(string(controllers)) {
		all += "+" + controller + " "
	}
	deadline := time.Now().Add(removeTimeout)
	for {
		err := os.WriteFile(filepath.Join(h.Path, "cgroup.subtree_control"), []byte(all), 0)
		if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
			return err
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// removeTimeout is how long processes may take to die that were killed.
const removeTimeout = 30 * time.Second

// RemoveControlGroups removes the control groups whose names match a pattern of [filepath.Match],
// with all in them, when the processes in them are gone, which somebody has killed.
func RemoveControlGroups(pattern string) error {
	hierarchies, err := Hierarchies()
	if err != nil {
		return nil // then there is none
	}
	deadline := time.Now().Add(removeTimeout)
	for _, h := range hierarchies {
		groups, err := filepath.Glob(filepath.Join(h.Path, pattern))
		if err != nil {
			return err
		}
		for _, group := range groups {
			for {
				err := removeGroup(group)
				if err == nil {
					break
				}
				if !errors.Is(err, unix.EBUSY) || time.Now().After(deadline) {
					return fmt.Errorf("remove control group %s: %w", group, err)
				}
				time.Sleep(5 * time.Millisecond)
			}
		}
	}
	return nil
}

// removeGroup removes a group after those in it. Its files go with it.
func removeGroup(group string) error {
	var groups []string
	err := filepath.WalkDir(group, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() {
			groups = append(groups, path)
		}
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		return err
	})
	if err != nil {
		return err
	}
	for _, group := range slices.Backward(groups) {
		if err := unix.Rmdir(group); err != nil && !errors.Is(err, unix.ENOENT) {
			return err
		}
	}
	return nil
}
