package reject

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/netfilter"
)

// table is one of nftables: an example with addresses of IPv4 and with an aggregate.
//
//	table inet clarion-reject-bgp {
//		set alive { type nf_proto; flags timeout; timeout 2m; elements = { ipv4, ipv6 } }
//		set ipv4-32 { type ipv4_addr }
//		set ipv4-24 { type ipv4_addr }
//		chain forward {
//			type filter hook forward priority filter + 10
//			meta nfproto @alive jump announced
//		}
//		chain announced {
//			meta nfproto ipv4 ip daddr & 255.255.255.255 @ipv4-32 goto reject
//			meta nfproto ipv4 ip daddr & 255.255.255.0 @ipv4-24 goto reject
//		}
//		chain reject {
//			ct state invalid drop
//			counter
//			meta l4proto tcp reject with tcp reset
//			reject with icmpx port-unreachable
//		}
//	}
//
// There is a set for each length of prefixes: to change one that has intervals costs more.
//
// The hook is that of packets that are forwarded. What the node itself has to do with an address is
// left alone: it may be on an interface, as with kube-proxy in IPVS mode, and what the node sends
// may be translated after netfilter, by eBPF. The priority is after that of filters, so that they
// have dropped what they drop: kube-proxy does so with sources that a Service does not allow.
//
// A packet that is invalid to connection tracking may belong to a connection of a Service, outside
// of its window, and was not translated for that reason. A RST could end that connection.
//
// The elements of alive go by themselves, unless they are added again from time to time.
type table struct {
	name string
	// lengths are those of the prefixes that the table has a set for.
	lengths map[length]struct{}
}

const tablePrefix = "clarion-reject-"

// length is that of prefixes of one family.
type length struct {
	ipv4 bool
	bits int
}

func lengthOf(prefix netip.Prefix) length { return length{prefix.Addr().Is4(), prefix.Bits()} }

// size is that of an address, in bytes.
func (l length) size() uint32 {
	if l.ipv4 {
		return net.IPv4len
	}
	return net.IPv6len
}

func (l length) compare(o length) int { return int(l.size()*256) + l.bits - int(o.size()*256) - o.bits }

func (t *table) rewrite(prefixes map[netip.Prefix]struct{}) error {
	lengths := map[length]struct{}{}
	for prefix := range prefixes {
		lengths[lengthOf(prefix)] = struct{}{}
	}
	err := netfilter.Transact(t.name, func(conn *nftables.Conn) error {
		table := t.table()
		conn.AddTable(table) // so that there is one to remove
		conn.DelTable(table)
		if len(prefixes) == 0 {
			return nil
		}
		conn.AddTable(table)
		if err := t.addRules(conn, table, lengths); err != nil {
			return err
		}
		return t.changeElements(conn, table, nil, slices.Collect(maps.Keys(prefixes)))
	})
	if err == nil {
		t.lengths = lengths
	}
	return err
}

func (t *table) change(gone, added []netip.Prefix) error {
	for _, prefix := range added {
		if _, has := t.lengths[lengthOf(prefix)]; !has {
			return fmt.Errorf("table %s has no prefixes that are as long as that of %s", t.name, prefix)
		}
	}
	return netfilter.Transact(t.name, func(conn *nftables.Conn) error {
		table := t.table()
		conn.FlushSet(alive(table))
		return t.changeElements(conn, table, gone, added)
	})
}

func (t *table) table() *nftables.Table {
	return &nftables.Table{Name: t.name, Family: nftables.TableFamilyINet}
}

func alive(table *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: table, Name: "alive", KeyType: nftables.TypeNFProto, HasTimeout: true, Timeout: lifetime}
}

func (l length) set(table *nftables.Table) *nftables.Set {
	if l.ipv4 {
		return &nftables.Set{Table: table, Name: fmt.Sprintf("ipv4-%d", l.bits), KeyType: nftables.TypeIPAddr}
	}
	return &nftables.Set{Table: table, Name: fmt.Sprintf("ipv6-%d", l.bits), KeyType: nftables.TypeIP6Addr}
}

// changeElements removes prefixes and adds others, and has the table live anew.
func (t *table) changeElements(conn *nftables.Conn, table *nftables.Table, gone, added []netip.Prefix) error {
	families := []nftables.SetElement{{Key: []byte{unix.NFPROTO_IPV4}}, {Key: []byte{unix.NFPROTO_IPV6}}}
	if err := conn.SetAddElements(alive(table), families); err != nil {
		return err
	}
	removals, additions := elements(gone), elements(added)
	lengths := maps.Clone(removals)
	maps.Copy(lengths, additions)
	for l := range lengths {
		if err := netfilter.ChangeElements(conn, l.set(table), removals[l], additions[l]); err != nil {
			return err
		}
	}
	return nil
}

// elements are those of prefixes, by the length that the set is for.
func elements(prefixes []netip.Prefix) map[length][]nftables.SetElement {
	by := map[length][]nftables.SetElement{}
	for _, prefix := range prefixes {
		l := lengthOf(prefix)
		by[l] = append(by[l], nftables.SetElement{Key: prefix.Masked().Addr().AsSlice()})
	}
	return by
}

func (t *table) addRules(conn *nftables.Conn, table *nftables.Table, lengths map[length]struct{}) error {
	forward := conn.AddChain(&nftables.Chain{
		Table: table, Name: "forward", Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookForward,
		Priority: nftables.ChainPriorityRef(*nftables.ChainPriorityFilter + 10),
	})
	announced := conn.AddChain(&nftables.Chain{Table: table, Name: "announced"})
	reject := conn.AddChain(&nftables.Chain{Table: table, Name: "reject"})
	add := func(chain *nftables.Chain, parts ...[]expr.Any) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: slices.Concat(parts...)})
	}
	alive := alive(table)
	if err := conn.AddSet(alive, nil); err != nil {
		return err
	}
	protocol := []expr.Any{&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: netfilter.Register}}
	add(forward, protocol, lookup(alive), netfilter.Verdict(expr.VerdictJump, announced.Name))
	for _, l := range slices.SortedFunc(maps.Keys(lengths), length.compare) {
		set := l.set(table)
		if err := conn.AddSet(set, nil); err != nil {
			return err
		}
		add(announced, protocol, l.destination(), lookup(set), netfilter.Verdict(expr.VerdictGoto, reject.Name))
	}
	add(reject, netfilter.Tracked(expr.CtStateBitINVALID), netfilter.Verdict(expr.VerdictDrop, ""))
	add(reject, []expr.Any{&expr.Counter{}})
	add(reject, netfilter.ProtocolIs(unix.IPPROTO_TCP), []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_TCP_RST}})
	add(reject, []expr.Any{&expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_PORT_UNREACH}})
	return nil
}

func lookup(set *nftables.Set) []expr.Any {
	return []expr.Any{&expr.Lookup{SourceRegister: netfilter.Register, SetName: set.Name, SetID: set.ID}}
}

// destination matches the family, which was loaded, and loads of the destination what prefixes of
// this length have in common.
func (l length) destination() []expr.Any {
	family := byte(unix.NFPROTO_IPV6)
	if l.ipv4 {
		family = unix.NFPROTO_IPV4
	}
	return []expr.Any{
		&expr.Cmp{Op: expr.CmpOpEq, Register: netfilter.Register, Data: []byte{family}},
		netfilter.Destination(l.ipv4),
		&expr.Bitwise{
			SourceRegister: netfilter.Register, DestRegister: netfilter.Register, Len: l.size(),
			Mask: net.CIDRMask(l.bits, int(l.size()*8)), Xor: make([]byte, l.size()),
		},
	}
}
