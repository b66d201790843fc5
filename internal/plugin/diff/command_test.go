package diff

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"

	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/clarionlb/clarion/internal/plugin"
)

var update = flag.Bool("update", false, "write the golden files anew")

// differing runs the verb on the cluster in the test data, and returns what it writes.
func differing(t *testing.T, input string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	command := NewCommand(plugin.Env{
		IOStreams: genericiooptions.IOStreams{In: strings.NewReader(input), Out: &out, ErrOut: &out}, Flags: genericclioptions.NewConfigFlags(true),
	})
	command.SetArgs(append(args, "--from", "../whatif/testdata/cluster.yaml"))
	command.SilenceErrors, command.SilenceUsage = true, true
	err := command.ExecuteContext(t.Context())
	return out.String(), err
}

func TestWhatBecomesOfServicesIfAPoolIsEdited(t *testing.T) {
	out, err := differing(t, "", "-f", "testdata/change.yaml")
	if plugin.ExitCode(err) != plugin.ExitFailed {
		t.Errorf("%v", err)
	}
	const name = "testdata/change.txt"
	if *update {
		if err := os.WriteFile(name, []byte(out), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if out != string(want) {
		t.Errorf("%s\nnot\n%s", out, want)
	}
}

const prefix = "apiVersion: clarionlb.io/v1alpha1\nkind: "

func TestWhatChangesAndWhatDoesNot(t *testing.T) {
	for name, test := range map[string]struct {
		file string
		code int
		want string
	}{
		"the same again": {prefix + "IPAddressPool\nmetadata: {name: lan}\nspec: {addresses: [192.0.2.200-192.0.2.209]}", 0, "Nothing changes"},
		"another label":  {prefix + "IPAddressPool\nmetadata: {name: lan, labels: {a: b}}\nspec: {addresses: [192.0.2.200-192.0.2.209]}", 0, "Nothing changes"},
		"of what is wrong, the last good version stays in force": {
			prefix + "L2Advertisement\nmetadata: {name: lan}\nspec: {ipAddressPools: [lan, other]}", 0, "Nothing changes",
		},
		"nodes are left out": {
			prefix + "L2Advertisement\nmetadata: {name: lan}\nspec: {ipAddressPools: [lan], nodeSelectors: [{matchLabels: {a: b}}]}", 1, "moves from node-1 to nobody",
		},
		"the pool is announced by BGP, too": {
			prefix + "BGPAdvertisement\nmetadata: {name: routed}\nspec: {ipAddressPools: [routed, lan]}", 0, "announced: 192.0.2.200 to tor by node-1, node-2, node-3",
		},
		"the routes go": {
			prefix + "BGPAdvertisement\nmetadata: {name: routed}\nspec: {ipAddressPools: [lan]}", 1, "withdrawn: 203.0.113.1 to tor by node-1, node-2, node-3",
		},
		"a Service moves to another pool": {
			"apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: mail, annotations: {clarionlb.io/address-pool: routed}}", 1, "192.0.2.202 becomes 203.0.113.",
		},
		"a reservation for one Service does not concern another that has the address": {
			prefix + "IPAddressReservation\nmetadata: {name: r}\nspec: {addresses: [192.0.2.209]}", 0, "Nothing changes",
		},
		"a peer":   {prefix + "BGPPeer\nmetadata: {name: second}\nspec: {myASN: 65001, peerASN: 65000, peerAddress: 192.0.2.2}", 0, "announced: 203.0.113.1 to second"},
		"an error": {prefix + "IPAddressPool\nmetadata: {name: lan}\nspec: {}", 1, "spec.addresses: Required value"},
	} {
		out, err := differing(t, test.file, "-f", "-")
		if plugin.ExitCode(err) != test.code || !strings.Contains(out, test.want) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, args := range [][]string{{}, {"-f", "testdata", "-o", "xml"}, {"-f", "testdata", "more"}} {
		if _, err := differing(t, "", args...); plugin.ExitCode(err) != plugin.ExitUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}
