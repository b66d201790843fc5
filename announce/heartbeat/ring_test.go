package heartbeat

import (
	"fmt"
	"slices"
	"testing"
)

func names(n int) (names []string) {
	for i := range n {
		names = append(names, fmt.Sprintf("node-%d", i))
	}
	return names
}

func TestEachMemberIsWatchedByAsManyHoweverManyThereAre(t *testing.T) {
	for size, want := range map[int]int{1: 0, 2: 1, 3: 2, 4: 3, 5: 4, 6: 4, 50: 4, 200: 4} {
		members := names(size)
		for _, self := range members {
			neighbours := Neighbours(self, members)
			if len(neighbours) != want || slices.Contains(neighbours, self) {
				t.Fatalf("of %d members %s has the neighbours %v, want %d", size, self, neighbours, want)
			}
			for _, other := range neighbours {
				if !slices.Contains(Neighbours(other, members), self) {
					t.Fatalf("%s has a session with %s, which has none", self, other)
				}
			}
		}
	}
}

func TestNeighboursDoNotDependOnTheOrderOfMembersOrOnBeingNamed(t *testing.T) {
	members := names(20)
	want := Neighbours("node-7", members)
	slices.Reverse(members)
	if got := Neighbours("node-7", members); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	without := slices.DeleteFunc(members, func(name string) bool { return name == "node-7" })
	if got := Neighbours("node-7", without); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestAMemberThatGoesChangesNothingForMostOthers(t *testing.T) {
	members := names(50)
	for _, gone := range members {
		left := slices.DeleteFunc(slices.Clone(members), func(name string) bool { return name == gone })
		changed := 0
		for _, self := range left {
			if !slices.Equal(Neighbours(self, members), Neighbours(self, left)) {
				changed++
			}
		}
		if changed != 2*reach {
			t.Errorf("without %s, %d members have other neighbours, want %d", gone, changed, 2*reach)
		}
	}
}
