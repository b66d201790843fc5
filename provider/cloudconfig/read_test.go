package cloudconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const head = "apiVersion: config.clarionlb.io/v1alpha1\nkind: CloudConfig\n"

func TestEveryFaultIsNamedWithItsLineAndField(t *testing.T) {
	for name, test := range map[string]struct {
		text string
		want []string
	}{
		"unknown field":          {head + "node: []\n", []string{"f:3: node: no such field; there are apiVersion, gone, kind, nodes"}},
		"unknown field of entry": {head + "nodes:\n- zon: a\n  region: b\n", []string{"f:4: nodes[0].zon: no such field; there are instanceType, labelSelector, labels, names, region, subnets, zone"}},
		"unknown field of selector": {head + "nodes:\n- zone: a\n  labelSelector: {a: b}\n",
			[]string{"f:5: nodes[0].labelSelector.a: no such field; there are matchExpressions, matchLabels"}},
		"field twice":   {head + "nodes:\n- zone: a\n  region: c\n  zone: b\n", []string{"f:6: nodes[0].zone: line 4 has the same key"}},
		"label twice":   {head + "nodes:\n- labels:\n    a: b\n    a: c\n", []string{"f:6: nodes[0].labels.a: line 5 has the same key"}},
		"kind twice":    {head + "kind: CloudConfig\n", []string{"f:3: kind: line 2 has the same key"}},
		"several":       {head + "nodes:\n- zone: a b\n- subnets: [10.0.0.0]\n  zone: c\n", []string{"f:4: nodes[0].zone: \"a b\": a valid label must be", "f:5: nodes[1].subnets[0]: \"10.0.0.0\": is no subnet such as", "f:6: nodes[1].zone: never counts: nodes[0] is for all nodes"}},
		"host bits":     {head + "nodes:\n- subnets: [10.0.0.5/24]\n  zone: c\n", []string{"f:4: nodes[0].subnets[0]: \"10.0.0.5/24\": is the address of a host; the subnet is 10.0.0.0/24"}},
		"mapped subnet": {head + "nodes:\n- subnets: [\"::ffff:10.0.0.0/120\"]\n  zone: c\n", []string{"f:4: nodes[0].subnets[0]: \"::ffff:10.0.0.0/120\": write it as IPv4"}},
		"number":        {head + "nodes:\n- zone: 1\n", []string{"f:4: nodes[0].zone: has to be a string: put it in quotes"}},
		"no value":      {head + "nodes:\n- zone:\n", []string{"f:4: nodes[0].zone: has to be a string"}},
		"empty":         {head + "nodes:\n- zone: \"\"\n", []string{"f:4: nodes[0].zone: is empty"}},
		"empty names":   {head + "nodes:\n- names: []\n  zone: a\n", []string{"f:4: nodes[0].names: has to be a list, with at least one element"}},
		"list":          {head + "nodes:\n  zone: a\n", []string{"f:4: nodes: has to be a list, with at least one element"}},
		"upper case":    {head + "nodes:\n- names: [W-*]\n  zone: a\n", []string{"f:4: nodes[0].names[0]: \"W-*\": names of nodes are in lower case"}},
		"name":          {head + "nodes:\n- names: [W1]\n  zone: a\n", []string{"f:4: nodes[0].names[0]: \"W1\": a lowercase RFC 1123 subdomain"}},
		"pattern":       {head + "nodes:\n- names: [\"w[1\"]\n  zone: a\n", []string{"f:4: nodes[0].names[0]: \"w[1\": is no pattern"}},
		"says nothing":  {head + "nodes:\n- names: [w1]\n", []string{"f:4: nodes[0]: says nothing of its nodes"}},
		"label of Kubernetes": {head + "nodes:\n- labels: {topology.kubernetes.io/rack: a}\n",
			[]string{"f:4: nodes[0].labels[topology.kubernetes.io/rack]: labels of kubernetes.io and k8s.io are Kubernetes' own"}},
		"key of a label":   {head + "nodes:\n- labels: {a b: c}\n", []string{"f:4: nodes[0].labels[a b]: name part must consist of"}},
		"shadowed label":   {head + "nodes:\n- labels: {a: b}\n- names: [w]\n  labels: {a: c}\n", []string{"f:6: nodes[1].labels[a]: never counts: nodes[0] is for all nodes"}},
		"operator":         {head + "nodes:\n- zone: a\n  labelSelector:\n    matchExpressions: [{key: a, operator: Is}]\n", []string{"f:6: nodes[0].labelSelector: \"Is\" is not a valid label selector operator"}},
		"gone without UID": {head + "gone:\n- name: w1\n", []string{"f:4: gone[0]: needs a name and a uid"}},
		"gone by pattern":  {head + "gone:\n- {name: \"w*\", uid: a}\n", []string{"f:4: gone[0].name: \"w*\": a lowercase RFC 1123 subdomain"}},
		"version":          {"apiVersion: config.clarionlb.io/v1\nkind: CloudConfig\nfuture: 1\n", []string{"f:1: apiVersion: has to be config.clarionlb.io/v1alpha1"}},
		"kind":             {"apiVersion: config.clarionlb.io/v1alpha1\nkind: Config\n", []string{"f:2: kind: has to be CloudConfig"}},
		"neither":          {"zone: a\n", []string{"f:1: apiVersion: has to be", "f:1: kind: has to be CloudConfig"}},
		"nothing":          {"", []string{"f:1: there is nothing in the file"}},
		"a comment":        {"# later\n", []string{"f:1: there is nothing in the file"}},
		"null":             {"null\n", []string{"f:1: there is nothing in the file"}},
		"a text":           {"zone\n", []string{"f:1: apiVersion: has to be", "f:1: kind: has to be"}},
		"two documents":    {head + "---\nkind: CloudConfig\n", []string{"f:3: there is a second document in the file"}},
		"no YAML":          {head + "nodes:\n- zone: a\n\tregion: b\n", []string{"f: yaml: line "}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parse("f", []byte(test.text))
			if err == nil {
				t.Fatal("it is read")
			}
			got := strings.Split(err.Error(), "\n")
			if len(got) != len(test.want) {
				t.Fatalf("got %d faults:\n%v\nwant %q", len(got), err, test.want)
			}
			for i, want := range test.want {
				if !strings.HasPrefix(got[i], want) {
					t.Errorf("got  %s\nwant %s", got[i], want)
				}
			}
		})
	}
}

func TestWhatYAMLAllowsIsUnderstood(t *testing.T) {
	for name, text := range map[string]string{
		"JSON":    `{"apiVersion": "config.clarionlb.io/v1alpha1", "kind": "CloudConfig", "nodes": [{"zone": "a"}]}`,
		"aliases": head + "nodes:\n- names: [w1]\n  zone: &z a\n- names: [w2]\n  zone: *z\n",
		"nothing": head,
	} {
		if _, err := parse("f", []byte(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAFileThatIsNotThereIsAnError(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cloud-config.yaml")
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}

func FuzzParse(f *testing.F) {
	content, err := os.ReadFile(reference)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(string(content))
	f.Add(head + "nodes:\n- &a [*a]\n- labels: *a\n")
	f.Add(head + "nodes: &a\n- labels: {? {a: b} : c}\n")
	f.Fuzz(func(t *testing.T, text string) {
		config, err := parse("f", []byte(text))
		if err == nil {
			config.Instance(node("w1", nil), nil)
		}
	})
}
