package bgp

import "testing"

func TestAttributesAreEqualIfTheyMeanTheSame(t *testing.T) {
	number := func(n uint32) *uint32 { return &n }
	one := &Attributes{LocalPref: number(100)}
	for _, c := range []struct {
		name string
		a, b *Attributes
		want bool
	}{
		{"none", nil, nil, true},
		{"none and empty ones", nil, &Attributes{}, true},
		{"none and some", nil, one, false},
		{"the very same", one, one, true},
		{"the same preference, told twice", one, &Attributes{LocalPref: number(100)}, true},
		{"another preference", one, &Attributes{LocalPref: number(101)}, false},
		{"a MED of 0 and none", &Attributes{MED: number(0)}, &Attributes{}, false},
		{"communities", &Attributes{Communities: []uint32{1}}, &Attributes{Communities: []uint32{2}}, false},
		{"large communities", &Attributes{LargeCommunities: []LargeCommunity{{1, 2, 3}}}, &Attributes{}, false},
		{"a longer path", &Attributes{Prepend: 1}, &Attributes{}, false},
		{"a bandwidth", &Attributes{LinkBandwidth: 1}, &Attributes{}, false},
		{"one that leaves", &Attributes{Leaving: true}, &Attributes{}, false},
	} {
		for _, got := range []bool{c.a.Equal(c.b), c.b.Equal(c.a)} {
			if got != c.want {
				t.Errorf("%s: equal is %t, want %t", c.name, got, c.want)
			}
		}
	}
}
