package plan

import "testing"

// What is taken for a community is one, and another spelling of it is the same.
func FuzzParseCommunity(f *testing.F) {
	for _, text := range []string{"65000:1", "large:65000:1:2", "0:0", "65535:65281", "large:4294967295:0:1", "large:1:2", ":", "65000:+1", "no-export"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parseCommunity(text)
		if err != nil {
			return
		}
		if !c.isLarge && c.large != (community{}).large || c.isLarge && c.regular != 0 {
			t.Errorf("%q is of both kinds: %+v", text, c)
		}
	})
}
