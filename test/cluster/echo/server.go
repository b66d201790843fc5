package echo

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
)

// closeTimeout is how long requests in flight may take to end once the server has stopped listening.
const closeTimeout = time.Second

// Config says who the server is and where it listens. Every port is served on all addresses of both
// families.
type Config struct {
	Pod, Namespace, Node, Message string
	// HTTP, TCP and UDP are the ports served with each protocol. TCP is raw: the server writes its
	// answer as a line and then returns every byte it gets.
	HTTP, TCP, UDP []uint16
	// StopDelay is how long the server goes on serving after its context ended.
	StopDelay time.Duration
}

// Server answers on the ports of its Config. Besides any other path, its HTTP side knows
//
//	GET  /healthz    200, or 503 after POST /unhealthy
//	POST /unhealthy  from now on /healthz fails
//	POST /healthy    from now on /healthz succeeds
type Server struct {
	config    Config
	unhealthy atomic.Bool
	listeners []net.Listener
	raw       []net.Listener
	packets   []*packetConn
	after     func(time.Duration) <-chan time.Time
}

// Listen opens every port of the configuration; once it returns, no connection is refused.
func Listen(config Config) (*Server, error) {
	s := &Server{config: config, after: time.After}
	err := s.listen()
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *Server) listen() error {
	for _, port := range s.config.HTTP {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return fmt.Errorf("listen for HTTP: %w", err)
		}
		s.listeners = append(s.listeners, l)
	}
	for _, port := range s.config.TCP {
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			return fmt.Errorf("listen for TCP: %w", err)
		}
		s.raw = append(s.raw, l)
	}
	for _, port := range s.config.UDP {
		conns, err := listenPackets(port)
		if err != nil {
			return fmt.Errorf("listen for UDP: %w", err)
		}
		s.packets = append(s.packets, conns...)
	}
	return nil
}

func (s *Server) close() {
	for _, l := range append(s.listeners, s.raw...) {
		l.Close()
	}
	for _, p := range s.packets {
		p.Close()
	}
}

// Serve answers until ctx ends and StopDelay has passed, then lets requests in flight end and
// returns nil.
func (s *Server) Serve(ctx context.Context) error {
	web := &http.Server{Handler: s}
	group, groupCtx := errgroup.WithContext(context.WithoutCancel(ctx))
	for _, l := range s.listeners {
		group.Go(func() error { return ignoreClosed(web.Serve(l)) })
	}
	for _, l := range s.raw {
		group.Go(func() error { return ignoreClosed(s.serveRaw(l)) })
	}
	for _, p := range s.packets {
		group.Go(func() error { return ignoreClosed(p.serve(s.answer)) })
	}
	group.Go(func() error {
		select {
		case <-ctx.Done():
		case <-groupCtx.Done():
		}
		select {
		case <-s.after(s.config.StopDelay):
		case <-groupCtx.Done():
		}
		closing, cancel := context.WithTimeout(context.Background(), closeTimeout)
		defer cancel()
		if web.Shutdown(closing) != nil {
			web.Close()
		}
		s.close()
		return nil
	})
	return group.Wait()
}

func ignoreClosed(err error) error {
	if errors.Is(err, http.ErrServerClosed) || errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

func (s *Server) answer(client, local netip.AddrPort) Answer {
	return Answer{
		Pod: s.config.Pod, Namespace: s.config.Namespace, Node: s.config.Node, Message: s.config.Message,
		Client: unmap(client), Local: unmap(local),
	}
}

func unmap(a netip.AddrPort) netip.AddrPort {
	return netip.AddrPortFrom(a.Addr().Unmap().WithZone(""), a.Port())
}

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path == "/healthz":
		if s.unhealthy.Load() {
			http.Error(w, "told to be unhealthy", http.StatusServiceUnavailable)
			return
		}
		io.WriteString(w, "ok\n")
		return
	case r.Method == http.MethodPost && r.URL.Path == "/unhealthy":
		s.unhealthy.Store(true)
		w.WriteHeader(http.StatusNoContent)
		return
	case r.Method == http.MethodPost && r.URL.Path == "/healthy":
		s.unhealthy.Store(false)
		w.WriteHeader(http.StatusNoContent)
		return
	}
	client, _ := netip.ParseAddrPort(r.RemoteAddr)
	local, _ := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	answer := s.answer(client, local.AddrPort())
	answer.Path = r.URL.EscapedPath()
	if strings.Contains(r.Header.Get("Accept"), "application/json") {
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, answer.String()+"\n")
}

// serveRaw serves l until it is closed, and then cuts the connections it still has.
func (s *Server) serveRaw(l net.Listener) error {
	ctx, cancel := context.WithCancel(context.Background())
	var open sync.WaitGroup
	defer open.Wait()
	defer cancel()
	for {
		conn, err := l.Accept()
		if err != nil {
			return err
		}
		open.Go(func() {
			stop := context.AfterFunc(ctx, func() { conn.Close() })
			defer stop()
			defer conn.Close()
			s.echo(conn.(*net.TCPConn))
		})
	}
}

func (s *Server) echo(conn *net.TCPConn) {
	local := conn.LocalAddr().(*net.TCPAddr).AddrPort()
	client := conn.RemoteAddr().(*net.TCPAddr).AddrPort()
	if _, err := fmt.Fprintln(conn, s.answer(client, local)); err != nil {
		return
	}
	io.Copy(conn, bufio.NewReader(conn))
}
