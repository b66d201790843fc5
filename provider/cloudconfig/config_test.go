package cloudconfig

import (
	"fmt"
	"net/netip"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const reference = "../../docs/cloud-config.yaml"

func node(name string, labels map[string]string) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name, UID: "the-next", Labels: labels}}
}

func TestEachValueIsThatOfTheFirstEntryThatHasOneForTheNode(t *testing.T) {
	config, err := Read(reference)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		node    *corev1.Node
		address string
		want    string
	}{
		{node("gpu-1", nil), "192.168.10.5", "{r750.gpu rack-1 home map[example.com/gpus:4]}"},
		{node("gpu-2a", nil), "", "{r750.gpu  home map[example.com/gpus:4]}"},
		{node("gpu-2ab", nil), "fd00:10::5", "{r750 rack-1 home map[]}"},
		{node("gpu-1", map[string]string{"example.com/row": "b", "example.com/room": "attic"}), "192.168.10.5",
			"{r750.gpu row-b home map[example.com/gpus:4 example.com/power:feed-2]}"},
		{node("w1", map[string]string{"example.com/row": "b"}), "192.168.10.200", "{r750 rack-2 home map[]}"},
		{node("v1", nil), "192.168.10.200", "{r750  home map[]}"},
		{node("w1", nil), "192.168.11.1", "{r750  home map[]}"},
	} {
		var addresses []netip.Addr
		if test.address != "" {
			addresses = []netip.Addr{netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr(test.address)}
		}
		if got := fmt.Sprint(config.Instance(test.node, addresses)); got != test.want {
			t.Errorf("%s at %s: %s, want %s", test.node.Name, test.address, got, test.want)
		}
	}
}

func TestWithoutAFileNothingIsKnownAndNobodyIsGone(t *testing.T) {
	var config Config
	if got := fmt.Sprint(config.Instance(node("w1", nil), nil)); got != "{   map[]}" {
		t.Errorf("it knows %s", got)
	}
	if config.IsGone(node("w1", nil)) {
		t.Error("the node is gone")
	}
}

func TestGoneIsTheNodeThatWasDeclaredAndNotTheNextOneWithItsName(t *testing.T) {
	config, err := Read(reference)
	if err != nil {
		t.Fatal(err)
	}
	gone := node("w9", nil)
	gone.UID = "0b0e7a4c-6c0e-4a6f-9b1d-3f1f3a0c9c55"
	next := node("w9", nil)
	other := node("w8", nil)
	other.UID = gone.UID
	if !config.IsGone(gone) || config.IsGone(next) || config.IsGone(other) {
		t.Errorf("the one that is declared: %t, the next: %t, another: %t", config.IsGone(gone), config.IsGone(next), config.IsGone(other))
	}
}
