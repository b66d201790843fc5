package loadbalancer

import (
	"math"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestParseRange(t *testing.T) {
	cases := map[string]string{
		"192.168.10.0/24":                  "192.168.10.0-192.168.10.255",
		"192.168.10.77/24":                 "192.168.10.0-192.168.10.255",
		" 192.168.10.1 - 192.168.10.3 ":    "192.168.10.1-192.168.10.3",
		"192.168.10.200-192.168.10.250":    "192.168.10.200-192.168.10.250",
		"192.168.10.7":                     "192.168.10.7",
		"192.168.10.7/32":                  "192.168.10.7",
		"192.168.10.7-192.168.10.7":        "192.168.10.7",
		"2001:db8::/64":                    "2001:db8::-2001:db8::ffff:ffff:ffff:ffff",
		"fd00::1-fd00::2":                  "fd00::1-fd00::2",
		"FD00::1":                          "fd00::1",
		"":                                 `"" is neither a CIDR, a range nor an IP address`,
		"everything":                       `"everything" is neither a CIDR, a range nor an IP address`,
		"10.0.0.300":                       `"10.0.0.300" is neither a CIDR, a range nor an IP address`,
		"10.0.0.0/33":                      `"10.0.0.0/33" is not a CIDR`,
		"10.0.0.1-10":                      `"10.0.0.1-10": end of range is not an IP address`,
		"x-10.0.0.1":                       `"x-10.0.0.1": start of range is not an IP address`,
		"10.0.0.9-10.0.0.1":                `"10.0.0.9-10.0.0.1": start of range is after its end`,
		"10.0.0.1-fd00::1":                 `"10.0.0.1-fd00::1": start and end of range are of different families`,
		"fe80::1%eth0":                     `"fe80::1%eth0" is neither a CIDR, a range nor an IP address`,
		"::ffff:10.0.0.1":                  `"::ffff:10.0.0.1" is neither a CIDR, a range nor an IP address`,
		"::ffff:10.0.0.0/120":              `"::ffff:10.0.0.0/120" is not a CIDR`,
		"127.0.0.0/8":                      `"127.0.0.0/8" has loopback addresses in it`,
		"0.0.0.0/0":                        `"0.0.0.0/0" has unspecified addresses in it`,
		"169.254.1.1":                      `"169.254.1.1" has link-local addresses in it`,
		"223.0.0.0-224.0.0.0":              `"223.0.0.0-224.0.0.0" has multicast addresses in it`,
		"255.255.255.255":                  `"255.255.255.255" has broadcast addresses in it`,
		"::/0":                             `"::/0" has unspecified addresses in it`,
		"fe80::/64":                        `"fe80::/64" has link-local addresses in it`,
		"ff02::1":                          `"ff02::1" has multicast addresses in it`,
		"::1-::5":                          `"::1-::5" has loopback addresses in it`,
		"::fffe:0:0-0:0:0:1::":             `"::fffe:0:0-0:0:0:1::" has IPv4-mapped addresses in it`,
		"10.0.0.1,10.0.0.2":                `"10.0.0.1,10.0.0.2" is neither a CIDR, a range nor an IP address`,
		"10.0.0.1-10.0.0.2-10.0.0.3":       `"10.0.0.1-10.0.0.2-10.0.0.3": end of range is not an IP address`,
		"10.0.0.0/24-10.0.1.0/24":          `"10.0.0.0/24-10.0.1.0/24": start of range is not an IP address`,
		"192.168.10.0/24/24":               `"192.168.10.0/24/24" is not a CIDR`,
		"255.255.255.0-255.255.255.254":    "255.255.255.0-255.255.255.254",
		"2001:db8::ffff:ffff:ffff:0/112":   "2001:db8::ffff:ffff:ffff:0-2001:db8::ffff:ffff:ffff:ffff",
		"1000::-1fff:ffff:ffff:ffff::ffff": "1000::-1fff:ffff:ffff:ffff::ffff",
	}
	for text, want := range cases {
		got, err := ParseRange(text)
		if err != nil && err.Error() != want || err == nil && got.String() != want {
			t.Errorf("%q: got %v, %v; want %s", text, got, err, want)
		}
	}
}

func TestARemarkIsOnCIDRsWithHostBitsAlone(t *testing.T) {
	cases := map[string]string{
		"192.168.10.77/24":              "192.168.10.77/24 stands for 192.168.10.0-192.168.10.255",
		" 192.168.10.77/31 ":            "192.168.10.77/31 stands for 192.168.10.76-192.168.10.77",
		"FD00::1/64":                    "fd00::1/64 stands for fd00::-fd00::ffff:ffff:ffff:ffff",
		"192.168.10.0/24":               "",
		"192.168.10.77/32":              "",
		"fd00::1/128":                   "",
		"192.168.10.77":                 "",
		"192.168.10.77-192.168.10.99":   "",
		"192.168.10.77/24-192.168.10.9": "",
		"":                              "",
	}
	for entry, want := range cases {
		if got := RemarkOn(entry); got != want {
			t.Errorf("%q: got %q, want %q", entry, got, want)
		}
	}
}

func FuzzParseRange(f *testing.F) {
	for _, seed := range []string{"10.0.0.0/24", "10.0.0.1-10.0.0.9", "fd00::/8", " fd00::1 - fd00::2 ", "1-2", "/", "-", "::", "1.2.3.4/", "ffff::%-1"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r, err := ParseRange(text)
		if err != nil {
			if r != (Range{}) {
				t.Errorf("%q: an error and a range %v", text, r)
			}
			return
		}
		if !r.From.IsValid() || r.From.BitLen() != r.To.BitLen() || r.To.Less(r.From) || r.From.Zone() != "" || r.From.Is4In6() {
			t.Fatalf("%q: bad range %v", text, r)
		}
		if !r.Contains(r.From) || !r.Contains(r.To) || r.size() == (size{}) {
			t.Errorf("%q: %v does not have its own ends", text, r)
		}
		again, err := ParseRange(r.String())
		if err != nil || again != r {
			t.Errorf("%q: %v is read as %v, %v", text, r, again, err)
		}
	})
}

