package membership

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	ossignal "os/signal"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"k8s.io/klog/v2"
)

const (
	envInside = "CLARION_TEST_IN_NAMESPACE"
	envMember = "CLARION_TEST_MEMBER"
	burner    = "burner" // instead of a member, a process that keeps a processor busy
)

// TestMain runs the tests in a network namespace of their own, which goes when they end. Processes that they start run as
// single members instead.
func TestMain(m *testing.M) {
	switch {
	case os.Getenv(envMember) == burner:
		go func() {
			for n := 0; ; n++ {
			}
		}()
		io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	case os.Getenv(envMember) != "":
		if err := member(os.Getenv(envMember)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	case os.Getenv(envInside) != "":
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), envInside+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	runtime.LockOSThread() // the death signal comes when this thread ends
	if err := cmd.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "tests in a network namespace (they need root):", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// member runs a Cluster as a process: who are its peers it reads line by line, who is alive it writes line by line. It
// leaves when it is told to terminate or when there is nothing more to read.
func member(self string) error {
	name, address, _ := strings.Cut(self, "=")
	logger := klog.Background()
	c := New(Config{Name: name, Address: netip.MustParseAddr(address), Logger: logger})
	ctx, stop := ossignal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		defer stop()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			c.SetPeers(parsePeers(in.Text()))
		}
	}()
	go func() {
		joined := c.Joined()
		for {
			select {
			case <-c.Changed():
				fmt.Println("alive", strings.Join(c.Alive(), " "))
			case <-joined:
				fmt.Println("joined")
				joined = nil
			}
		}
	}()
	return c.Run(ctx)
}

// writePeers and parsePeers turn peers into a line and back.
func writePeers(w io.Writer, peers map[string]netip.Addr) error {
	var fields []string
	for name, address := range peers {
		fields = append(fields, name+"="+address.String())
	}
	_, err := fmt.Fprintln(w, strings.Join(fields, " "))
	return err
}

func parsePeers(line string) map[string]netip.Addr {
	peers := map[string]netip.Addr{}
	for _, field := range strings.Fields(line) {
		name, address, _ := strings.Cut(field, "=")
		peers[name] = netip.MustParseAddr(address)
	}
	return peers
}
