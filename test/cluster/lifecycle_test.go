package cluster_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster"
)

// TestMain makes this program one that runs a cluster until it is told to end, for tests that kill it.
func TestMain(m *testing.M) {
	if len(os.Args) > 2 && os.Args[1] == "up" {
		os.Exit(up(os.Args[2], os.Args[3:]...))
	}
	os.Exit(m.Run())
}

func up(name string, kind ...string) int {
	config := cluster.Config{Name: name, Nodes: 1, Detached: slices.Contains(kind, "detached"), Kubeadm: slices.Contains(kind, "kubeadm"), Progress: os.Stderr}
	if _, err := cluster.Start(context.Background(), config); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	fmt.Println("up")
	if !config.Detached {
		unix.Pause()
	}
	return 0
}

// run starts the program that runs a cluster and waits until the cluster is up.
func run(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], append([]string{"up"}, args...)...)
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		if err := cluster.Remove(context.Background(), args[0]); err != nil {
			t.Error(err)
		}
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if line != "up\n" {
		t.Fatalf("the cluster did not start: %q, %v", line, err)
	}
	go io.Copy(io.Discard, stdout)
	return cmd
}

// name returns a name for a cluster, whose logs are removed after the test unless it fails.
func name(t *testing.T, letter string) string {
	name := fmt.Sprintf("l%d%s", os.Getpid(), letter)
	t.Cleanup(func() {
		if !t.Failed() {
			os.RemoveAll(filepath.Join(os.TempDir(), "clarion", name))
		}
	})
	return name
}

// leftovers returns the namespaces, the control groups and the disks of a cluster.
func leftovers(t *testing.T, name string) []string {
	t.Helper()
	var all []string
	for _, pattern := range []string{"/run/netns/" + name + "-*", "/sys/fs/cgroup/*/clarion-" + name + "-*", "/var/tmp/clarion/" + name} {
		found, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, found...)
	}
	return all
}

// It runs alone: any other start cleans up too.
func TestAKilledRunIsCleanedUpByTheNextOfItsName(t *testing.T) {
	name := name(t, "k")
	cmd := run(t, name)
	c, err := cluster.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	kubelet, err := c.Node("n1").Kubelet()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Start(t.Context(), cluster.Config{Name: name}); err == nil || !strings.Contains(err.Error(), name) {
		t.Errorf("a second cluster of a name that is taken: %v", err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := kubelet.Wait(t.Context()); err != nil { // its parent is dead
		t.Fatal(err)
	}
	if len(leftovers(t, name)) == 0 {
		t.Fatal("a killed process removed namespaces; this test tests nothing")
	}
	again := cluster.New(t, cluster.Config{Name: name, Nodes: 1})
	if _, err := again.Kubectl(t.Context(), "get", "nodes"); err != nil {
		t.Error(err)
	}
}

func TestNothingIsLeftOfMachinesWhoseProcessWasKilled(t *testing.T) {
	t.Parallel()
	name := name(t, "m")
	cmd := run(t, name, "kubeadm")
	c, err := cluster.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	containerd, err := c.Node("n1").Process("containerd")
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if err := containerd.Wait(t.Context()); err != nil { // the machine ends with its process
		t.Fatal(err)
	}
	if err := cluster.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestAnInterruptedStartLeavesNothing(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	name := name(t, "i")
	started := make(chan error)
	go func() {
		_, err := cluster.Start(ctx, cluster.Config{Name: name, Nodes: 1})
		started <- err
	}()
	eventually(t, func() error {
		if !slices.Contains(leftovers(t, name), "/run/netns/"+name+"-n1") {
			return errors.New("the start does not come to the node")
		}
		return nil
	})
	cancel()
	if err := <-started; err == nil {
		t.Error("an interrupted start succeeded")
	}
	if left := leftovers(t, name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	names, err := cluster.Names()
	if err != nil || slices.Contains(names, name) {
		t.Errorf("%v, %v", names, err)
	}
}

func TestADetachedClusterIsOperatedByOthers(t *testing.T) {
	t.Parallel()
	name := name(t, "d")
	if err := run(t, name, "detached").Wait(); err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cluster.Start(t.Context(), cluster.Config{Name: name}); err == nil {
		t.Error("a second cluster of a name that is taken started")
	}
	node := c.Node("n1")
	if err := node.Reboot(); err != nil {
		t.Fatal(err)
	}
	if err := node.AwaitReady(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := c.Stop(); err != nil {
		t.Fatal(err)
	}
	if left := leftovers(t, name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
	if _, err := cluster.Open(name); err == nil {
		t.Error("a removed cluster was opened")
	}
}

func TestRemoveAsksTheProcessThatRunsTheCluster(t *testing.T) {
	t.Parallel()
	name := name(t, "r")
	cmd := run(t, name)
	if err := cluster.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if status := cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGTERM {
		t.Errorf("ended with %s", cmd.ProcessState)
	}
	if left := leftovers(t, name); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}
