package notify

import "testing"

func TestSeveralNotificationsAreOne(t *testing.T) {
	s := New()
	s.Notify()
	s.Notify()
	<-s
	select {
	case <-s:
		t.Error("a second one was received")
	default:
	}
	s.Notify()
	<-s
}
