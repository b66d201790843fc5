package dashboard

import (
	"math/big"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

const (
	// maxCells is how large a range may be of which every address is drawn, and maxDrawn how many addresses are drawn of all pools: the
	// ranges after these are drawn in blocks.
	maxCells, maxDrawn = 1024, 4096
	// maxBlocks is how many blocks of a large range are drawn that something is in.
	maxBlocks = 64
	// maxListed is how many addresses of a block are listed.
	maxListed = 256
	// rowLength is how many addresses are in a row.
	rowLength = 16
)

// row is sixteen addresses that differ in the last four bits; null for one that is not in the range.
type row struct {
	Label string  `json:"label"`
	From  string  `json:"from"`
	Cells []*cell `json:"cells"`
}

// block is a part of a large range. The numbers of addresses are not exact beyond 2^53, as JavaScript
// has them.
type block struct {
	Name      string  `json:"name"`
	From      string  `json:"from"`
	To        string  `json:"to"`
	Total     float64 `json:"total"`
	Free      float64 `json:"free"`
	Assigned  float64 `json:"assigned"`
	Trouble   float64 `json:"trouble"`
	Resting   float64 `json:"resting"`
	Reserved  float64 `json:"reserved"`
	Contested float64 `json:"contested"`
	Cells     []*cell `json:"cells"`
}

// draw makes the drawings of a pool that has these ranges, and wanted others too that are contested. It takes from rest how many
// addresses it draws one by one.
func (c *chart) draw(own []loadbalancer.Range, lost []v1alpha1.ContestedAddresses, rest *float64) []drawing {
	ranges := slices.Clone(own)
	for _, l := range lost {
		if r, err := loadbalancer.ParseRange(l.Addresses); err == nil {
			ranges = append(ranges, r)
		}
	}
	slices.SortFunc(ranges, func(a, b loadbalancer.Range) int { return a.From.Compare(b.From) })
	drawings := []drawing{}
	for _, r := range joined(ranges) {
		d := drawing{Range: r.String()}
		if size := sizeOf(r); size <= min(maxCells, *rest) {
			*rest -= size
			d.Rows = c.rows(r)
		} else {
			d.Blocks = c.blocks(r)
		}
		drawings = append(drawings, d)
	}
	return drawings
}

// joined joins sorted ranges where one follows upon the other.
func joined(ranges []loadbalancer.Range) []loadbalancer.Range {
	var list []loadbalancer.Range
	for _, r := range ranges {
		if n := len(list); n > 0 && list[n-1].To.Next() == r.From {
			list[n-1].To = r.To
			continue
		}
		list = append(list, r)
	}
	return list
}

func (c *chart) rows(r loadbalancer.Range) []row {
	var rows []row
	for ip := r.From; ip.IsValid() && !r.To.Less(ip); ip = ip.Next() {
		at := int(ip.AsSlice()[len(ip.AsSlice())-1]) % rowLength
		if len(rows) == 0 || at == 0 {
			rows = append(rows, row{Label: label(ip, at), From: ip.String(), Cells: make([]*cell, rowLength)})
		}
		rows[len(rows)-1].Cells[at] = c.at(ip)
	}
	return rows
}

// label is the end of the first address of a row.
func label(ip netip.Addr, at int) string {
	last := ip.AsSlice()
	low := int(last[len(last)-1]) - at
	if ip.Is4() {
		return "." + strconv.Itoa(low)
	}
	return ":" + strconv.FormatInt(int64(low)|int64(last[len(last)-2])<<8, 16)
}

// blocks are the parts of a large range: those that something is in, of one size each and as small as
// that they are not too many, and what is between them.
func (c *chart) blocks(r loadbalancer.Range) []block {
	inside := c.sorted[lowerBound(c.sorted, r.From):]
	inside = inside[:lowerBound(inside, r.To.Next())]
	bits, named := r.From.BitLen()-8, []netip.Prefix{}
	for ; bits > 0; bits -= 4 {
		if named = prefixes(inside, bits); len(named) <= maxBlocks {
			break
		}
	}
	var blocks []block
	from := r.From
	for _, p := range named {
		span, _ := intersection(loadbalancer.RangeOf(p), r)
		if from.Less(span.From) {
			blocks = append(blocks, c.block(loadbalancer.Range{From: from, To: span.From.Prev()}, nil))
		}
		n := lowerBound(inside, span.To.Next())
		blocks = append(blocks, c.block(span, inside[:n]))
		inside, from = inside[n:], span.To.Next()
	}
	if from.IsValid() && !r.To.Less(from) {
		blocks = append(blocks, c.block(loadbalancer.Range{From: from, To: r.To}, nil))
	}
	return blocks
}

// prefixes are those of a length that the sorted addresses are in.
func prefixes(sorted []netip.Addr, bits int) []netip.Prefix {
	list := []netip.Prefix{}
	for _, ip := range sorted {
		if p := netip.PrefixFrom(ip, bits).Masked(); len(list) == 0 || list[len(list)-1] != p {
			list = append(list, p)
		}
	}
	return list
}

// lowerBound is how many of the sorted addresses are before one. None is after the zero Addr, which
// follows upon the last of a family.
func lowerBound(sorted []netip.Addr, ip netip.Addr) int {
	if !ip.IsValid() {
		return len(sorted)
	}
	n, _ := slices.BinarySearchFunc(sorted, ip, netip.Addr.Compare)
	return n
}

// block counts what is in a part of a range, in which these addresses have been used.
func (c *chart) block(r loadbalancer.Range, used []netip.Addr) block {
	b := block{Name: nameOf(r), From: r.From.String(), To: r.To.String(), Total: sizeOf(r), Cells: []*cell{}}
	sums := map[use]float64{}
	for _, ip := range used {
		cell := c.cells[ip]
		sums[cell.State]++
		if len(b.Cells) < maxListed {
			b.Cells = append(b.Cells, cell)
		}
	}
	for _, k := range c.kept {
		if part, overlaps := intersection(k.Range, r); overlaps {
			n := slices.DeleteFunc(slices.Clone(used), func(ip netip.Addr) bool { return !part.Contains(ip) })
			sums[k.use] += sizeOf(part) - float64(len(n))
		}
	}
	b.Assigned, b.Trouble, b.Resting, b.Reserved, b.Contested = sums[assigned], sums[silent], sums[resting], sums[reserved], sums[contested]
	b.Free = max(0, b.Total-b.Assigned-b.Trouble-b.Resting-b.Reserved-b.Contested)
	return b
}

// nameOf is a range as a prefix, if it is one.
func nameOf(r loadbalancer.Range) string {
	for bits := r.From.BitLen(); bits >= 0; bits-- {
		p := netip.PrefixFrom(r.From, bits)
		if p.Masked().Addr() != r.From {
			break
		}
		if loadbalancer.RangeOf(p) == r {
			return p.String()
		}
	}
	return strings.Replace(r.String(), "-", " – ", 1)
}

func intersection(a, b loadbalancer.Range) (loadbalancer.Range, bool) {
	out := a
	if a.From.BitLen() != b.From.BitLen() {
		return out, false
	}
	if out.From.Less(b.From) {
		out.From = b.From
	}
	if b.To.Less(out.To) {
		out.To = b.To
	}
	return out, !out.To.Less(out.From)
}

// sizeOf is how many addresses a range has, as exactly as a float64 has it.
func sizeOf(r loadbalancer.Range) float64 {
	n := new(big.Int).Sub(number(r.To), number(r.From))
	f, _ := new(big.Float).SetInt(n.Add(n, big.NewInt(1))).Float64()
	return f
}

func number(ip netip.Addr) *big.Int { return new(big.Int).SetBytes(ip.AsSlice()) }
