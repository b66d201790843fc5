package e2e

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"

	"github.com/clarionlb/clarion/test/install"
)

// TestMain runs the tests. When all of them have run, the roles that are shipped must have no right that the programs made no use
// of: either it is one too many, or a test is missing, or one has failed before it came to that.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == helmName {
		runHelm()
		return
	}
	flag.Parse()
	runMoreSideBySide()
	code := m.Run()
	if isWhole() {
		code = max(code, checkUnusedRights())
	}
	os.Exit(code)
}

// runMoreSideBySide has three tests run for two processors, unless -parallel says otherwise: a test uses some 0.7 of one.
func runMoreSideBySide() {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if !given {
		flag.Set("test.parallel", strconv.Itoa((3*runtime.GOMAXPROCS(0)+1)/2))
	}
}

// isWhole says whether every test has run.
func isWhole() bool {
	for _, name := range []string{"test.run", "test.skip", "test.list", "test.bench", "test.fuzz"} {
		if flag.Lookup(name).Value.String() != "" {
			return false
		}
	}
	return true
}

func checkUnusedRights() int {
	unused, err := install.UnusedRights()
	if err != nil {
		fmt.Println(err)
		return 1
	}
	for _, right := range unused {
		fmt.Printf("no test has the programs use this right, or they do not need it: %s\n", right)
	}
	return min(len(unused), 1)
}
