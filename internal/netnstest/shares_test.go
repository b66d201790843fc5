package netnstest

import (
	"slices"
	"testing"
)

func TestEveryTestIsInOneShare(t *testing.T) {
	tests := []string{"A", "B", "C", "D", "E"}
	for _, test := range []struct {
		width    int
		alone    []string
		together [][]string
		last     []string
	}{
		{2, nil, [][]string{{"A", "C", "E"}, {"B", "D"}}, nil},
		{8, nil, [][]string{{"A"}, {"B"}, {"C"}, {"D"}, {"E"}}, nil},
		{2, []string{"B"}, [][]string{{"A", "D"}, {"C", "E"}}, []string{"B"}},
		{1, []string{"E", "A"}, [][]string{{"B", "C", "D"}}, []string{"A", "E"}},
		{2, []string{"no test"}, [][]string{{"A", "C", "E"}, {"B", "D"}}, nil},
		{2, tests, [][]string{}, tests},
	} {
		together, last := deal(tests, test.width, test.alone)
		if !slices.EqualFunc(together, test.together, slices.Equal) || !slices.Equal(last, test.last) {
			t.Errorf("%d side by side, %v alone: got %v and %v, want %v and %v", test.width, test.alone, together, last, test.together, test.last)
		}
	}
}

func TestWhoAsksForSomethingElseThanAllTestsGetsIt(t *testing.T) {
	for _, test := range []struct {
		args []string
		want bool
	}{
		{nil, true},
		{[]string{"-test.paniconexit0", "-test.timeout=10m0s", "-test.testlogfile=/tmp/log"}, true},
		{[]string{"-test.v=true", "-test.count=1", "-test.parallel=8"}, true},
		{[]string{"-test.run=TestOne"}, false},
		{[]string{"-test.count=20"}, false},
		{[]string{"-test.bench=."}, false},
		{[]string{"-test.v", "-test.coverprofile=/tmp/cover"}, false},
		{[]string{"-of-the-package"}, false},
	} {
		if got := areAll(test.args); got != test.want {
			t.Errorf("%v: got %t", test.args, got)
		}
	}
}

func TestAShareHasItsOwnWidthAndLog(t *testing.T) {
	got := shareArgs([]string{"-test.v=true", "-test.parallel=8", "-test.testlogfile=/tmp/all"}, []string{"TestA", "FuzzB"}, 1, "/tmp/one")
	want := []string{"-test.run=^(TestA|FuzzB)$", "-test.parallel=1", "-test.v=true", "-test.testlogfile=/tmp/one"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTheVerdictIsSaidOfAllShares(t *testing.T) {
	for said, want := range map[string]string{
		"PASS\n":                         "",
		"--- PASS: TestA (0s)\nPASS\n":   "--- PASS: TestA (0s)\n",
		"--- FAIL: TestA (0s)\nFAIL\n":   "--- FAIL: TestA (0s)\n",
		"a line\n\x16PASS\n":             "a line\n",
		"panic: something\n":             "panic: something\n",
		"PASS\nleft behind: a process\n": "PASS\nleft behind: a process\n",
	} {
		if got := string(withoutVerdict([]byte(said))); got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
	}
}
