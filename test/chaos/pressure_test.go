package chaos

import (
	"testing"
	"time"
)

func TestParsePressure(t *testing.T) {
	const text = "some avg10=1.53 avg60=1.84 avg300=2.36 total=1500\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=7\n"
	if got, err := parsePressure(text); err != nil || got != 1500*time.Microsecond {
		t.Errorf("%s, %v", got, err)
	}
	for _, wrong := range []string{"", "some avg10=1.53", "some total=many"} {
		if got, err := parsePressure(wrong); err == nil {
			t.Errorf("%q is %s", wrong, got)
		}
	}
}
