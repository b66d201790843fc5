package plan

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clarionlb/clarion/announce/bgp"
	"github.com/clarionlb/clarion/api/v1alpha1"
)

// community is one of RFC 1997 or, if large, of RFC 8092.
type community struct {
	isLarge bool
	regular uint32
	large   bgp.LargeCommunity
}

// parseCommunity reads "65000:1" or "large:65000:1:2".
func parseCommunity(text string) (community, error) {
	parts := strings.Split(text, ":")
	bits, large := 16, false
	if parts[0] == "large" {
		parts, bits, large = parts[1:], 32, true
	}
	if large && len(parts) != 3 || !large && len(parts) != 2 {
		return community{}, fmt.Errorf(`community %q is neither of the form "65000:1" nor "large:65000:1:2"`, text)
	}
	var numbers []uint32
	for _, part := range parts {
		number, err := strconv.ParseUint(part, 10, bits)
		if err != nil {
			return community{}, fmt.Errorf("community %q: %q is not a number of %d bits", text, part, bits)
		}
		numbers = append(numbers, uint32(number))
	}
	if large {
		return community{isLarge: true, large: bgp.LargeCommunity{Global: numbers[0], Local1: numbers[1], Local2: numbers[2]}}, nil
	}
	return community{regular: numbers[0]<<16 | numbers[1]}, nil
}

func compareLarge(a, b bgp.LargeCommunity) int {
	return cmp.Or(cmp.Compare(a.Global, b.Global), cmp.Compare(a.Local1, b.Local1), cmp.Compare(a.Local2, b.Local2))
}

// communities are the aliases of a Community.
type communities struct {
	name    string
	created int64
	aliases aliases
}

// newCommunities reads a Community. The error names all values that cannot be read; the others can be
// used.
func newCommunities(c *v1alpha1.Community) (*communities, error) {
	out := &communities{c.Name, c.CreationTimestamp.Unix(), aliases{}}
	var problems error
	for i, alias := range c.Spec.Communities {
		value, known := wellKnown[alias.Value]
		var err error
		if !known {
			value, err = parseCommunity(alias.Value)
		}
		if err != nil {
			problems = also(problems, fmt.Errorf("spec.communities[%d]: %w", i, err))
			continue
		}
		out.aliases[alias.Name] = value
	}
	return out, problems
}

// aliases are communities by name.
type aliases map[string]community

// wellKnown are the communities that routers know by these names.
var wellKnown = aliases{
	"graceful-shutdown":   {regular: 0xffff_0000}, // RFC 8326
	"no-llgr":             {regular: 0xffff_0007}, // RFC 9494
	"blackhole":           {regular: 0xffff_029a}, // RFC 7999
	"no-export":           {regular: 0xffff_ff01}, // RFC 1997
	"no-advertise":        {regular: 0xffff_ff02}, // RFC 1997
	"no-export-subconfed": {regular: 0xffff_ff03}, // RFC 1997
	"local-as":            {regular: 0xffff_ff03}, // as routers call it
	"no-peer":             {regular: 0xffff_ff04}, // RFC 3765
}

// aliasesOf merges the aliases of all Communities with the well-known ones, which they go before. Of
// several with one name, that of the oldest Community holds.
func aliasesOf(all map[string]*communities) aliases {
	merged := maps.Clone(wellKnown)
	for _, c := range slices.SortedFunc(maps.Values(all), func(a, b *communities) int {
		return cmp.Or(cmp.Compare(b.created, a.created), cmp.Compare(b.name, a.name))
	}) {
		maps.Copy(merged, c.aliases)
	}
	return merged
}

// resolve finds the community of a name or a value.
func (a aliases) resolve(text string) (community, error) {
	if c, found := a[text]; found {
		return c, nil
	}
	if !strings.Contains(text, ":") {
		return community{}, noCommunity(text)
	}
	return parseCommunity(text)
}

// resolveAll finds several communities. The error names all that are not known or cannot be read.
func (a aliases) resolveAll(texts []string) (out []community, problems error) {
	for _, text := range texts {
		c, err := a.resolve(text)
		if err != nil {
			problems = also(problems, err)
			continue
		}
		out = append(out, c)
	}
	return out, problems
}

// lasting has values in the place of names that Communities define: what is announced stays so when
// such a name is gone.
func (a aliases) lasting(spec *v1alpha1.BGPAdvertisementSpec) *v1alpha1.BGPAdvertisementSpec {
	out := *spec
	out.Communities = nil
	for _, text := range spec.Communities {
		if _, known := wellKnown[text]; !known || a[text] != wellKnown[text] {
			c, _ := a.resolve(text) // of what could be read
			text = c.String()
		}
		if !slices.Contains(out.Communities, text) {
			out.Communities = append(out.Communities, text)
		}
	}
	return &out
}

// String is the community as parseCommunity reads it.
func (c community) String() string {
	if c.isLarge {
		return fmt.Sprintf("large:%d:%d:%d", c.large.Global, c.large.Local1, c.large.Local2)
	}
	return fmt.Sprintf("%d:%d", c.regular>>16, c.regular&0xffff)
}
