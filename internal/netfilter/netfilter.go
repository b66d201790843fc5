// Package netfilter has what the tables that we make in nftables have in common: how they are
// changed, and the expressions of which their rules consist.
package netfilter

import (
	"fmt"
	"slices"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// Register is where the expressions of this package compare. Registers are words of 4 bytes.
const Register = unix.NFT_REG32_00

// Transact has the kernel do all that do adds to a connection, or nothing of it. The table is for
// the error.
func Transact(table string, do func(*nftables.Conn) error) error {
	// The default buffer is too small for the elements of a few thousand addresses.
	conn, err := nftables.New(nftables.WithSockOptions(func(c *netlink.Conn) error { return c.SetWriteBuffer(8 << 20) }))
	if err != nil {
		return fmt.Errorf("open netfilter: %w", err)
	}
	if err := do(conn); err != nil {
		return err
	}
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("change table %s of netfilter: %w", table, err)
	}
	return nil
}

// ChangeElements deletes elements of a set and adds others, as many as there may be.
func ChangeElements(conn *nftables.Conn, set *nftables.Set, gone, added []nftables.SetElement) error {
	const most = 512 // an attribute of netlink holds 64 KiB
	for chunk := range slices.Chunk(gone, most) {
		if err := conn.SetDeleteElements(set, chunk); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(added, most) {
		if err := conn.SetAddElements(set, chunk); err != nil {
			return err
		}
	}
	return nil
}

// Verdict ends the rule. The chain is for those that lead to one.
func Verdict(kind expr.VerdictKind, chain string) []expr.Any {
	return []expr.Any{&expr.Verdict{Kind: kind, Chain: chain}}
}

// Tracked matches packets in one of the states of connection tracking.
func Tracked(states uint32) []expr.Any {
	return []expr.Any{
		&expr.Ct{Key: expr.CtKeySTATE, Register: Register},
		&expr.Bitwise{
			SourceRegister: Register, DestRegister: Register, Len: 4,
			Mask: binaryutil.NativeEndian.PutUint32(states), Xor: make([]byte, 4),
		},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: Register, Data: make([]byte, 4)},
	}
}

// ProtocolIs matches packets by the protocol of their transport.
func ProtocolIs(protocol byte) []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: Register},
		&expr.Cmp{Op: expr.CmpOpEq, Register: Register, Data: []byte{protocol}},
	}
}

// Destination is the destination address in the header of IPv4, or of IPv6.
func Destination(ipv4 bool) *expr.Payload {
	if ipv4 {
		return &expr.Payload{DestRegister: Register, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
	}
	return &expr.Payload{DestRegister: Register, Base: expr.PayloadBaseNetworkHeader, Offset: 24, Len: 16}
}
