package membership

import (
	"slices"
	"testing"
)

// Whatever a member sends, nothing breaks, and no more is kept of it than fits.
func FuzzNotifyMsg(f *testing.F) {
	c := New(Config{Name: "a", Address: local(1)})
	session := newSession()
	c.members["b"] = &member{alive: true, session: session}
	f.Add([]byte(newLeaveMessage(session, "b")))
	f.Add([]byte(newLeaveMessage(session, "stranger")))
	f.Add([]byte{kindLeave})
	f.Add(append([]byte{kindUser, 1, 'b'}, "text"...))
	f.Add([]byte{kindUser, 255, 'b'})
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, message []byte) {
		original := slices.Clone(message)
		for range 2 {
			delegate{c}.NotifyMsg(message)
		}
		if !slices.Equal(message, original) {
			t.Errorf("%x was changed to %x", original, message)
		}
		if len(c.members) != 1 {
			t.Errorf("%x added a member", message)
		}
		for _, m := range c.Messages() {
			clear(message)
			if text := original[len(original)-len(m.Text):]; !slices.Equal(m.Text, text) {
				t.Errorf("%x came as %x", original, m.Text)
			}
		}
	})
}