func TestSizes(t *testing.T) {
	cases := map[string]int64{
		"10.0.0.0/24": 256, "10.0.0.1": 1, "10.0.0.0/8": 1 << 24, "fd00::/120": 256, "fd00::/65": math.MaxInt64, "fd00::/66": 1 << 62,
		"fd00::/64": math.MaxInt64, "2000::/3": math.MaxInt64,
	}
	for text, want := range cases {
		r, err := ParseRange(text)
		if err != nil || r.size().int64() != want {
			t.Errorf("%s: size %d, want %d (%v)", text, r.size().int64(), want, err)
		}
	}
}

// drawRange draws from a /22, so that ranges meet and cross the borders of a /24.
func drawRange(t *rapid.T, label string) Range {
	at := func(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }
	from := rapid.IntRange(0, 1023).Draw(t, label+" from")
	return Range{at(from), at(min(from+rapid.IntRange(0, 300).Draw(t, label+" length"), 1023))}
}

func each(r Range) (list []netip.Addr) {
	for addr := r.From; !r.To.Less(addr); addr = addr.Next() {
		list = append(list, addr)
	}
	return list
}

func TestArithmeticOfRangesIsThatOfSets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRange(t, "range")
		var cuts []Range
		for range rapid.IntRange(0, 5).Draw(t, "cuts") {
			cuts = append(cuts, drawRange(t, "cut"))
		}
		var want, got, buggyOnes []netip.Addr
		for _, addr := range each(r) {
			if !slices.ContainsFunc(cuts, func(c Range) bool { return c.Contains(addr) }) {
				want = append(want, addr)
			}
			if Buggy(addr) {
				buggyOnes = append(buggyOnes, addr)
			}
		}
		for _, piece := range subtract(r, merge(cuts)) {
			got = append(got, each(piece)...)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%v without %v: got %v, want %v", r, cuts, got, want)
		}
		if r.size().int64() != int64(len(each(r))) || r.buggySize().int64() != int64(len(buggyOnes)) {
			t.Fatalf("%v: size %v, of which buggy %v; want %d and %d", r, r.size(), r.buggySize(), len(each(r)), len(buggyOnes))
		}
	})
}

// TestSpaceIsASet compares the runs of a space with a plain set, under any sequence of taking and
// giving back.
func TestSpaceIsASet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := newPool("p", "10.0.1.250-10.0.2.5", "10.0.0.250-10.0.1.4", "10.0.3.0/29")
		p.Spec.AvoidBuggyIPs = rapid.Bool().Draw(t, "avoid buggy")
		p.Spec.Exclude = []string{"10.0.1.252", "10.0.2.0-10.0.2.1"}
		read := readPool(p, nil)
		read.own = read.effective
		read.buildSpaces()
		s := read.spaces[ipv4]
		var order []netip.Addr
		for _, text := range p.Spec.Addresses {
			r, _ := ParseRange(text)
			for _, addr := range each(r) {
				if !read.excludes(addr) {
					order = append(order, addr)
				}
			}
		}
		if s.forAllSize.int64() != int64(len(order)) {
			t.Fatalf("counts %v, has %d", s.forAllSize, len(order))
		}
		taken := map[netip.Addr]bool{}
		t.Repeat(map[string]func(*rapid.T){
			"": func(t *rapid.T) {
				i := slices.IndexFunc(order, func(a netip.Addr) bool { return !taken[a] })
				first, ok := s.pick(epoch, nil)
				if ok != (i >= 0) || ok && first != order[i] {
					t.Fatalf("next is %v %v, should be number %d", first, ok, i)
				}
			},
			"take or give back": func(t *rapid.T) {
				addr := rapid.SampledFrom(order).Draw(t, "address")
				if taken[addr] {
					s.add(addr)
				} else {
					s.remove(addr)
				}
				taken[addr] = !taken[addr]
			},
			"take the last": func(t *rapid.T) {
				for _, addr := range slices.Backward(order) {
					if !taken[addr] {
						s.remove(addr)
						taken[addr] = true
						break
					}
				}
			},
			"take the next": func(t *rapid.T) {
				if addr, ok := s.pick(epoch, nil); ok {
					s.remove(addr)
					taken[addr] = true
				}
			},
		})
		for addr := range taken {
			if taken[addr] {
				s.add(addr)
			}
		}
		if s.free.Len() > 6 {
			var left []string
			s.free.Ascend(func(r *run) bool {
				left = append(left, r.from.String()+"-"+r.to.String())
				return true
			})
			t.Fatalf("free runs are not joined: %s", strings.Join(left, " "))
		}
	})
}
