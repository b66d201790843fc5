package network

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"time"
)

// Session is one connection of a host to an address, on which it asks for / again and again.
type Session struct {
	conn    *os.File
	target  netip.AddrPort
	answers *bufio.Reader
	stop    func()
	done    chan struct{}
	count   int
	err     error
}

const (
	sessionInterval = 50 * time.Millisecond
	// sessionTimeout is how long an answer may take: some retransmissions.
	sessionTimeout = 10 * time.Second
)

// Talk opens a connection to an address, and asks on it every few milliseconds until the session is
// stopped or the connection broken.
func (h *Host) Talk(target netip.AddrPort) (*Session, error) {
	var conn *os.File
	if err := h.Do(func() (err error) {
		conn, err = h.connect(target)
		return err
	}); err != nil {
		return nil, err
	}
	s := &Session{conn: conn, target: target, answers: bufio.NewReader(conn), done: make(chan struct{})}
	if err := s.ask(); err != nil {
		conn.Close()
		return nil, err
	}
	over := make(chan struct{})
	s.stop = sync.OnceFunc(func() { close(over) })
	go s.run(over)
	return s, nil
}

func (s *Session) run(over <-chan struct{}) {
	defer close(s.done)
	defer s.conn.Close()
	tick := time.NewTicker(sessionInterval)
	defer tick.Stop()
	for stopped := false; s.err == nil && !stopped; s.err = s.ask() {
		select {
		case <-tick.C:
		case <-over:
			stopped = true
		}
	}
}

func (s *Session) ask() error {
	began := time.Now()
	if err := s.conn.SetDeadline(began.Add(sessionTimeout)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.conn, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", s.target)
	var response *http.Response
	if err == nil {
		response, err = http.ReadResponse(s.answers, nil)
	}
	if err == nil {
		_, err = io.Copy(io.Discard, response.Body)
	}
	if err != nil {
		return fmt.Errorf("question %d, asked at %s: %w", s.count+1, began.Format(time.StampMilli), err)
	}
	s.count++
	return nil
}

// Stop ends the session, after it has asked once more. It returns how often it was answered, and
// why the connection broke if it did.
func (s *Session) Stop() (answers int, err error) {
	s.stop()
	<-s.done
	return s.count, s.err
}
