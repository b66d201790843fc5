// Command boot is the first process of a machine of
// [github.com/clarionlb/clarion/test/cluster/machine]: it makes the machine's root file system,
// starts its services, and starts them again when they end.
//
//	boot SPEC
//
// It is run in the machine's network. It makes the other namespaces, and stays outside of them for
// as long as the machine has power.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster/machine"
)

// inside is this program's second argument when it is the machine's first process.
const inside = "inside"

// readyFD is the descriptor by which the first process says that it is in the machine.
const readyFD = 3

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "boot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return fmt.Errorf("name the file that describes the machine")
	}
	content, err := os.ReadFile(args[0])
	if err != nil {
		return err
	}
	var spec machine.Spec
	if err := json.Unmarshal(content, &spec); err != nil {
		return fmt.Errorf("%s: %w", args[0], err)
	}
	if len(args) > 1 && args[1] == inside {
		return enter(spec)
	}
	return hold(spec, args[0])
}

// hold starts the machine's first process and waits for its end.
func hold(spec machine.Spec, file string) error {
	// The kernel kills the first process when the thread ends that started it.
	runtime.LockOSThread()
	if err := machine.JoinControlGroup(spec.ControlGroup); err != nil {
		return err
	}
	ready, said, err := os.Pipe()
	if err != nil {
		return err
	}
	first := exec.Command("/proc/self/exe", file, inside)
	first.Stdout, first.Stderr, first.ExtraFiles = os.Stdout, os.Stderr, []*os.File{said}
	first.SysProcAttr = &unix.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWPID | unix.CLONE_NEWCGROUP,
		Pdeathsig:  unix.SIGKILL,
	}
	if err := first.Start(); err != nil {
		return err
	}
	said.Close()
	if err := machine.LeaveControlGroup(); err != nil {
		return err
	}
	if n, _ := ready.Read(make([]byte, 1)); n == 1 {
		pid := []byte(strconv.Itoa(first.Process.Pid))
		if err := os.WriteFile(spec.PIDFile()+".new", pid, 0o644); err != nil {
			return err
		}
		if err := os.Rename(spec.PIDFile()+".new", spec.PIDFile()); err != nil {
			return err
		}
	}
	return first.Wait()
}

// enter makes the machine around this process and runs its services. It never returns without an error.
func enter(spec machine.Spec) error {
	unix.CloseOnExec(readyFD)
	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("set hostname: %w", err)
	}
	if err := makeRoot(spec); err != nil {
		return err
	}
	if _, err := os.NewFile(readyFD, "ready").Write([]byte{1}); err != nil {
		return err
	}
	return supervise(spec.Services)
}
