package election

import "testing"

func TestAClaimCountsIfANodeCanHaveComeToItsEpoch(t *testing.T) {
	for epoch, want := range map[int64]bool{-1: false, 0: false, 1: true, MaxEpoch - 1: true, MaxEpoch: true, MaxEpoch + 1: false} {
		if got := (Claim{Epoch: epoch}).Counts(); got != want {
			t.Errorf("epoch %d: counts is %t, want %t", epoch, got, want)
		}
	}
}

func TestTheNextEpochCountsHoweverOftenAnAddressHasMoved(t *testing.T) {
	for epoch, want := range map[int64]int64{0: 1, 1: 2, MaxEpoch - 1: MaxEpoch, MaxEpoch: MaxEpoch} {
		if got := NextEpoch(epoch); got != want {
			t.Errorf("after %d comes %d, want %d", epoch, got, want)
		}
	}
}

func TestOfTwoClaimsOneBeatsTheOther(t *testing.T) {
	claims := []Claim{ // each beats all that follow
		{Node: "c", Epoch: 2, Order: 9},
		{Node: "b", Epoch: 1, Order: 0},
		{Node: "a", Epoch: 1, Order: 5},
		{Node: "b", Epoch: 1, Order: 5},
		{Node: "a", Epoch: 1, Order: Unrecorded},
	}
	for i, c := range claims {
		for j, d := range claims {
			if got, want := c.Beats(d), i < j; got != want {
				t.Errorf("%+v beats %+v: %t, want %t", c, d, got, want)
			}
		}
	}
}
