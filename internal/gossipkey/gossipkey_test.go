package gossipkey

import "testing"

func TestKeysOfAESAreUsable(t *testing.T) {
	for size, usable := range map[int]bool{0: false, 1: false, 15: false, 16: true, 17: false, 24: true, 31: false, 32: true, 33: false, 64: false} {
		if err := Check(make([]byte, size)); (err == nil) != usable {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}
