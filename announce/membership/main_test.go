package membership

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net/netip"
	"os"
	ossignal "os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/netnstest"
)

const (
	envMember = "CLARION_TEST_MEMBER"
	envKey    = "CLARION_TEST_KEY"
	envCalm   = "CLARION_TEST_CALM"
	// envHeartbeats has a member exchange heartbeats with its neighbours, as an announcer does.
	envHeartbeats = "CLARION_TEST_HEARTBEATS"
	burner        = "burner" // instead of a member, a process that keeps a processor busy
)

// Keys change faster than they do in a cluster.
const (
	promoteInTests = time.Second
	retireInTests  = time.Second
)

// TestMain runs the tests in a network namespace of their own, which goes when they end. Processes
// that they start run as single members instead.
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
		if err := runMember(os.Getenv(envMember)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	netnstest.Main(m.Run)
}

// runMember runs a Cluster as a process. It reads commands and writes changes line by line. It
// leaves on SIGTERM, or at the end of its input.
func runMember(self string) error {
	name, address, _ := strings.Cut(self, "=")
	c := New(Config{Name: name, Address: netip.MustParseAddr(address), Key: parseKey(os.Getenv(envKey)), Logger: klog.Background()})
	if os.Getenv(envCalm) == "true" {
		c.timing.interval, c.timing.timeout = 5*c.timing.interval, 5*c.timing.timeout
	}
	c.keys.promoteAfter, c.keys.retireAfter = promoteInTests, retireInTests
	ctx, stop := ossignal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	go func() {
		defer stop()
		for in := bufio.NewScanner(os.Stdin); in.Scan(); {
			switch what, value, _ := strings.Cut(in.Text(), " "); what {
			case "peers":
				c.SetPeers(parsePeers(value))
			case "key":
				if err := c.SetKey(parseKey(value)); err != nil {
					fmt.Fprintln(os.Stderr, err)
				}
			}
		}
	}()
	var beats *heartbeat.Heartbeats
	var missing <-chan struct{}
	if os.Getenv(envHeartbeats) == "true" {
		beats = heartbeat.New(heartbeat.Config{Address: c.config.Address, Keys: c.Keys, Logger: c.config.Logger})
		missing = beats.Changed()
		go beats.Run(ctx)
	}
	go func() {
		joined := c.Joined()
		for {
			select {
			case <-missing:
				beats.States(time.Now())
			case <-c.Changed():
				if beats != nil {
					beats.Set(neighbours(c))
				}
				fmt.Println("left", strings.Join(left(c), " "))
				fmt.Println("rejected", strings.Trim(fmt.Sprint(c.RejectedSenders()), "[]"))
				fmt.Println("alive", strings.Join(c.Alive(), " "))
			case <-joined:
				fmt.Println("joined")
				joined = nil
			}
		}
	}()
	return c.Run(ctx)
}

// neighbours are the members with which one exchanges heartbeats.
func neighbours(c *Cluster) map[string]netip.Addr {
	addresses := map[string]netip.Addr{}
	c.mu.Lock()
	defer c.mu.Unlock()
	var alive []string
	for name, m := range c.members {
		if m.alive {
			alive = append(alive, name)
		}
	}
	for _, name := range heartbeat.Neighbours(c.config.Name, alive) {
		addresses[name] = c.members[name].address
	}
	return addresses
}

// left returns the names of the members that have left.
func left(c *Cluster) []string {
	var names []string
	c.mu.Lock()
	for name := range c.members {
		names = append(names, name)
	}
	c.mu.Unlock()
	names = slices.DeleteFunc(names, func(name string) bool { return !c.Left(name) })
	slices.Sort(names)
	return names
}

// testKey returns the n-th key of the tests.
func testKey(n int) []byte { return bytes.Repeat([]byte{byte(n)}, gossipkey.Size) }

func parseKey(text string) []byte {
	key, err := hex.DecodeString(text)
	if err != nil {
		panic(err)
	}
	return key
}

// writePeers and parsePeers turn peers into a line and back.
func writePeers(w io.Writer, peers map[string]netip.Addr) error {
	fields := []string{"peers"}
	for name, address := range peers {
		fields = append(fields, name+"="+address.String())
	}
	_, err := fmt.Fprintln(w, strings.Join(fields, " "))
	return err
}

func parsePeers(value string) map[string]netip.Addr {
	peers := map[string]netip.Addr{}
	for _, field := range strings.Fields(value) {
		name, address, _ := strings.Cut(field, "=")
		peers[name] = netip.MustParseAddr(address)
	}
	return peers
}
