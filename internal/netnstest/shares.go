package netnstest

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// testLogMagic is how a log begins of what tests depend on, by which the go command knows whether it
// may reuse their result (cmd/go/internal/test).
const testLogMagic = "# test log\n"

// areAll says whether a command line has every test run once, and nothing measured.
func areAll(args []string) bool {
	for _, arg := range args {
		name, value, _ := strings.Cut(strings.TrimLeft(arg, "-"), "=")
		switch name {
		case "test.v", "test.timeout", "test.parallel", "test.paniconexit0", "test.short", "test.fullpath", "test.testlogfile":
		case "test.count":
			if value != "1" {
				return false
			}
		default:
			return false
		}
	}
	return true
}

// runShares runs all tests in shares side by side, and then those that are to be alone. Each share
// says what it has to say when it ends.
func runShares(args, alone []string) error {
	flag.Parse()
	tests, err := list()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "shares")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	width := flag.Lookup("test.parallel").Value.(flag.Getter).Get().(int)
	together, last := deal(tests, width, alone)
	logs := filepath.Join(dir, "log")
	var (
		running sync.WaitGroup
		saying  sync.Mutex
		failed  error
	)
	run := func(share []string, width int, log string) {
		var output bytes.Buffer
		err := runInside(&output, &output, shareArgs(args, share, width, log)...)
		saying.Lock()
		defer saying.Unlock()
		os.Stdout.Write(withoutVerdict(output.Bytes()))
		failed = errors.Join(failed, err)
	}
	for n, share := range together {
		running.Go(func() { run(share, 1, fmt.Sprintf("%s%d", logs, n)) })
	}
	running.Wait()
	if len(last) > 0 {
		run(last, width, logs+"-last")
	}
	if err := errors.Join(failed, mergeLogs(logs+"*")); err != nil {
		fmt.Println("FAIL")
		return err
	}
	fmt.Println("PASS")
	return nil
}

// list returns the names of all tests, examples and fuzz targets.
func list() ([]string, error) {
	var names bytes.Buffer
	err := runInside(&names, os.Stderr, "-test.list=^(Test|Example|Fuzz)")
	return strings.Fields(names.String()), err
}

// deal deals tests out in turns, since those that stand side by side are alike and take alike long.
func deal(tests []string, width int, alone []string) (together [][]string, last []string) {
	for _, test := range tests {
		if slices.Contains(alone, test) {
			last = append(last, test)
		}
	}
	tests = slices.DeleteFunc(slices.Clone(tests), func(test string) bool { return slices.Contains(alone, test) })
	together = make([][]string, min(width, len(tests)))
	for n, test := range tests {
		together[n%width] = append(together[n%width], test)
	}
	return together, last
}

// shareArgs is the command line of a share, of whose tests and subtests that many run side by side.
func shareArgs(args, share []string, width int, log string) []string {
	own := []string{"-test.run=^(" + strings.Join(share, "|") + ")$", fmt.Sprintf("-test.parallel=%d", width)}
	for _, arg := range args {
		switch name, _, _ := strings.Cut(strings.TrimLeft(arg, "-"), "="); name {
		case "test.parallel":
		case "test.testlogfile":
			own = append(own, "-test.testlogfile="+log)
		default:
			own = append(own, arg)
		}
	}
	return own
}

// withoutVerdict returns what a share said without the last word, which is said of all tests together.
func withoutVerdict(output []byte) []byte {
	for _, verdict := range []string{"PASS\n", "FAIL\n"} {
		if said, found := bytes.CutSuffix(output, []byte(verdict)); found {
			return bytes.TrimSuffix(said, []byte("\x16")) // by which the go command finds what is not the tests' own output
		}
	}
	return output
}

// mergeLogs makes one log of those of the shares, if the go command wants one.
func mergeLogs(pattern string) error {
	path := flag.Lookup("test.testlogfile").Value.String()
	if path == "" {
		return nil
	}
	logs, err := filepath.Glob(pattern)
	if err != nil {
		return err
	}
	merged := []byte(testLogMagic)
	for _, log := range logs {
		content, err := os.ReadFile(log)
		if err != nil {
			return err
		}
		merged = append(merged, bytes.TrimPrefix(content, []byte(testLogMagic))...)
	}
	return os.WriteFile(path, merged, 0o644)
}
