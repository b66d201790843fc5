package layer2

import (
	"maps"
	"net/netip"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/internal/netfilter"
)

// The kernel relays by a table of nftables. There is one for each family that has relays.
//
//	table ip clarion-relay {
//		map began { type ipv4_addr : ipv4_addr . iface_index }
//		chain prerouting {
//			type filter hook prerouting priority mangle
//			ip daddr @began jump unknown
//		}
//		chain unknown {
//			ct state new tcp flags & syn == 0 goto relay
//			ct state invalid tcp flags & (fin | rst) != 0 goto relay
//			ct state invalid meta l4proto icmp goto relay
//		}
//		chain relay {
//			ip ttl < 2 drop
//			ip ttl > 16 ip ttl set 16
//			counter dup to (ip daddr map @began) drop
//		}
//	}
//
// The map began has the addresses with relays, and for each the next hop to the node on which its
// connections began.
//
// The priority is after that of connection tracking, which has then found out which connection a
// packet belongs to. It is before that of destination NAT, which would give the packet any
// endpoint.
//
// Connection tracking takes a packet that begins no connection, and belongs to none that it knows,
// for a new connection. The copy is sent to the other node and the packet itself is dropped, so
// that the kernel forgets that connection and treats the next packet alike. A FIN or RST of an
// unknown connection is invalid to connection tracking, and so is an ICMP error about one. Other
// invalid packets are not relayed: they may belong to connections of this node, outside of their
// windows. The other node would reset those connections.
//
// The kernel decrements the time to live of a copy, but copies a packet also if it has none left.
// Hence the first rule of relay.
const (
	relayTableName = "clarion-relay"
	beganName      = "began"
	// relayHops is the highest time to live that a relayed packet leaves with.
	relayHops = 16
)

// relayFamily is what differs between IPv4 and IPv6.
type relayFamily struct {
	family nftables.TableFamily
	// hops is the offset of the time to live, or hop limit, in the header.
	hops       uint32
	size       uint32
	icmp       byte
	key, value nftables.SetDatatype
}

// Registers are words of 4 bytes. The address that is looked up is in the first ones, and the value
// from the map begins in the fifth.
const (
	keyRegister   = netfilter.Register
	valueRegister = unix.NFT_REG32_04
)

var relayFamilies = []relayFamily{
	{
		family: nftables.TableFamilyIPv4, size: 4, hops: 8, icmp: unix.IPPROTO_ICMP,
		key: nftables.TypeIPAddr, value: nftables.MustConcatSetType(nftables.TypeIPAddr, nftables.TypeIFIndex),
	},
	{
		family: nftables.TableFamilyIPv6, size: 16, hops: 7, icmp: unix.IPPROTO_ICMPV6,
		key: nftables.TypeIP6Addr, value: nftables.MustConcatSetType(nftables.TypeIP6Addr, nftables.TypeIFIndex),
	},
}

func (f relayFamily) is(addr netip.Addr) bool {
	return addr.Is4() == f.is4()
}

func (f relayFamily) is4() bool { return f.family == nftables.TableFamilyIPv4 }

func (f relayFamily) table() *nftables.Table {
	return &nftables.Table{Name: relayTableName, Family: f.family}
}

func (f relayFamily) began(t *nftables.Table) *nftables.Set {
	return &nftables.Set{Table: t, Name: beganName, IsMap: true, KeyType: f.key, DataType: f.value, KeyByteOrder: binaryutil.BigEndian}
}

// changeRelays has the kernel relay what is in next and nothing else, in one transaction. If known
// is set, now is what it relays at the moment. That may be wrong, since others can remove a table;
// then the tables are written anew. An addition takes a fraction of a millisecond, and a removal
// takes the kernel some milliseconds.
func changeRelays(known bool, now, next map[netip.Addr]hop) error {
	if known && transact(func(conn *nftables.Conn, f relayFamily) error { return f.change(conn, f.pick(now), f.pick(next)) }) == nil {
		return nil
	}
	return rewriteRelays(next)
}

// restoreRelays writes the tables anew if one of them is not there: an element of it that is there cannot be added again then.
func restoreRelays(current map[netip.Addr]hop) error {
	there := transact(func(conn *nftables.Conn, f relayFamily) error {
		for addr, hop := range f.pick(current) {
			return conn.SetAddElements(f.began(f.table()), []nftables.SetElement{hop.element(addr)})
		}
		return nil
	})
	if there == nil {
		return nil
	}
	return rewriteRelays(current)
}

func rewriteRelays(next map[netip.Addr]hop) error {
	return transact(func(conn *nftables.Conn, f relayFamily) error {
		conn.AddTable(f.table()) // so that there is one to remove
		conn.DelTable(f.table())
		return f.change(conn, nil, f.pick(next))
	})
}

// element is what the map has for an address.
func (h hop) element(addr netip.Addr) nftables.SetElement {
	return nftables.SetElement{Key: addr.AsSlice(), Val: slices.Concat(h.to.AsSlice(), binaryutil.NativeEndian.PutUint32(uint32(h.index)))}
}

