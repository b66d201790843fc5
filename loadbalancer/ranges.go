package loadbalancer

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Range is a run of addresses of one family, both ends included.
type Range struct {
	From, To netip.Addr
}

// ParseRange reads an entry of a pool: a CIDR ("192.168.10.0/24"; host bits are ignored, and
// RemarkOn says so), a range ("192.168.10.200-192.168.10.250", spaces around the dash allowed) or a
// single address. It refuses addresses that no client outside a host or a link can reach:
// unspecified, loopback, link-local, multicast and broadcast.
func ParseRange(entry string) (Range, error) {
	r, err := parseRange(strings.TrimSpace(entry))
	if err != nil {
		return Range{}, err
	}
	for _, s := range unreachable {
		if r.overlaps(s.Range) {
			return Range{}, fmt.Errorf("%q has %s addresses in it", entry, s.kind)
		}
	}
	return r, nil
}

// RemarkOn is what to tell the author of an entry that ParseRange reads, because it may not mean
// what the author thinks: which addresses a CIDR with host bits stands for. It is "" for all other
// entries. It is for reservations as well as for pools.
func RemarkOn(entry string) string {
	prefix, err := netip.ParsePrefix(strings.TrimSpace(entry))
	if err != nil || prefix == prefix.Masked() {
		return ""
	}
	return standsFor(prefix)
}

func parseRange(entry string) (Range, error) {
	if from, to, dashed := strings.Cut(entry, "-"); dashed {
		first, err := parseAddr(strings.TrimSpace(from))
		if err != nil {
			return Range{}, fmt.Errorf("%q: start of range is not an IP address", entry)
		}
		last, err := parseAddr(strings.TrimSpace(to))
		if err != nil {
			return Range{}, fmt.Errorf("%q: end of range is not an IP address", entry)
		}
		if first.BitLen() != last.BitLen() {
			return Range{}, fmt.Errorf("%q: start and end of range are of different families", entry)
		}
		if last.Less(first) {
			return Range{}, fmt.Errorf("%q: start of range is after its end", entry)
		}
		return Range{first, last}, nil
	}
	if strings.Contains(entry, "/") {
		prefix, err := netip.ParsePrefix(entry)
		if err != nil || prefix.Addr().Is4In6() {
			return Range{}, fmt.Errorf("%q is not a CIDR", entry)
		}
		return RangeOf(prefix), nil
	}
	addr, err := parseAddr(entry)
	if err != nil {
		return Range{}, fmt.Errorf("%q is neither a CIDR, a range nor an IP address", entry)
	}
	return Range{addr, addr}, nil
}

var errNotAnAddress = errors.New("not an IP address")

// parseAddr takes plain addresses only: no IPv6 zone, no IPv4-mapped IPv6.
func parseAddr(text string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(text)
	if err != nil || addr.Zone() != "" || addr.Is4In6() {
		return netip.Addr{}, errNotAnAddress
	}
	return addr, nil
}

var unreachable = []struct {
	kind string
	Range
}{
	{"unspecified", RangeOf(netip.MustParsePrefix("0.0.0.0/32"))},
	{"loopback", RangeOf(netip.MustParsePrefix("127.0.0.0/8"))},
	{"link-local", RangeOf(netip.MustParsePrefix("169.254.0.0/16"))},
	{"multicast", RangeOf(netip.MustParsePrefix("224.0.0.0/4"))},
	{"broadcast", RangeOf(netip.MustParsePrefix("255.255.255.255/32"))},
	{"unspecified", RangeOf(netip.MustParsePrefix("::/128"))},
	{"loopback", RangeOf(netip.MustParsePrefix("::1/128"))},
	{"IPv4-mapped", RangeOf(netip.MustParsePrefix("::ffff:0:0/96"))},
	{"link-local", RangeOf(netip.MustParsePrefix("fe80::/10"))},
	{"multicast", RangeOf(netip.MustParsePrefix("ff00::/8"))},
}

// RangeOf returns the range of all addresses of a prefix.
func RangeOf(prefix netip.Prefix) Range {
	prefix = prefix.Masked()
	last := prefix.Addr().AsSlice()
	for bit := prefix.Bits(); bit < len(last)*8; bit++ {
		last[bit/8] |= 0x80 >> (bit % 8)
	}
	to, _ := netip.AddrFromSlice(last)
	return Range{prefix.Addr(), to}
}

// Contains reports whether the address is in the range.
func (r Range) Contains(addr netip.Addr) bool {
	return addr.BitLen() == r.From.BitLen() && !addr.Less(r.From) && !r.To.Less(addr)
}

// String is a single address, or both ends with a dash between them.
func (r Range) String() string {
	if r.From == r.To {
		return r.From.String()
	}
	return r.From.String() + "-" + r.To.String()
}

func (r Range) overlaps(other Range) bool {
	return r.From.BitLen() == other.From.BitLen() && !r.To.Less(other.From) && !other.To.Less(r.From)
}

func (r Range) intersect(other Range) (Range, bool) {
	if !r.overlaps(other) {
		return Range{}, false
	}
	return Range{maxAddr(r.From, other.From), minAddr(r.To, other.To)}, true
}

func (r Range) family() family { return familyOf(r.From) }

func (r Range) compare(other Range) int { return r.From.Compare(other.From) }

// merge sorts ranges and joins those that overlap.
func merge(list []Range) []Range {
	list = slices.Clone(list)
	slices.SortFunc(list, Range.compare)
	merged := list[:0]
	for _, r := range list {
		if n := len(merged); n > 0 && merged[n-1].overlaps(r) {
			merged[n-1].To = maxAddr(merged[n-1].To, r.To)
			continue
		}
		merged = append(merged, r)
	}
	return merged
}

// ranged is anything that is a range in the first place.
type ranged interface{ span() Range }

func (r Range) span() Range { return r }

// subtract is what is left of a range without the cuts, which are sorted and do not overlap.
func subtract[C ranged](r Range, cuts []C) []Range {
	var rest []Range
	for _, c := range cuts[firstReaching(cuts, r.From):] {
		cut := c.span()
		if !cut.overlaps(r) {
			break
		}
		if r.From.Less(cut.From) {
			rest = append(rest, Range{r.From, cut.From.Prev()})
		}
		if !cut.To.Less(r.To) {
			return rest
		}
		r.From = cut.To.Next()
	}
	return append(rest, r)
}

// firstReaching is the index of the first of sorted, disjoint ranges that ends at addr or later.
func firstReaching[R ranged](list []R, addr netip.Addr) int {
	i, _ := slices.BinarySearchFunc(list, addr, func(r R, addr netip.Addr) int {
		if r.span().To.Less(addr) {
			return -1
		}
		return 1
	})
	return i
}

func minAddr(a, b netip.Addr) netip.Addr {
	if b.Less(a) {
		return b
	}
	return a
}

func maxAddr(a, b netip.Addr) netip.Addr {
	if a.Less(b) {
		return b
	}
	return a
}
