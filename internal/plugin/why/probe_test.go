package why

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// example is the cluster of the examples in the documentation.
func example(t *testing.T) *snapshot.State {
	t.Helper()
	text, err := os.ReadFile("../testdata/cluster.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var objects []unstructured.Unstructured
	for document := range strings.SplitSeq(string(text), "\n---\n") {
		var o unstructured.Unstructured
		if err := utilyaml.Unmarshal([]byte(document), &o.Object); err != nil {
			t.Fatal(err)
		}
		objects = append(objects, o)
	}
	s, err := snapshot.Parse(objects)
	if err != nil {
		t.Fatal(err)
	}
	return s.State()
}

// lan is a wire on which everything goes alike.
type lan struct {
	err error
	mac string
	old bool
	to  []netip.AddrPort
}

func (l *lan) Connect(_ context.Context, to netip.AddrPort) error {
	l.to = append(l.to, to)
	return l.err
}

func (l *lan) Neighbor(netip.Addr) (mac string, fresh bool) { return l.mac, !l.old }

func TestWhatTheWireSaysIsPartOfTheChain(t *testing.T) {
	s := example(t)
	for _, test := range []struct {
		name string
		lan  lan
		ok   bool
		want string
	}{
		{"it answers", lan{}, true, "accepts connections from here"},
		{"from elsewhere", lan{}, true, "this host was told no hardware address"},
		{"what is remembered proves nothing", lan{mac: "02:00:00:00:00:99", old: true}, true, "it has not been confirmed since"},
		{"the owner answers", lan{mac: "02:00:00:00:00:01"}, true, "answers for the address: eth0 of n1"},
		{"another node answers", lan{mac: "02:00:00:00:00:02"}, true, "eth0 of n2, and n1 announces it"},
		{"a stranger answers", lan{mac: "02:00:00:00:00:99"}, false, "is no node's"},
		{"it is refused", lan{err: syscall.ECONNREFUSED}, false, "no endpoint serves the port"},
		{"there is no way", lan{err: syscall.EHOSTUNREACH}, false, "cannot be reached from here"},
		{"nobody answers", lan{err: context.DeadlineExceeded}, false, "does not answer from here"},
		{"anything else", lan{err: errors.New("odd")}, false, "odd"},
	} {
		for _, r := range []*Report{
			Service(s, types.NamespacedName{Namespace: "shop", Name: "front"}),
			Address(s, netip.MustParseAddr("192.0.2.10")),
		} {
			l := test.lan
			r.Probe(t.Context(), s, &l)
			if len(l.to) != 1 || l.to[0] != netip.MustParseAddrPort("192.0.2.10:80") {
				t.Errorf("%s: connects to %v", test.name, l.to)
			}
			if all := strings.Join(texts(r), "\n"); r.OK != test.ok || !strings.Contains(all, test.want) {
				t.Errorf("%s: %t\n%s", test.name, r.OK, all)
			}
		}
	}
	node := Node(s, "n1")
	l := lan{err: syscall.ECONNREFUSED}
	if node.Probe(t.Context(), s, &l); len(l.to) != 0 || !node.OK {
		t.Errorf("of a node, %v is asked", l.to)
	}
}

func TestWhatIsNotAskedIsSaid(t *testing.T) {
	s := example(t)
	front := s.Service(types.NamespacedName{Namespace: "shop", Name: "front"})
	front.Spec.Ports = append(front.Spec.Ports, corev1.ServicePort{Port: 443, Protocol: corev1.ProtocolUDP})
	r, l := Service(s, types.NamespacedName{Namespace: "shop", Name: "front"}), lan{mac: "02:00:00:00:00:01"}
	r.Probe(t.Context(), s, &l)
	all := strings.Join(texts(r), "\n")
	if len(l.to) != 1 || !r.OK || !strings.Contains(all, "was not asked: only the application answers to UDP") {
		t.Errorf("asked %v, %t\n%s", l.to, r.OK, all)
	}
}
