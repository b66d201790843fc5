package chaos

import (
	"reflect"
	"slices"
	"testing"
)

func TestARoundDependsOnItsSeedAndNumberAlone(t *testing.T) {
	for number := range 30 {
		first := NewRound(7, number, 4)
		NewRound(8, number+1, 4) // has no part in it
		if again := NewRound(7, number, 4); !reflect.DeepEqual(first, again) {
			t.Errorf("once\n%s\nand then\n%s", first, again)
		}
		if other := NewRound(8, number, 4); reflect.DeepEqual(first.Faults, other.Faults) {
			t.Errorf("seeds 7 and 8 both have\n%s", first)
		}
		if next := NewRound(7, number+1, 4); reflect.DeepEqual(first.Faults, next.Faults) {
			t.Errorf("rounds %d and %d are both\n%s", number, number+1, first)
		}
	}
}

// TestASeedIsTheSameRoundOnEveryMachine has a replay mean what it meant when it was written down.
func TestASeedIsTheSameRoundOnEveryMachine(t *testing.T) {
	const want = `round 1 of seed 1
    0.1s pause-api for 4.5s
    1.1s management-cut n2 for 9.8s
    2.6s deaf n2 for 1.2s
    2.7s guest-wishes guest-1 (75)
    3.5s kill-announcer n4
    4.0s guest-wishes guest-1 (110)
    4.2s deleted-pool for 5.1s
    5.6s guest-wishes guest-4 (20)
    5.8s power-off n3 for 9.6s
    6.2s pause-api for 2.3s
    9.1s slow-etcd for 4.4s
   18.6s restart-api`
	if got := NewRound(1, 1, 4).String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestNoTwoFaultsAreAboutTheSameThingAtOnce(t *testing.T) {
	for seed := range uint64(200) {
		for number := range 6 {
			round := NewRound(seed, number, 4)
			for i, a := range round.Faults {
				if a.At < 0 || a.At+a.For > turmoil {
					t.Fatalf("%s is outside of\n%s", a, round)
				}
				for _, b := range round.Faults[:i] {
					for _, claim := range a.claims() {
						if slices.Contains(b.claims(), claim) && a.overlaps(b) {
							t.Fatalf("%s and %s are there at once in\n%s", a, b, round)
						}
					}
				}
			}
		}
	}
}

func TestEveryKindOfFaultHappensAloneAndBesideOthers(t *testing.T) {
	alone, beside := map[Kind]bool{}, map[Kind]bool{}
	for number := range 2000 {
		round := NewRound(1, number, 4)
		seen := beside
		if len(round.Faults) == 1 {
			seen = alone
		}
		for _, f := range round.Faults {
			seen[f.Kind] = true
		}
	}
	for _, trait := range traits {
		if !alone[trait.kind] || !beside[trait.kind] {
			t.Errorf("%s happens alone: %v, beside others: %v", trait.kind, alone[trait.kind], beside[trait.kind])
		}
	}
}
