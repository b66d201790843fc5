package diff

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
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
	if !slices.Contains(args, "--from") {
		args = append(args, "--from", "../whatif/testdata/cluster.yaml")
	}
	command.SetArgs(args)
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

// contradiction is what must not be said of an address that nobody would announce.
var contradiction = regexp.MustCompile(`any more: \S+ is (announced|about)`)

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
		if plugin.ExitCode(err) != test.code || !strings.Contains(out, test.want) || contradiction.MatchString(out) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	for _, args := range [][]string{{}, {"-f", "testdata", "-o", "xml"}, {"-f", "testdata", "more"}} {
		if _, err := differing(t, "", args...); plugin.ExitCode(err) != plugin.ExitUsage {
			t.Errorf("%v: %v", args, err)
		}
	}
}

func TestWhatBecomesOfServicesIfObjectsAreDeleted(t *testing.T) {
	const (
		lan      = prefix + "IPAddressPool\nmetadata: {name: lan}\nspec: {addresses: [192.0.2.200-192.0.2.209]}\n---\n"
		routed   = prefix + "IPAddressPool\nmetadata: {name: routed}\nspec: {addresses: [203.0.113.0/29], autoAssign: false}\n---\n"
		layer2   = prefix + "L2Advertisement\nmetadata: {name: lan}\nspec: {ipAddressPools: [lan]}\n---\n"
		peer     = prefix + "BGPPeer\nmetadata: {name: tor}\nspec: {myASN: 65001, peerASN: 65000, peerAddress: 192.0.2.1}\n---\n"
		byBGP    = prefix + "BGPAdvertisement\nmetadata: {name: routed}\nspec: {ipAddressPools: [routed]}\n---\n"
		finished = "Nothing changes for any Service.\n"
	)
	for name, test := range map[string]struct {
		flag, file string
		code       int
		want, not  string
	}{
		"everything is there": {"--prune", lan + routed + layer2 + peer + byBGP, 0, finished, "is deleted"},
		"an advertisement is not": {
			"--prune", lan + routed + peer + byBGP, 1, "L2Advertisement lan is deleted.\nServices that change:", "IPAddressPool",
		},
		"a peer is not":                         {"--prune", lan + routed + layer2 + byBGP, 1, "withdrawn: 203.0.113.1 to tor", "192.0.2.200"},
		"one comes in place of another":         {"--prune", lan + routed + peer + byBGP + strings.ReplaceAll(layer2, "name: lan", "name: other"), 0, finished, "IPAddressPool"},
		"without --prune nothing is deleted":    {"--prune=false", lan, 0, finished, "is deleted"},
		"the objects in the files":              {"--delete", layer2, 1, "192.0.2.200 moves from node-1 to nobody", "203.0.113.1"},
		"a Service":                             {"--delete", "apiVersion: v1\nkind: Service\nmetadata: {namespace: shop, name: mail}\nspec: {ports: [{port: 25}]}", 1, "Service shop/mail is deleted.\n", "shop/web"},
		"what is not there":                     {"--delete", prefix + "IPAddressPool\nmetadata: {name: none}\nspec: {addresses: [198.51.100.1]}", 0, finished, "is deleted"},
		"one that is there and one that is not": {"--delete", strings.ReplaceAll(lan, "name: lan", "name: none") + routed, 1, "IPAddressPool routed is deleted.", "lan is deleted"},
	} {
		out, err := differing(t, test.file, "-f", "-", test.flag)
		if plugin.ExitCode(err) != test.code || !strings.Contains(out, test.want) || strings.Contains(out, test.not) || contradiction.MatchString(out) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	if _, err := differing(t, lan, "-f", "-", "--prune", "--delete"); plugin.ExitCode(err) != plugin.ExitUsage {
		t.Errorf("both: %v", err)
	}
}

func TestAPoolThatIsInUseStaysWhenItIsDeleted(t *testing.T) {
	text, err := os.ReadFile("../whatif/testdata/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	held := strings.Replace(string(text), "metadata: {name: lan, uid: lan,", "metadata: {name: lan, uid: lan, finalizers: [clarionlb.io/pool-in-use],", 1)
	from := filepath.Join(t.TempDir(), "cluster.yaml")
	if err := os.WriteFile(from, []byte(held), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := differing(t, prefix+"IPAddressPool\nmetadata: {name: lan}\nspec: {addresses: [192.0.2.200]}", "-f", "-", "--delete", "--from", from)
	if err != nil || !strings.Contains(out, "IPAddressPool lan is deleted, and stays until") || !strings.Contains(out, "Nothing changes for any Service.") {
		t.Errorf("%v\n%s", err, out)
	}
}
