package membership

import (
	"bytes"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// ring returns the numbers of the keys on the ring, the one in use first.
func ring(k *keys) string {
	var numbers []byte
	for _, key := range k.ring.GetKeys() {
		numbers = append(numbers, key[0])
	}
	return fmt.Sprint(numbers)
}

func TestANewKeyIsInstalledThenPrimaryThenTheOnlyOne(t *testing.T) {
	type step struct {
		at   time.Duration
		key  int // 0 for none
		ring string
	}
	for name, steps := range map[string][]step{
		"first": {
			{0, 1, "[1]"},
			{time.Hour, 0, "[1]"},
		},
		"second": {
			{0, 1, "[1]"},
			{0, 2, "[1 2]"},
			{promoteAfter - 1, 0, "[1 2]"},
			{promoteAfter, 0, "[2 1]"},
			{promoteAfter + retireAfter - 1, 0, "[2 1]"},
			{promoteAfter + retireAfter, 0, "[2]"},
		},
		"same again": {
			{0, 1, "[1]"},
			{0, 1, "[1]"},
			{0, 2, "[1 2]"},
			{promoteAfter - 1, 2, "[1 2]"},
			{promoteAfter, 0, "[2 1]"},
			{promoteAfter + retireAfter - 1, 2, "[2 1]"},
			{promoteAfter + retireAfter, 0, "[2]"},
		},
		"third before the second is used": {
			{0, 1, "[1]"},
			{0, 2, "[1 2]"},
			{time.Second, 3, "[1 2 3]"},
			{promoteAfter, 0, "[1 2 3]"},
			{promoteAfter + time.Second, 0, "[3 1 2]"},
			{promoteAfter + time.Second + retireAfter, 0, "[3]"},
		},
		"third while the first is still accepted": {
			{0, 1, "[1]"},
			{0, 2, "[1 2]"},
			{promoteAfter, 0, "[2 1]"},
			{retireAfter, 3, "[2 1 3]"},
			{promoteAfter + retireAfter, 0, "[3 2 1]"},
			{promoteAfter + 2*retireAfter, 0, "[3]"},
		},
		"back to the first before the second is used": {
			{0, 1, "[1]"},
			{0, 2, "[1 2]"},
			{time.Second, 1, "[1 2]"},
			{promoteAfter + time.Second, 0, "[1 2]"},
			{promoteAfter + time.Second + retireAfter, 0, "[1]"},
		},
		"back to the first": {
			{0, 1, "[1]"},
			{0, 2, "[1 2]"},
			{promoteAfter, 0, "[2 1]"},
			{promoteAfter + time.Second, 1, "[2 1]"},
			{2*promoteAfter + time.Second, 0, "[1 2]"},
			{2*promoteAfter + time.Second + retireAfter, 0, "[1]"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			k, begin := newKeys(), time.Now()
			for _, s := range steps {
				now := begin.Add(s.at)
				if s.key != 0 {
					must(t, k.set(testKey(s.key), now))
				}
				next, err := k.advance(now)
				must(t, err)
				if got := ring(&k); got != s.ring {
					t.Fatalf("after %v: %s, want %s", s.at, got, s.ring)
				}
				if k.stage != single && !next.After(now) {
					t.Fatalf("after %v: nothing comes next", s.at)
				}
			}
		})
	}
}

func TestMembersMeetWithAKeyOfAnySizeThatAESHas(t *testing.T) {
	loopback(t)
	for _, size := range []int{16, 24, 32} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			key := bytes.Repeat([]byte{1}, size)
			a, _ := startWithKey(t, "a", local(1), key)
			b, _ := startWithKey(t, "b", local(2), key)
			a.SetPeers(map[string]netip.Addr{"b": local(2)})
			awaitAlive(t, a, "a", "b")
			awaitAlive(t, b, "a", "b")
		})
	}
}

func TestAKeyOfAnotherSizeIsRefusedAndTheOldOneStays(t *testing.T) {
	for _, size := range []int{0, 1, 15, 17, 33} {
		k := newKeys()
		must(t, k.set(testKey(1), time.Now()))
		if err := k.set(bytes.Repeat([]byte{2}, size), time.Now()); err == nil {
			t.Errorf("no error for %d bytes", size)
		}
		if _, err := k.advance(time.Now().Add(time.Hour)); err != nil {
			t.Error(err)
		}
		if got := ring(&k); got != "[1]" {
			t.Errorf("after a key of %d bytes: keys %s", size, got)
		}
	}
}

func TestClusterWithoutAKeyDoesNotRun(t *testing.T) {
	loopback(t)
	for _, key := range [][]byte{nil, {}, bytes.Repeat([]byte{1}, 17)} {
		c := New(Config{Name: "a", Address: local(1), Key: key})
		if err := c.Run(t.Context()); err == nil {
			t.Error("Run returned nil")
		}
	}
}

func TestAllStayAliveToEachOtherWhileTheKeyRotates(t *testing.T) {
	l := newLAN(t)
	l.calm = true
	nodes, processes := members(t, l, 4)
	old, late := l.node(), l.node()

	// They learn of the second key and, before it is the primary one, of the third, at different
	// times. The last learns only of the third.
	for _, p := range processes[:3] {
		p.use(testKey(2))
	}
	for _, p := range processes {
		p.use(testKey(3))
	}

	// One that knows nothing but the third joins as soon as that is their primary key.
	latecomer := late.startWith(testKey(3))
	latecomer.setPeers(append(nodes, late)...)
	for _, p := range append(processes, latecomer) {
		p.awaitAlive(append(nodes, late)...)
	}
	// The others reject one that knows nothing but the first, as soon as that does not decrypt any
	// more.
	outsider := old.startWith(testKey(1))
	outsider.setPeers(append(nodes, old)...)
	for _, p := range processes {
		p.awaitRejected(old)
		p.awaitAlive(append(nodes, late)...)
		p.neverLost(nodes...)
	}
}

func TestMemberWithAWrongKeyNeitherJoinsNorDisturbs(t *testing.T) {
	l := newLAN(t)
	l.calm = true
	nodes, processes := members(t, l, 3)
	wrong := l.node()
	outsider := wrong.startWith(testKey(9))
	outsider.setPeers(append(nodes, wrong)...)
	for _, p := range processes {
		p.setPeers(append(nodes, wrong)...)
		outsider.awaitRejected(p.node)
		p.awaitRejected(wrong)
	}
	for _, p := range processes {
		p.awaitAlive(nodes...)
		p.neverLost(nodes...)
	}
	outsider.awaitAlive(wrong)

	// With the right key it joins.
	outsider.use(testKey(1))
	for _, p := range append(processes, outsider) {
		p.awaitAlive(append(nodes, wrong)...)
	}
}
