package speaker

import (
	"bytes"
	"slices"
	"testing"

	gobgp "github.com/osrg/gobgp/v4/pkg/packet/bgp"
)

// Whatever a router sends, reading it ends, takes no more than one message, and gives it on unchanged.
func FuzzReadBGP(f *testing.F) {
	marker := bytes.Repeat([]byte{0xff}, 16)
	message := func(length uint16, kind byte, body ...byte) []byte {
		return slices.Concat(marker, []byte{byte(length >> 8), byte(length), kind}, body)
	}
	f.Add(message(19, gobgp.BGP_MSG_KEEPALIVE))
	f.Add(message(29, gobgp.BGP_MSG_OPEN, 4, 0xfd, 0xe8, 0, 90, 192, 0, 2, 1, 0))
	f.Add(message(37, gobgp.BGP_MSG_OPEN, 4, 0xfd, 0xe8, 0, 90, 192, 0, 2, 1, 8, 2, 6, 65, 4, 0, 0, 0xfd, 0xe8))
	f.Add(message(23, gobgp.BGP_MSG_UPDATE, 0, 0, 0, 0))
	f.Add(message(21, gobgp.BGP_MSG_NOTIFICATION, 6, 2))
	f.Add(message(23, gobgp.BGP_MSG_ROUTE_REFRESH, 0, 1, 0, 1))
	f.Add(message(0, gobgp.BGP_MSG_OPEN))
	f.Add(message(65535, gobgp.BGP_MSG_UPDATE))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, sent []byte) {
		from := bytes.NewReader(sent)
		_, raw, err := readBGP(from)
		if len(raw) > gobgp.BGP_MAX_MESSAGE_LENGTH {
			t.Errorf("a message of %d bytes", len(raw))
		}
		if err == nil && !bytes.Equal(raw, sent[:len(sent)-from.Len()]) {
			t.Errorf("of %x came %x", sent, raw)
		}
	})
}
