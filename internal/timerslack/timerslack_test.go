package timerslack

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// asProgram has the test's program do what a program does: relax, say so, and run until its input ends.
const asProgram = "TIMERSLACK_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) == "" {
		os.Exit(m.Run())
	}
	fmt.Println(strings.Join(os.Args[1:], " "), relax())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func TestTimersOfAllThreadsMayBeLate(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: it reads other threads' timer slack")
	}
	program := exec.Command(os.Args[0], "first", "second")
	program.Env = append(os.Environ(), asProgram+"=yes")
	input, err := program.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	output, err := program.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		input.Close()
		if err := program.Wait(); err != nil {
			t.Error(err)
		}
	}()
	if said, err := bufio.NewReader(output).ReadString('\n'); err != nil || said != "first second <nil>\n" {
		t.Fatalf("it said %q, %v", said, err)
	}
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", program.Process.Pid))
	if err != nil || len(threads) < 3 {
		t.Fatal(threads, err)
	}
	for _, thread := range threads {
		read, err := os.ReadFile(filepath.Join("/proc", thread.Name(), "timerslack_ns"))
		if got := strings.TrimSpace(string(read)); err != nil || got != strconv.FormatInt(slack.Nanoseconds(), 10) {
			t.Errorf("thread %s: %q, %v; want %v", thread.Name(), got, err, slack)
		}
	}
}
