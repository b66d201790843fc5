package machine_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clarionlb/clarion/test/cluster/machine"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

var product = sync.OnceValues(func() (string, error) { return setup.Product(context.Background(), os.Stderr) })

// boot boots a machine on a LAN of its own, which is taken down at the end.
func boot(t *testing.T, change func(*machine.Spec)) *machine.Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	programs, err := product()
	if err != nil {
		t.Fatal(err)
	}
	n := &network.Network{Name: fmt.Sprintf("m%d", os.Getpid()), LANs: []string{"lan"}}
	m := &machine.Machine{
		Host: n.Host(network.Spec{Name: "m", Ports: []network.Port{
			{Device: "eth0", LAN: "lan", Addresses: []netip.Prefix{netip.MustParsePrefix("10.0.1.11/24")}},
		}}),
		BootProgram: filepath.Join(programs, "boot"),
		Spec: machine.Spec{
			Name: "m", ControlGroup: "clarion-" + n.Name, Disk: t.TempDir(), Logs: t.TempDir(),
			Kept: []string{"/var/lib/kept"}, Programs: []string{filepath.Join(programs, "boot")},
			Files:   map[string]string{"/etc/hostname": "m\n", "/usr/bin/systemctl": ""},
			Sysctls: map[string]string{"kernel/panic": "10"},
		},
	}
	if change != nil {
		change(&m.Spec)
	}
	t.Cleanup(func() {
		if err := errors.Join(n.Destroy(), machine.RemoveControlGroups(m.Spec.ControlGroup)); err != nil {
			t.Error(err)
		}
	})
	if err := errors.Join(n.Create(), m.PowerOn(t.Context())); err != nil {
		t.Fatal(err)
	}
	return m
}

// shell runs a line of the shell in the machine and returns its output.
func shell(t *testing.T, m *machine.Machine, line string) string {
	t.Helper()
	out, err := m.Execute(t.Context(), "", "sh", "-c", line)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(out)
}

func TestAMachineIsAComputerOfItsOwn(t *testing.T) {
	m := boot(t, nil)
	for line, want := range map[string]string{
		"hostname":                                            "m",
		"cat /etc/hostname":                                   "m",
		"readlink /proc/1/exe | xargs basename":               "boot",
		"cat /proc/sys/kernel/panic":                          "10",
		"ls -A /tmp /opt/programs | sort -u | tail -1":        "boot",
		"ip -brief address show dev eth0 | grep -o 10.0.1.11": "10.0.1.11",
		"wc -c < /usr/bin/systemctl":                          "0",
		"grep -v ^0: /proc/1/cgroup | grep -vc :/$":           "0",
	} {
		if got := shell(t, m, line+" || true"); got != want {
			t.Errorf("%s says %q, want %q", line, got, want)
		}
	}
	shell(t, m, "echo changed > /etc/hostname && echo 7 > /proc/sys/kernel/panic")
	for _, file := range []string{"/etc/hostname", "/proc/sys/kernel/panic"} {
		if content, err := os.ReadFile(file); err != nil || strings.TrimSpace(string(content)) == "changed" || strings.TrimSpace(string(content)) == "7" {
			t.Errorf("%s of the real machine is %q, %v", file, content, err)
		}
	}
}

func TestPowerTakesAllButTheDisk(t *testing.T) {
	m := boot(t, nil)
	shell(t, m, "echo kept > /var/lib/kept/file && echo lost > /etc/file && echo lost > /run/file && setsid sleep 1000 >/dev/null 2>&1 &")
	if err := errors.Join(m.PowerOff(), m.PowerOn(t.Context())); err != nil {
		t.Fatal(err)
	}
	if got := shell(t, m, "cat /var/lib/kept/file"); got != "kept" {
		t.Errorf("the disk has %q", got)
	}
	if got := shell(t, m, "ls /etc/file /run/file 2>/dev/null; pgrep sleep || true"); got != "" {
		t.Errorf("left from before: %s", got)
	}
}

func TestAServiceRunsAgainWhenItHasEnded(t *testing.T) {
	m := boot(t, func(spec *machine.Spec) {
		spec.Services = []machine.Service{
			{Name: "counter", Command: []string{"sh", "-c", "echo started; read line < /run/fifo"}, Needs: []string{"/run/fifo"}},
		}
	})
	log := filepath.Join(m.Spec.Logs, "counter.log")
	if _, err := os.Stat(log); err == nil {
		t.Error("it was started before what it needs was there")
	}
	shell(t, m, "mkfifo /run/fifo")
	for starts := 1; starts <= 2; starts++ {
		await(t, fmt.Sprintf("start %d", starts), func() bool {
			content, _ := os.ReadFile(log)
			return strings.Count(string(content), "started") == starts
		})
		shell(t, m, "echo end > /run/fifo")
	}
}

func TestAMachineThatCannotBootSaysWhy(t *testing.T) {
	m := boot(t, nil)
	m.Spec.Programs = []string{"/nothing-here"}
	if err := m.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Command("true"); !errors.Is(err, network.ErrOff) {
		t.Errorf("a command in a machine without power: %v", err)
	}
	err := m.PowerOn(t.Context())
	if err == nil || !strings.Contains(err.Error(), "nothing-here") {
		t.Error(err)
	}
	if _, err := m.Command("true"); err == nil {
		t.Error("there is a way to run commands in a machine that has not booted")
	}
}

func await(t *testing.T, what string, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for tick := time.NewTicker(10 * time.Millisecond); !condition(); {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
