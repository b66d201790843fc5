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
	var numbers []uint32
	for _, part := range parts {
		number, err := strconv.ParseUint(part, 10, bits)
		if err != nil {
			return community{}, fmt.Errorf("community %q: %q is not a number of %d bits", text, part, bits)
		}
		numbers = append(numbers, uint32(number))
	}
	switch {
	case large && len(numbers) == 3:
		return community{isLarge: true, large: bgp.LargeCommunity{Global: numbers[0], Local1: numbers[1], Local2: numbers[2]}}, nil
	case !large && len(numbers) == 2:
		return community{regular: numbers[0]<<16 | numbers[1]}, nil
	}
	return community{}, fmt.Errorf(`community %q is neither of the form "65000:1" nor "large:65000:1:2"`, text)
}

func compareLarge(a, b bgp.LargeCommunity) int {
	return cmp.Or(cmp.Compare(a.Global, b.Global), cmp.Compare(a.Local1, b.Local1), cmp.Compare(a.Local2, b.Local2))
}

// communities are the aliases of a Community.
type communities struct {
	name    string
	created int64
	aliases map[string]community
}

// newCommunities leaves values out that cannot be read: an advertisement that uses such a name is
// refused.
func newCommunities(c *v1alpha1.Community) *communities {
	out := &communities{c.Name, c.CreationTimestamp.Unix(), map[string]community{}}
	for _, alias := range c.Spec.Communities {
		if value, err := parseCommunity(alias.Value); err == nil {
			out.aliases[alias.Name] = value
		}
	}
	return out
}

// aliasesOf merges the aliases of all Communities. Of several with one name, that of the oldest
// Community holds.
func aliasesOf(all map[string]*communities) map[string]community {
	aliases := map[string]community{}
	for _, c := range slices.SortedFunc(maps.Values(all), func(a, b *communities) int {
		return cmp.Or(cmp.Compare(b.created, a.created), cmp.Compare(b.name, a.name))
	}) {
		maps.Copy(aliases, c.aliases)
	}
	return aliases
}

// resolve finds the community of a name or a value.
func resolve(aliases map[string]community, text string) (community, error) {
	if c, found := aliases[text]; found {
		return c, nil
	}
	if !strings.Contains(text, ":") {
		return community{}, fmt.Errorf("no Community defines %q", text)
	}
	return parseCommunity(text)
}
