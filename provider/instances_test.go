package provider

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/clarionlb/clarion/api/v1alpha1"
	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
)

func TestANodeKeepsItsProviderIDAndEveryAddressThatItsKubeletWasGiven(t *testing.T) {
	internal := func(ip string) corev1.NodeAddress {
		return corev1.NodeAddress{Type: corev1.NodeInternalIP, Address: ip}
	}
	hostname := corev1.NodeAddress{Type: corev1.NodeHostName, Address: "node1"}
	for _, test := range []struct {
		name, providerID, provided string
		reported                   []corev1.NodeAddress
		wantID                     string
		announced                  []string
		want                       []corev1.NodeAddress
	}{
		{"new node", "", "192.0.2.11", []corev1.NodeAddress{hostname}, "clarion://node1", nil, []corev1.NodeAddress{internal("192.0.2.11"), hostname}},
		{"dual stack", "", "2001:db8::b, 192.0.2.11", []corev1.NodeAddress{hostname}, "clarion://node1", nil, []corev1.NodeAddress{internal("2001:db8::b"), internal("192.0.2.11"), hostname}},
		{"initialised node", "other://42", "192.0.2.11", []corev1.NodeAddress{internal("192.0.2.11"), hostname}, "other://42", nil, []corev1.NodeAddress{internal("192.0.2.11"), hostname}},
		{"no node IP given", "", "", []corev1.NodeAddress{internal("192.0.2.11"), hostname}, "clarion://node1", nil, []corev1.NodeAddress{internal("192.0.2.11"), hostname}},
		{"no node IP, told by its announcer", "", "", []corev1.NodeAddress{hostname}, "clarion://node1", []string{"192.0.2.11", "2001:db8::b", "fe80::1", "nonsense"},
			[]corev1.NodeAddress{internal("192.0.2.11"), internal("2001:db8::b"), hostname}},
		{"a node IP given, another one told by its announcer", "", "192.0.2.11", []corev1.NodeAddress{hostname}, "clarion://node1", []string{"192.0.2.12"},
			[]corev1.NodeAddress{internal("192.0.2.11"), hostname}},
		{"initialised, another one told by its announcer", "", "", []corev1.NodeAddress{internal("192.0.2.11")}, "clarion://node1", []string{"192.0.2.12"},
			[]corev1.NodeAddress{internal("192.0.2.11")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			node := &corev1.Node{
				ObjectMeta: metav1.ObjectMeta{Name: "node1", Annotations: map[string]string{"alpha.kubernetes.io/provided-node-ip": test.provided}},
				Spec:       corev1.NodeSpec{ProviderID: test.providerID},
				Status:     corev1.NodeStatus{Addresses: test.reported},
			}
			metadata, err := instances{announcersOf("node1", test.announced...), record.NewFakeRecorder(1)}.InstanceMetadata(t.Context(), node)
			if err != nil {
				t.Fatal(err)
			}
			if metadata.ProviderID != test.wantID || !slices.Equal(metadata.NodeAddresses, test.want) {
				t.Errorf("got %q %v, want %q %v", metadata.ProviderID, metadata.NodeAddresses, test.wantID, test.want)
			}
		})
	}
}

// announcersOf returns a lister that finds the Announcer of a node, which has these addresses.
func announcersOf(node string, ips ...string) listers.AnnouncerLister {
	indexer := cache.NewIndexer(cache.MetaNamespaceKeyFunc, cache.Indexers{})
	announcer := &v1alpha1.Announcer{ObjectMeta: metav1.ObjectMeta{Name: node}}
	announcer.Status.Host.NodeIPs = ips
	if err := indexer.Add(announcer); err != nil {
		panic(err)
	}
	return listers.NewAnnouncerLister(indexer)
}

func TestANodeOfWhichNoAddressIsKnownIsNotInitialisedAndSaysWhy(t *testing.T) {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node1"},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node1"}}},
	}
	for name, announcers := range map[string]listers.AnnouncerLister{
		"no announcer":               announcersOf("node2", "192.0.2.12"),
		"an announcer without route": announcersOf("node1"),
	} {
		events := record.NewFakeRecorder(1)
		metadata, err := instances{announcers, events}.InstanceMetadata(t.Context(), node)
		if err == nil || metadata != nil {
			t.Errorf("%s: got %v", name, metadata)
		}
		select {
		case got := <-events.Events:
			if !strings.HasPrefix(got, "Warning NoNodeAddress no InternalIP is known of this node: ") {
				t.Errorf("%s: %s", name, got)
			}
		default:
			t.Errorf("%s: no event", name)
		}
	}
}