// transact calls do for each family, in one transaction.
func transact(do func(*nftables.Conn, relayFamily) error) error {
	return netfilter.Transact(relayTableName, func(conn *nftables.Conn) error {
		for _, f := range relayFamilies {
			if err := do(conn, f); err != nil {
				return err
			}
		}
		return nil
	})
}

// pick returns the relays of the family.
func (f relayFamily) pick(relays map[netip.Addr]hop) map[netip.Addr]hop {
	picked := maps.Clone(relays)
	maps.DeleteFunc(picked, func(addr netip.Addr, _ hop) bool { return !f.is(addr) })
	return picked
}

// change adds to the transaction what turns the relays of the family from now into next.
func (f relayFamily) change(conn *nftables.Conn, now, next map[netip.Addr]hop) error {
	var gone, added []nftables.SetElement
	for addr, hop := range now {
		if is, stays := next[addr]; !stays || is != hop {
			gone = append(gone, nftables.SetElement{Key: addr.AsSlice()})
		}
	}
	for addr, hop := range next {
		if was, stayed := now[addr]; !stayed || was != hop {
			added = append(added, hop.element(addr))
		}
	}
	table := f.table()
	began := f.began(table)
	switch {
	case len(now) > 0 && len(next) == 0:
		conn.DelTable(table)
		return nil
	case len(now) == 0 && len(next) > 0:
		conn.AddTable(table)
		if err := conn.AddSet(began, nil); err != nil {
			return err
		}
		f.addRules(conn, table, began)
	}
	return netfilter.ChangeElements(conn, began, gone, added)
}

func (f relayFamily) addRules(conn *nftables.Conn, table *nftables.Table, began *nftables.Set) {
	prerouting := conn.AddChain(&nftables.Chain{
		Table: table, Name: "prerouting",
		Type: nftables.ChainTypeFilter, Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityMangle,
	})
	unknown := conn.AddChain(&nftables.Chain{Table: table, Name: "unknown"})
	relay := conn.AddChain(&nftables.Chain{Table: table, Name: "relay"})
	add := func(chain *nftables.Chain, parts ...[]expr.Any) {
		conn.AddRule(&nftables.Rule{Table: table, Chain: chain, Exprs: slices.Concat(parts...)})
	}
	find := []expr.Any{netfilter.Destination(f.is4()), &expr.Lookup{
		SourceRegister: keyRegister, DestRegister: valueRegister, IsDestRegSet: true, SetName: began.Name, SetID: began.ID,
	}}
	toRelay := netfilter.Verdict(expr.VerdictGoto, relay.Name)

	add(prerouting, find, netfilter.Verdict(expr.VerdictJump, unknown.Name))
	add(unknown, netfilter.Tracked(expr.CtStateBitNEW), netfilter.ProtocolIs(unix.IPPROTO_TCP), flagged(expr.CmpOpEq, syn), toRelay)
	add(unknown, netfilter.Tracked(expr.CtStateBitINVALID), netfilter.ProtocolIs(unix.IPPROTO_TCP), flagged(expr.CmpOpNeq, fin|rst), toRelay)
	add(unknown, netfilter.Tracked(expr.CtStateBitINVALID), netfilter.ProtocolIs(f.icmp), toRelay)
	add(relay, f.hopsLeft(expr.CmpOpLt, 2), netfilter.Verdict(expr.VerdictDrop, ""))
	add(relay, f.hopsLeft(expr.CmpOpGt, relayHops), f.leaveHops(relayHops))
	add(relay, find, []expr.Any{
		&expr.Counter{},
		&expr.Dup{RegAddr: valueRegister, RegDev: valueRegister + f.size/4, IsRegDevSet: true},
	}, netfilter.Verdict(expr.VerdictDrop, ""))
}

// hopsLeft matches packets by their time to live or hop limit.
func (f relayFamily) hopsLeft(compare expr.CmpOp, than byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: keyRegister, Base: expr.PayloadBaseNetworkHeader, Offset: f.hops, Len: 1},
		&expr.Cmp{Op: compare, Register: keyRegister, Data: []byte{than}},
	}
}

// leaveHops sets the time to live or hop limit of a packet. The kernel computes the checksum of the
// copy.
func (f relayFamily) leaveHops(count byte) []expr.Any {
	return []expr.Any{
		&expr.Immediate{Register: keyRegister, Data: []byte{count}},
		&expr.Payload{OperationType: expr.PayloadWrite, SourceRegister: keyRegister, Base: expr.PayloadBaseNetworkHeader, Offset: f.hops, Len: 1},
	}
}

// Flags of TCP.
const fin, syn, rst = 1, 2, 4

// flagged compares the flags of TCP packets that are in the mask with 0: none of them is set, or
// some are.
func flagged(compare expr.CmpOp, mask byte) []expr.Any {
	return []expr.Any{
		&expr.Payload{DestRegister: keyRegister, Base: expr.PayloadBaseTransportHeader, Offset: 13, Len: 1},
		&expr.Bitwise{SourceRegister: keyRegister, DestRegister: keyRegister, Len: 1, Mask: []byte{mask}, Xor: []byte{0}},
		&expr.Cmp{Op: compare, Register: keyRegister, Data: []byte{0}},
	}
}
