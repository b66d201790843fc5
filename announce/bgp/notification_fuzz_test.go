package bgp

import (
	"strconv"
	"strings"
	"testing"
)

// Whatever a router says at the end of a session, it spoils no line, and is no longer than a message can be.
func FuzzReadNotification(f *testing.F) {
	f.Add(uint8(6), uint8(2), []byte("\x07goodbye"))
	f.Add(uint8(6), uint8(2), []byte("\xffgoodbye"))
	f.Add(uint8(6), uint8(4), []byte{})
	f.Add(uint8(6), uint8(9), []byte("\x06\x02\x07goodbye"))
	f.Add(uint8(6), uint8(9), []byte("\x06\x09\x06\x09\x06\x09"))
	f.Add(uint8(2), uint8(7), []byte{65, 4, 0, 0, 253, 232, 1})
	f.Add(uint8(2), uint8(7), []byte{0, 0, 1, 0, 2, 0, 3, 0, 4, 0, 255})
	f.Fuzz(func(t *testing.T, code, subcode uint8, data []byte) {
		const mostData = 4096 - 21 // RFC 4271, section 4.5
		data = data[:min(len(data), mostData)]
		n := ReadNotification(code, subcode, data)
		if n.Code != code || n.Subcode != subcode {
			t.Errorf("%d/%d became %d/%d", code, subcode, n.Code, n.Subcode)
		}
		for _, text := range []string{n.Reason, n.Detail, n.Name()} {
			if i := strings.IndexFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }); i >= 0 {
				t.Errorf("%q has what cannot be printed", text)
			}
		}
		if len(n.Reason) > 3*255 { // a byte that is none of UTF-8 becomes a character of up to three
			t.Errorf("a reason of %d bytes", len(n.Reason))
		}
	})
}
