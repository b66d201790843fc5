package why

import (
	"context"
	"errors"
	"fmt"
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
	err   error
	heard heard
	deaf  error // why nobody can be asked
	mac   string
	old   bool
	to    []netip.AddrPort
	asked []netip.Addr
}

func (l *lan) Ask(_ context.Context, address netip.Addr) (heard, error) {
	l.asked = append(l.asked, address)
	return l.heard, l.deaf
}

func (l *lan) Connect(_ context.Context, to netip.AddrPort) error {
	l.to = append(l.to, to)
	return l.err
}

func (l *lan) Neighbor(netip.Addr) (mac string, fresh bool) { return l.mac, !l.old }

// The hardware addresses of two nodes of the example, and of none.
const n1, n2, stranger = "02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:99"

// on is a LAN on which these answer, as a host on it sees it that is no node.
func on(macs ...string) lan {
	return lan{heard: heard{Interface: "eth1", Own: "02:00:00:00:00:77", MACs: macs}}
}

func TestWhatTheWireSaysIsPartOfTheChain(t *testing.T) {
	s, denied := example(t), fmt.Errorf("open a packet socket: %w", syscall.EPERM)
	for _, test := range []struct {
		name string
		lan  lan
		ok   bool
		want string
	}{
		{"it answers", on(n1), true, "accepts connections from here"},
		{"the owner answers", on(n1), true, "one host answers on eth1 by ARP"},
		{"the owner's interface is named", on(n1), true, "answers for the address: eth0 of n1"},
		{"another node answers", on(n2), true, "eth0 of n2, and n1 announces it"},
		{"a stranger answers", on(stranger), false, "is no node's"},
		{"two answer", on(n1, n2), true, "2 hosts answer on eth1 by ARP"},
		{"a stranger answers too", on(n1, stranger), false, "is no node's"},
		{"nobody answers on the LAN", on(), false, "no host answers on eth1 by ARP, though n1 announces the address"},
		{"this host announces it", lan{heard: heard{Interface: "eth0", Own: n1}}, true, "is this host: it does not hear itself"},
		{"from elsewhere", lan{heard: heard{Router: netip.MustParseAddr("198.51.100.1")}}, true, "which reaches it by the router 198.51.100.1"},
		{"on another system", lan{deaf: errors.New("that can be done on Linux alone")}, true, "nobody was asked by ARP: that can be done on Linux alone"},
		{"not as root", lan{deaf: denied}, true, "nobody was asked by ARP, which takes root"},
		{"not as root, and there is a way", lan{deaf: denied}, true, "sudo env"},
		{"not as root, and nothing learned", lan{deaf: denied}, true, "this host was told no hardware address"},
		{"what is remembered proves nothing", lan{deaf: denied, mac: stranger, old: true}, true, "it has not been confirmed since"},
		{"the kernel was told of the owner", lan{deaf: denied, mac: n1}, true, "answers for the address: eth0 of n1"},
		{"the kernel was told of a stranger", lan{deaf: denied, mac: stranger}, false, "is no node's"},
		{"it is refused", lan{err: syscall.ECONNREFUSED, heard: on(n1).heard}, false, "no endpoint serves the port"},
		{"there is no way", lan{err: syscall.EHOSTUNREACH, heard: on(n1).heard}, false, "cannot be reached from here"},
		{"nobody answers", lan{err: context.DeadlineExceeded, heard: on(n1).heard}, false, "does not answer from here"},
		{"anything else", lan{err: errors.New("odd"), heard: on(n1).heard}, false, "odd"},
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
	if node.Probe(t.Context(), s, &l); len(l.to)+len(l.asked) != 0 || !node.OK {
		t.Errorf("of a node, %v is asked", l.to)
	}
}

func TestWhatIsNotAskedIsSaid(t *testing.T) {
	s := example(t)
	front := s.Service(types.NamespacedName{Namespace: "shop", Name: "front"})
	front.Spec.Ports = append(front.Spec.Ports, corev1.ServicePort{Port: 443, Protocol: corev1.ProtocolUDP})
	r, l := Service(s, types.NamespacedName{Namespace: "shop", Name: "front"}), on(n1)
	r.Probe(t.Context(), s, &l)
	all := strings.Join(texts(r), "\n")
	if len(l.to) != 1 || !r.OK || !strings.Contains(all, "was not asked: only the application answers to UDP") {
		t.Errorf("asked %v, %t\n%s", l.to, r.OK, all)
	}
}

func TestAnAddressOfNoServiceIsAskedForToo(t *testing.T) {
	s, free := example(t), netip.MustParseAddr("192.0.2.9")
	for _, test := range []struct {
		lan  lan
		ok   bool
		want string
	}{
		{on(), true, "no host answers on eth1 by ARP, and none is to"},
		{on(stranger), false, "find the host by its hardware address"},
	} {
		r, l := Address(s, free), test.lan
		r.Probe(t.Context(), s, &l)
		if all := strings.Join(texts(r), "\n"); r.OK != test.ok || !strings.Contains(all, test.want) || len(l.to) != 0 || len(l.asked) != 1 {
			t.Errorf("%t, asked %v\n%s", r.OK, l.asked, all)
		}
	}
}
