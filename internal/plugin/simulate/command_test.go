package simulate

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/clarionlb/clarion/internal/plugin"
)

var update = flag.Bool("update", false, "write the golden files anew")

const cluster = "../whatif/testdata/cluster.yaml"

// simulated runs the verb about the cluster in the test data, and returns what it writes.
func simulated(t *testing.T, args ...string) (string, error) {
	t.Helper()
	return simulatedOn(t, cluster, args...)
}

// simulatedOn runs the verb about the cluster in a file.
func simulatedOn(t *testing.T, cluster string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := NewCommand(plugin.Env{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(""), Out: &out, ErrOut: &out}, Flags: genericclioptions.NewConfigFlags(true),
	})
	command.SetArgs(append(args, "-f", cluster))
	command.SilenceErrors, command.SilenceUsage = true, true
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(name, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s\nnot\n%s", got, want)
	}
}

func TestANodeFails(t *testing.T) {
	out, err := simulated(t, "fail", "node-1")
	if plugin.ExitCode(err) != plugin.ExitFailed { // shop/local has its only endpoint there
		t.Errorf("%v", err)
	}
	golden(t, "testdata/fail.txt", out)
}

func TestANodeIsDrained(t *testing.T) {
	out, err := simulated(t, "drain", "node-1")
	if err != nil { // its endpoints go on to serve
		t.Error(err)
	}
	golden(t, "testdata/drain.txt", out)
}

func TestWhereNothingIsLeftSomethingIsSaid(t *testing.T) {
	for _, test := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"fail", "node-3"}, 1, "edge/routed: "}, // its only endpoint
		{[]string{"fail", "node-1", "node-2", "node-3"}, 1, "nobody"},
		{[]string{"fail", "node-1", "node-2"}, 1, "No majority of the announcers remains"},
		{[]string{"drain", "node-1", "node-2", "node-3"}, 0, "Nothing changes for any Service."}, // they announce what no other can
		{[]string{"drain", "node-3"}, 0, "withdrawn: 203.0.113.1 to tor by node-3"},
		{[]string{"fail", "node-9"}, 1, ""},
		{[]string{"fail"}, 2, ""},
		{[]string{"explode", "node-1"}, 2, ""},
		{[]string{"fail", "node-1", "-o", "xml"}, 2, ""},
	} {
		out, err := simulated(t, test.args...)
		if plugin.ExitCode(err) != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%v: %v\n%s", test.args, err, out)
		}
	}
}

// Of the three nodes of this cluster, n2 has no session with the router, and n3 is drained.
func TestOfAnAddressThatNobodyWouldAnnounceItIsSaidWhy(t *testing.T) {
	const others = "../testdata/cluster.yaml"
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"fail", "n1", "n3"}, "shop/api: 203.0.113.1 is not announced: none of 3 nodes that could announce it by BGP has a session (n1 and n3: the Node is not ready; see its kubelet; tor: connection refused"},
		{[]string{"fail", "n2"}, "shop/api: 203.0.113.1 is not announced: the Service has no endpoint that can serve"},
	} {
		out, err := simulatedOn(t, others, test.args...)
		if plugin.ExitCode(err) != plugin.ExitFailed || !strings.Contains(out, test.want) || !strings.Contains(out, "not answered any more: "+test.want[len("shop/api: "):]) {
			t.Errorf("%v: %v\n%s", test.args, err, out)
		}
	}
}

// A drain moves away and does not cut: n2, which alone would be left in service, has no session.
func TestADrainedNodeAnnouncesWhatNoOtherNodeHasASessionFor(t *testing.T) {
	for _, test := range []struct {
		args     []string
		says     string
		sessions string
	}{
		{[]string{"drain", "n1"}, "announced: 203.0.113.1 to tor by n3", "tor: n1, n3"},
		{[]string{"fail", "n1"}, "announced: 203.0.113.1 to tor by n3", "tor: n3"},
	} {
		out, err := simulatedOn(t, "../testdata/cluster.yaml", test.args...)
		if err != nil || !strings.Contains(out, test.says) || !strings.Contains(out, test.sessions) {
			t.Errorf("%v: %v\n%s", test.args, err, out)
		}
	}
}

func TestTheReportAsJSON(t *testing.T) {
	out, _ := simulated(t, "fail", "node-1", "-o", "json")
	var report Report
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatal(err)
	}
	if len(report.Unanswered()) != 1 || report.Unanswered()[0].Name != "shop/local" || report.Load["node-1"].Alive || len(report.Sessions["tor"]) != 2 {
		t.Errorf("%s", out)
	}
}
