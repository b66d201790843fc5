package cluster

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

var testClusters atomic.Int64

// New starts a cluster for a test and stops it when the test ends. If the test failed, it leaves
// the logs and a listing of the API's objects, says where they are, and shows the end of what went
// wrong in them. Without a name the cluster gets one of its own, so that tests and test processes
// run side by side.
func New(t testing.TB, config Config) *Cluster {
	t.Helper()
	if config.Name == "" {
		config.Name = fmt.Sprintf("t%dx%d", os.Getpid(), testClusters.Add(1))
	}
	if config.Progress == nil {
		config.Progress = testLog{t}
	}
	c, err := interrupts.start(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			c.explain(t)
		}
		if err := interrupts.stop(c); err != nil {
			t.Error(err)
		}
		if !t.Failed() {
			os.RemoveAll(c.LogDir())
		}
	})
	return c
}

// explain shows what there is to know about a failed test.
func (c *Cluster) explain(t testing.TB) {
	var objects string
	for _, get := range [][]string{
		{"nodes,services,pods,events", "--output=wide"},
		{"announcers,claimslices", "--output=yaml"}, // of the product, if it is installed
	} {
		found, err := c.Kubectl(context.Background(), append([]string{"get", "--all-namespaces", "--request-timeout=5s"}, get...)...)
		if err != nil {
			found += err.Error()
		}
		objects += found
	}
	if err := os.WriteFile(filepath.Join(c.LogDir(), "objects.txt"), []byte(objects), 0o644); err != nil {
		t.Error(err)
	}
	t.Logf("the logs of cluster %s are in %s", c.Name(), c.LogDir())
	logs, err := filepath.Glob(filepath.Join(c.LogDir(), "*", "*.log"))
	if err != nil {
		t.Error(err)
	}
	pods, err := filepath.Glob(filepath.Join(c.LogDir(), "*", "pods", "*", "*", "*.log")) // of a kubeadm cluster
	if err != nil {
		t.Error(err)
	}
	for _, log := range append(logs, pods...) {
		if lines := complaints(log, 5); lines != "" && isProduct(log) {
			t.Logf("%s:\n%s", log, lines)
		}
	}
}

// isProduct tells whether a log is that of a container of the product, which is what most failures
// are about.
func isProduct(log string) bool {
	for _, name := range []string{filepath.Base(log), filepath.Base(filepath.Dir(filepath.Dir(log)))} {
		if strings.HasPrefix(name, "kube-system_clarion-") || strings.HasPrefix(name, "clarion-system_") {
			return true
		}
	}
	return false
}

// complaints returns the last lines of a log that are errors in the formats of klog, zap and the Go
// runtime.
func complaints(log string, n int) string {
	content, err := os.ReadFile(log)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for line := range strings.Lines(string(content)) {
		if len(line) > 5 && (line[0] == 'E' || line[0] == 'F') && line[1] >= '0' && line[1] <= '9' ||
			strings.Contains(line, `"level":"error"`) || strings.Contains(line, `"level":"fatal"`) ||
			strings.HasPrefix(line, "panic:") || strings.HasPrefix(line, "fatal error:") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[max(0, len(lines)-n):], "")
}

// testLog writes lines to a test's log.
type testLog struct{ t testing.TB }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

// interrupts sees to it that an interrupted test process leaves nothing behind: clusters that are
// being started are given up, clusters that run are stopped, and then the process ends as it would
// have.
var interrupts interruptHandler

type interruptHandler struct {
	once sync.Once
	ctx  context.Context
	// changing is held for reading while a cluster is started or stopped.
	changing sync.RWMutex
	running  sync.Map // of *Cluster
}

func (h *interruptHandler) start(config Config) (*Cluster, error) {
	h.once.Do(h.listen)
	h.changing.RLock()
	defer h.changing.RUnlock()
	c, err := Start(h.ctx, config)
	if err == nil {
		h.running.Store(c, nil)
	}
	return c, err
}

func (h *interruptHandler) stop(c *Cluster) error {
	h.changing.RLock()
	defer h.changing.RUnlock()
	h.running.Delete(c)
	return c.Stop()
}

func (h *interruptHandler) listen() {
	ctx, cancel := context.WithCancel(context.Background())
	h.ctx = ctx
	signals := make(chan os.Signal, 1)
	ignored := signal.Ignored(unix.SIGINT) // as shells have it for what they run in the background
	signal.Notify(signals, unix.SIGINT, unix.SIGTERM)
	go func() {
		received := (<-signals).(unix.Signal)
		signal.Reset(unix.SIGINT, unix.SIGTERM) // the next one ends the process at once
		cancel()
		h.changing.Lock() // for ever: no test goes on from here
		for c := range h.running.Range {
			if err := c.(*Cluster).Stop(); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		}
		if err := unix.Kill(os.Getpid(), received); err != nil || ignored && received == unix.SIGINT {
			os.Exit(1)
		}
	}()
}
