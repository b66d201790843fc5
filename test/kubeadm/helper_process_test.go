package kubeadm

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster"
)

// permissions are what the kernel lets a process do (proc_pid_status(5)).
type permissions struct {
	// user is its real, effective, saved and file system user.
	user string
	// capabilities are those that it has, and bounding those that it could get, as masks.
	capabilities, bounding string
	// noNewPrivileges and seccomp are as the kernel says them: "1", and "2" for a filter.
	noNewPrivileges, seccomp string
	// readOnlyRoot means that it cannot write to its root file system.
	readOnlyRoot bool
}

// permissionsOf reads what the processes of an executable may do on a node. All must be alike.
func permissionsOf(t *testing.T, node *cluster.Node, executable string) permissions {
	t.Helper()
	process, err := node.Process(executable)
	if err != nil {
		t.Fatal(err)
	}
	status := read(t, process.PID, "status")
	field := func(name string) string {
		for line := range strings.Lines(status) {
			if value, ok := strings.CutPrefix(line, name+":"); ok {
				return strings.Join(strings.Fields(value), " ")
			}
		}
		t.Fatalf("the status of %s has no %s:\n%s", executable, name, status)
		return ""
	}
	p := permissions{
		user: field("Uid"), capabilities: field("CapEff"), bounding: field("CapBnd"), noNewPrivileges: field("NoNewPrivs"), seccomp: field("Seccomp"),
	}
	for line := range strings.Lines(read(t, process.PID, "mountinfo")) {
		if fields := strings.Fields(line); fields[4] == "/" {
			p.readOnlyRoot = slices.Contains(strings.Split(fields[5], ","), "ro")
		}
	}
	return p
}

// kernelTimerSlack is the timer slack of threads that have not changed it, in nanoseconds (PR_SET_TIMERSLACK in prctl(2)).
const kernelTimerSlack = "50000"

// timerSlacksOf reads the timer slacks of all threads of an executable on a node.
func timerSlacksOf(t *testing.T, node *cluster.Node, executable string) map[string]bool {
	t.Helper()
	process, err := node.Process(executable)
	if err != nil {
		t.Fatal(err)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", process.PID))
	if err != nil {
		t.Fatal(err)
	}
	slacks := map[string]bool{}
	for _, thread := range threads {
		id, err := strconv.Atoi(thread.Name())
		if err != nil {
			t.Fatal(err)
		}
		slacks[strings.TrimSpace(read(t, id, "timerslack_ns"))] = true
	}
	return slacks
}

func read(t *testing.T, pid int, file string) string {
	t.Helper()
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}
