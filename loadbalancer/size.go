package loadbalancer

import (
	"cmp"
	"encoding/binary"
	"math"
	"math/bits"
	"net/netip"
)

// size counts addresses. An IPv6 prefix has more of them than fit into an int64. The sum of the
// sizes of disjoint ranges never overflows, because ParseRange refuses parts of the IPv6 address
// space.
type size struct {
	hi, lo uint64
}

func (r Range) size() size {
	from, to := number(r.From), number(r.To)
	return to.minus(from).plus(size{lo: 1})
}

// number is the address as an integer.
func number(addr netip.Addr) size {
	b := addr.As16()
	return size{binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])}
}

func (s size) plus(t size) size {
	lo, carry := bits.Add64(s.lo, t.lo, 0)
	hi, _ := bits.Add64(s.hi, t.hi, carry)
	return size{hi, lo}
}

func (s size) minus(t size) size {
	lo, borrow := bits.Sub64(s.lo, t.lo, 0)
	hi, _ := bits.Sub64(s.hi, t.hi, borrow)
	return size{hi, lo}
}

func (s size) compare(t size) int {
	return cmp.Or(cmp.Compare(s.hi, t.hi), cmp.Compare(s.lo, t.lo))
}

// int64 is the size, or the largest int64 if it does not fit.
func (s size) int64() int64 {
	if s.hi > 0 || s.lo > math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(s.lo)
}

// Buggy reports whether an address is one that avoidBuggyIPs leaves out.
func Buggy(addr netip.Addr) bool {
	if !addr.Is4() {
		return false
	}
	last := addr.As4()[3]
	return last == 0 || last == 255
}

// buggySize is how many of the range's addresses are buggy.
func (r Range) buggySize() size {
	if !r.From.Is4() {
		return size{}
	}
	// Multiples of 256 in [0, n). An address that ends in 255 is followed by one that ends in 0.
	multiples := func(n uint64) uint64 { return (n + 255) / 256 }
	from, to := number(r.From).lo&math.MaxUint32, number(r.To).lo&math.MaxUint32
	return size{lo: multiples(to+1) - multiples(from) + multiples(to+2) - multiples(from+1)}
}
