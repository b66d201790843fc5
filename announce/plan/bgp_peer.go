package plan

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"net/netip"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// restartTime is how long peers keep the routes of an announcer that restarts (RFC 4724): longer
// than an image takes to be pulled.
const restartTime = 2 * time.Minute

// anyHops is the TTL to peers that are on no network of the node.
const anyHops = 255

// bgpPeer is what a plan needs of a BGPPeer.
type bgpPeer struct {
	name    string
	created int64
	nodes   []labels.Selector
	// session has what is the same on every node.
	session bgp.Peer
	// gateway is the family of the default gateways that are meant; "" if the session says which
	// address.
	gateway corev1.IPFamily
	// secret has the password, and profile says how BFD is to watch the path: names, "" for none.
	secret, profile string
}

func newBGPPeer(object *v1alpha1.BGPPeer) (*bgpPeer, error) {
	s := &object.Spec
	out := &bgpPeer{name: object.Name, created: object.CreationTimestamp.Unix(), gateway: s.DefaultGateway, profile: s.BFDProfile}
	var err error
	if out.nodes, err = readSelectors("nodeSelectors", s.NodeSelectors); err != nil {
		return nil, err
	}
	if s.PasswordSecret != nil {
		out.secret = s.PasswordSecret.Name
	}
	out.session = bgp.Peer{
		Interface:     s.Interface,
		Port:          uint16(s.PeerPort),
		LocalASN:      uint32(s.MyASN),
		HoldTime:      duration(s.HoldTime),
		KeepaliveTime: duration(s.KeepaliveTime),
		ConnectTime:   duration(s.ConnectTime),
	}
	for _, family := range s.AddressFamilies {
		switch family {
		case corev1.IPv4Protocol:
			out.session.Families |= bgp.IPv4
		case corev1.IPv6Protocol:
			out.session.Families |= bgp.IPv6
		default:
			return nil, fmt.Errorf("spec.addressFamilies: unknown family %q", family)
		}
	}
	switch {
	case s.PeerASN != nil:
		out.session.PeerASN = uint32(*s.PeerASN)
	case s.DynamicASN == v1alpha1.DynamicASNInternal:
		out.session.PeerASN = out.session.LocalASN
	}
	if s.EBGPMultiHop {
		out.session.MultihopTTL = anyHops
	}
	if s.TTLSecurityHops != nil {
		out.session.SecurityHops = uint8(*s.TTLSecurityHops)
	}
	if s.EnableGracefulRestart {
		out.session.RestartTime = restartTime
	}
	if s.MaxPrefixes != nil {
		out.session.MaxPrefixes = uint32(*s.MaxPrefixes)
	}
	for _, address := range []struct {
		field, text string
		to          *netip.Addr
	}{
		{"peerAddress", s.PeerAddress, &out.session.Address},
		{"sourceAddress", s.SourceAddress, &out.session.Source},
		{"routerID", s.RouterID, &out.session.RouterID},
	} {
		if address.text == "" {
			continue
		}
		if *address.to, err = netip.ParseAddr(address.text); err != nil {
			return nil, fmt.Errorf("spec.%s: %w", address.field, err)
		}
	}
	// What remains to be filled in on a node cannot be wrong.
	whole := out.session
	if !whole.RouterID.IsValid() {
		whole.RouterID = netip.AddrFrom4([4]byte{1})
	}
	if out.gateway != "" {
		whole.Address, whole.Source = whole.RouterID, netip.Addr{}
	}
	if err := whole.Validate(); err != nil {
		return nil, err
	}
	return out, nil
}

func duration(d *metav1.Duration) time.Duration {
	if d == nil {
		return 0
	}
	return d.Duration
}

// external says whether the peer is of another autonomous system.
func (p *bgpPeer) external() bool { return p.session.PeerASN != p.session.LocalASN }

// carries says whether sessions with the peer are to carry the routes of a prefix's family.
func (p *bgpPeer) carries(prefix netip.Prefix) bool {
	return p.session.OfferedFamilies()&bgp.FamilyOf(prefix) != 0
}

// revision identifies what sessions with the peer have in common on all nodes, so that one node can
// tell from what another has recorded whether that goes by the same. It says nothing of a password
// but which version of the Secret it is of. What no session is reset for is not part of it.
func (p *bgpPeer) revision(passwords map[string]password) string {
	common := p.session
	common.KeepaliveTime, common.ConnectTime, common.MaxPrefixes = 0, 0, 0
	sum := fnv.New32a()
	fmt.Fprintf(sum, "%+v %s %s %s", common, p.gateway, p.secret, passwords[p.secret].version)
	return strconv.FormatUint(uint64(sum.Sum32()), 16)
}

func (p *bgpPeer) selectsNode(l labels.Set) bool { return len(p.nodes) == 0 || anyMatches(p.nodes, l) }

func olderBGPPeer(a, b *bgpPeer) int {
	return cmp.Or(cmp.Compare(a.created, b.created), cmp.Compare(a.name, b.name))
}

// sessions are those of a node with the peer, by their keys. If there are none, the Refusal says why.
func (p *bgpPeer) sessions(name string, n *node, gateways []netip.Addr, passwords map[string]password) (map[bgp.SessionKey]bgp.Peer, Refusal) {
	refuse := func(reason RefusalReason, detail string) (map[bgp.SessionKey]bgp.Peer, Refusal) {
		return nil, Refusal{p.name, reason, detail}
	}
	session := p.session
	if !session.RouterID.IsValid() {
		session.RouterID = routerID(name, n)
	}
	if p.secret != "" {
		password, found := passwords[p.secret]
		switch {
		case !found:
			return refuse(NoSecret, p.secret)
		case password.text == "":
			return refuse(NoPassword, p.secret)
		case strings.HasSuffix(password.text, "\n"):
			return refuse(PasswordNewline, p.secret)
		}
		session.Password = password.text
	}
	if p.gateway == "" {
		if err := session.Validate(); err != nil {
			return refuse(InvalidOnNode, err.Error())
		}
		return map[bgp.SessionKey]bgp.Peer{{Peer: p.name}: session}, Refusal{}
	}
	sessions := map[bgp.SessionKey]bgp.Peer{}
	for _, gateway := range gateways {
		if gateway.Is4() != (p.gateway == corev1.IPv4Protocol) {
			continue
		}
		session.Address = gateway
		if err := session.Validate(); err != nil {
			return refuse(InvalidOnNode, err.Error())
		}
		sessions[bgp.SessionKey{Peer: p.name, Gateway: gateway}] = session
	}
	if len(sessions) == 0 {
		return refuse(NoGateway, string(p.gateway))
	}
	return sessions, Refusal{}
}

// routerID identifies a node: its IPv4 address or, without one, a number made of its name.
func routerID(name string, n *node) netip.Addr {
	if n.address.Is4() {
		return n.address
	}
	sum := fnv.New32a()
	sum.Write([]byte(name))
	id := netip.AddrFrom4([4]byte(sum.Sum(nil)))
	if id.IsUnspecified() {
		id = id.Next()
	}
	return id
}
