package spelling

import "testing"

func TestHowManyLettersDiffer(t *testing.T) {
	for _, test := range []struct {
		a, b string
		want int
	}{
		{"", "", 0},
		{"lan", "lan", 0},
		{"lan", "", 3},
		{"lan", "lane", 1},
		{"lan", "plan", 1},
		{"lan", "man", 1},
		{"lan", "lna", 2},
		{"kitten", "sitting", 3},
		{"intention", "execution", 5},
		{"abcdef", "bcdefa", 2},
	} {
		if got := Edits(test.a, test.b); got != test.want {
			t.Errorf("%q and %q: got %d, want %d", test.a, test.b, got, test.want)
		}
		if got := Edits(test.b, test.a); got != test.want {
			t.Errorf("%q and %q: got %d, want %d", test.b, test.a, got, test.want)
		}
	}
}
