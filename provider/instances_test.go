package provider

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/record"

	"github.com/clarionlb/clarion/api/v1alpha1"
	listers "github.com/clarionlb/clarion/client/listers/api/v1alpha1"
	"github.com/clarionlb/clarion/provider/cloudconfig"
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
			metadata, err := instances{&cloudconfig.Config{}, announcersOf("node1", test.announced...), record.NewFakeRecorder(1)}.InstanceMetadata(t.Context(), node)
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

// uninitialized is a Node that waits for the cloud-node controller.
func uninitialized(provided string) *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: "node1"},
		Spec:       corev1.NodeSpec{Taints: []corev1.Taint{{Key: "node.cloudprovider.kubernetes.io/uninitialized", Value: "true", Effect: corev1.TaintEffectNoSchedule}}},
		Status:     corev1.NodeStatus{Addresses: []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "node1"}}},
	}
	if provided != "" {
		node.Annotations = map[string]string{"alpha.kubernetes.io/provided-node-ip": provided}
	}
	return node
}

func TestANodeThatCannotBeInitialisedSaysWhy(t *testing.T) {
	const noAddress = "Warning NoNodeAddress no InternalIP is known of this node: "
	for name, test := range map[string]struct {
		node       *corev1.Node
		announcers listers.AnnouncerLister
		want       string
	}{
		"no announcer":                                   {uninitialized(""), announcersOf("node2", "192.0.2.12"), noAddress},
		"an announcer without route":                     {uninitialized(""), announcersOf("node1"), noAddress},
		"no address that it was given, and no announcer": {uninitialized("nonsense"), announcersOf("node2"), noAddress},
		"nonsense instead of an address": {uninitialized("nonsense"), announcersOf("node1", "192.0.2.12"),
			`Warning InvalidNodeIP the annotation alpha.kubernetes.io/provided-node-ip cannot be used, and the node is not initialised until it can: failed to parse node IP "nonsense"`},
		"nonsense beside an address": {uninitialized("192.0.2.11,nonsense"), announcersOf("node1"),
			`Warning InvalidNodeIP the annotation alpha.kubernetes.io/provided-node-ip cannot be used, and the node is not initialised until it can: failed to parse node IP "192.0.2.11,nonsense"`},
	} {
		events := record.NewFakeRecorder(1)
		metadata, err := instances{&cloudconfig.Config{}, test.announcers, events}.InstanceMetadata(t.Context(), test.node)
		if unknown := strings.HasPrefix(test.want, noAddress); unknown != (err != nil) || unknown != (metadata == nil) {
			t.Errorf("%s: got %v, %v", name, metadata, err)
		}
		select {
		case got := <-events.Events:
			if !strings.HasPrefix(got, test.want) {
				t.Errorf("%s: %s", name, got)
			}
		default:
			t.Errorf("%s: no event", name)
		}
	}
}

func TestANodeThatNeedNotBeInitialisedIsLeftInPeace(t *testing.T) {
	events := record.NewFakeRecorder(1)
	node := uninitialized("")
	node.Spec.Taints = nil
	if _, err := (instances{&cloudconfig.Config{}, announcersOf("node2"), events}).InstanceMetadata(t.Context(), node); err == nil {
		t.Error("it has metadata")
	}
	select {
	case got := <-events.Events:
		t.Errorf("it is said to wait: %s", got)
	default:
	}
}

func TestANodeIsWhatTheCloudConfigSaysOfItsAddress(t *testing.T) {
	subnet := netip.MustParsePrefix("192.0.2.0/24")
	config := &cloudconfig.Config{Nodes: []cloudconfig.Entry{{
		Subnets:  []netip.Prefix{subnet},
		Instance: cloudconfig.Instance{Type: "r750", Zone: "rack-1", Region: "home", Labels: map[string]string{"example.com/a": "b"}},
	}}}
	for name, test := range map[string]struct {
		node      *corev1.Node
		announced []string
		want      string
	}{
		"given to its kubelet":      {uninitialized("192.0.2.11"), nil, "r750 rack-1 home map[example.com/a:b]"},
		"reported by its announcer": {uninitialized(""), []string{"192.0.2.11"}, "r750 rack-1 home map[example.com/a:b]"},
		"in another subnet":         {uninitialized("192.0.3.11"), []string{"192.0.2.11"}, "map[]"},
	} {
		got, err := instances{config, announcersOf("node1", test.announced...), record.NewFakeRecorder(1)}.InstanceMetadata(t.Context(), test.node)
		if err != nil {
			t.Fatal(err)
		}
		if text := strings.TrimSpace(fmt.Sprint(got.InstanceType+" "+got.Zone+" "+got.Region, " ", got.AdditionalLabels)); strings.Join(strings.Fields(text), " ") != test.want {
			t.Errorf("%s: %s, want %s", name, text, test.want)
		}
	}
}

func TestANodeIsThereUnlessItIsDeclaredGone(t *testing.T) {
	node := uninitialized("")
	node.UID = "1"
	for name, test := range map[string]struct {
		config cloudconfig.Config
		want   bool
	}{
		"nothing is said":      {cloudconfig.Config{}, true},
		"another one is gone":  {cloudconfig.Config{Gone: []cloudconfig.GoneNode{{Name: "node2", UID: "1"}}}, true},
		"the one before it is": {cloudconfig.Config{Gone: []cloudconfig.GoneNode{{Name: "node1", UID: "0"}}}, true},
		"it is":                {cloudconfig.Config{Gone: []cloudconfig.GoneNode{{Name: "node1", UID: "1"}}}, false},
	} {
		if got, err := (instances{config: &test.config}).InstanceExists(t.Context(), node); err != nil || got != test.want {
			t.Errorf("%s: %t, %v", name, got, err)
		}
	}
}
