package bfd

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"net/netip"
	"sync"
)

// Keys authenticate the packets of sessions among announcers. The layout is that of Meticulous Keyed
// SHA1 (RFC 5880, section 6.7.4), with a type that RFC 5880 has not assigned, and HMAC with SHA-256
// (RFC 2104) in place of a keyed SHA-1. The addresses of both ends are authenticated too.
//
// A packet that was recorded and is sent again is refused: its sequence number is not a later one, or
// its discriminator is not that of the session any more, which gets another one when it goes down.
type Keys struct {
	current func() [][]byte

	mu sync.Mutex
	// hashes are made of keys.
	keys   [][]byte
	hashes []hash.Hash
}

// NewKeys returns Keys that ask for the present keys, at each packet. The first authenticates what is
// sent; what arrives may be authenticated with any. Without a key nothing is authentic.
func NewKeys(current func() [][]byte) *Keys { return &Keys{current: current} }

const (
	authenticationType = 200
	// digestSize is that of the digest, of which as much is sent (RFC 2104, section 5).
	digestSize = sha256.Size / 2
	// authenticationSize is that of the section: type, length, Key ID, a reserved byte, sequence
	// number and digest.
	authenticationSize = 8 + digestSize
)

// purpose goes into the digest, so that nothing else that is made with the key is a packet.
const purpose = "clarion heartbeat"

// digest appends what proves that a packet was made with the n-th key; false if there is none.
func (k *Keys) digest(b []byte, n int, from, to netip.Addr, packet []byte) ([]byte, bool) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if keys := k.current(); len(keys) != len(k.keys) || !equal(keys, k.keys) {
		k.keys, k.hashes = nil, nil
		for _, key := range keys {
			k.keys = append(k.keys, bytes.Clone(key))
			k.hashes = append(k.hashes, hmac.New(sha256.New, key))
		}
	}
	if n >= len(k.hashes) {
		return b, false
	}
	h, ends := k.hashes[n], [2][16]byte{from.As16(), to.As16()}
	h.Reset()
	h.Write([]byte(purpose))
	h.Write(ends[0][:])
	h.Write(ends[1][:])
	h.Write(packet)
	var sum [sha256.Size]byte
	return append(b, h.Sum(sum[:0])[:digestSize]...), true
}

func equal(a, b [][]byte) bool {
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}

// authentication is what a session with Keys remembers (RFC 5880, section 6.8.1).
type authentication struct {
	// sent is bfd.XmitAuthSeq. received is bfd.RcvAuthSeq, from the remote system with that discriminator.
	sent, received uint32
	from           uint32
}

// marshal appends a packet, and what authenticates it if the session has Keys.
func (r *runningSession) marshal(b []byte, p packet) []byte {
	p.authenticated = r.config.Keys != nil
	b = p.append(b)
	if !p.authenticated {
		return b
	}
	b[3] = packetSize + authenticationSize
	r.auth.sent++
	b = append(b, authenticationType, authenticationSize, 0, 0)
	b = binary.BigEndian.AppendUint32(b, r.auth.sent)
	b, _ = r.config.Keys.digest(b, 0, r.config.Local, r.config.Peer, b)
	return b
}

// authenticate returns an error unless the peer has made a packet, and later than those before.
func (r *runningSession) authenticate(p packet, d datagram) error {
	b := d.payload
	if len(b) != packetSize+authenticationSize || b[packetSize] != authenticationType {
		return ErrNotAuthentic
	}
	sequence := binary.BigEndian.Uint32(b[packetSize+4:])
	if r.auth.from == p.myDiscriminator && int32(sequence-r.auth.received) <= 0 {
		return ErrNotAuthentic
	}
	signed, digest := b[:packetSize+8], b[packetSize+8:]
	var buffer [digestSize]byte
	for n := 0; ; n++ {
		expected, ok := r.config.Keys.digest(buffer[:0], n, r.config.Peer, r.config.Local, signed)
		if !ok {
			return ErrNotAuthentic
		}
		if hmac.Equal(expected, digest) {
			break
		}
	}
	r.auth.received, r.auth.from = sequence, p.myDiscriminator
	return nil
}
