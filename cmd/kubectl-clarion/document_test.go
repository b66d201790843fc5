package main

import (
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

const (
	document = "../../docs/kubectl-clarion.md"
	// fixture is the cluster of the examples.
	fixture = "../../internal/plugin/testdata/cluster.yaml"
)

// documented are the verbs of which the document shows what they write on that cluster.
var documented = []string{"status", "why", "pools", "announcers", "bgp", "events"}

var update = flag.Bool("update", false, "write what the verbs write into the document")

// TestTheDocumentShowsWhatTheVerbsWrite runs what console blocks of the document have after "$ kubectl clarion" on the cluster of
// the examples. With -update the document is brought up to date.
func TestTheDocumentShowsWhatTheVerbsWrite(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	const begin, end, prompt = "```console\n", "```\n", "$ kubectl clarion "
	var out strings.Builder
	rest, shown := string(text), map[string]bool{}
	for {
		before, block, found := strings.Cut(rest, begin)
		out.WriteString(before)
		if !found {
			break
		}
		block, rest, _ = strings.Cut(block, end)
		out.WriteString(begin)
		line, _, _ := strings.Cut(block, "\n")
		if args := strings.Fields(strings.TrimPrefix(line, prompt)); strings.HasPrefix(line, prompt) && slices.Contains(documented, args[0]) {
			shown[args[0]] = true
			_, stdout, stderr := execute(t, "", append(args, "-f", fixture)...)
			block = line + "\n" + stdout + stderr
		}
		out.WriteString(block + end)
	}
	for _, verb := range documented {
		if !shown[verb] {
			t.Errorf("the document shows nothing of %s", verb)
		}
	}
	if *update {
		if err := os.WriteFile(document, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if out.String() != string(text) {
		t.Errorf("the document is out of date: go test ./cmd/kubectl-clarion -update\n%s", out.String())
	}
}

func TestVerbsThatShowSomething(t *testing.T) {
	for _, test := range []struct {
		line string
		code int
		want string
	}{
		{"why shop/front", 0, "Service shop/front: 192.0.2.10 is announced by n1"},
		{"why service/shop/front -o json", 0, `"ok": true`},
		{"why svc/front -n shop -o yaml", 0, "kind: Service"},
		{"why front --namespace=shop", 0, "selected by L2Advertisement lan"},
		{"why shop/late", 1, "AddressInUse: 192.0.2.10 is in use by Service shop/front"},
		{"why shop/stock", 1, "no pod is ready"},
		{"why 192.0.2.9", 0, "awaits its reuse"},
		{"why 192.0.2.8", 0, `by reservation "mail"`},
		{"why 198.51.100.1", 0, "198.51.100.1 is in no pool"},
		{"why ip/192.0.2.10", 0, "is the address of Service shop/front"},
		{"why n1", 0, "the node may announce addresses"},
		{"why node/n3", 0, "kubectl clarion undrain n3"},
		{"why node/n9", 2, "there is no Node n9"},
		{"why shop/none", 2, "there is no Service shop/none"},
		{"why ip/web", 2, "is not an IP address"},
		{"why", 2, "name one Service"},
		{"why a -o table", 2, "-o is json, yaml or wide"},
		{"status", 1, "2 of 4 in order"},
		{"status -o json", 1, `"trouble"`},
		{"status now", 2, "name nothing"},
		{"pools public", 0, "192.0.2.8 is kept for Service shop/mail"},
		{"pools -o yaml", 0, "awaitingReuse: 1"},
		{"pools none", 2, "there is no IPAddressPool none"},
		{"announcers n3", 0, "Draining"},
		{"announcers none", 2, "there is no Node none"},
		{"bgp", 1, "connection refused"},
		{"bgp tor -o wide", 1, "192.0.2.254"},
		{"bgp none", 2, "there is no BGPPeer none"},
		{"events", 0, "handed over by n2"},
		{"events -o json", 0, `"reason": "AddressAnnounced"`},
	} {
		code, out, errOut := execute(t, "", append(strings.Fields(test.line), "-f", fixture)...)
		if code != test.code || !strings.Contains(out+errOut, test.want) {
			t.Errorf("%s: %d\n%s%s", test.line, code, out, errOut)
		}
	}
	if code, _, errOut := execute(t, "", "status", "--kubeconfig=/nonexistent"); code != 1 || !strings.Contains(errOut, "nonexistent") {
		t.Errorf("%d %s", code, errOut)
	}
}
