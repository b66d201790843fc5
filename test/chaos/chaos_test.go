package chaos

import (
	"flag"
	"strings"
	"testing"
	"time"
)

var (
	seed     = flag.Uint64("seed", 3, "the seed of the run")
	duration = flag.Duration("duration", time.Minute, "rounds begin until that much time has passed")
	first    = flag.Int("first", 0, "the number of the first round")
	without  = flag.String("without", "", "kinds of faults to leave out, with commas between them")
)

// TestChaos has a seed's rounds happen, one after the other.
func TestChaos(t *testing.T) {
	r := newRun(t)
	for _, kind := range strings.Split(*without, ",") {
		r.without = append(r.without, Kind(kind))
	}
	t.Logf("this is \"make chaos SEED=%d\"", *seed)
	began := time.Now()
	for number := *first; time.Since(began) < *duration && !t.Failed(); number++ {
		r.play(NewRound(*seed, number, nodes))
	}
}
