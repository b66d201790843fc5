package echo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

func TestAnswersAreReadBackFromTheirLine(t *testing.T) {
	for _, answer := range []Answer{
		{Pod: "p", Namespace: "ns", Node: "n", Client: netip.MustParseAddrPort("192.0.2.1:1"), Local: netip.MustParseAddrPort("10.0.0.1:80")},
		{Pod: "p", Namespace: "ns", Node: "n", Client: netip.MustParseAddrPort("[2001:db8::1]:1"), Local: netip.MustParseAddrPort("[fd00::1]:80"), Path: "/a%20b", Message: "v2"},
	} {
		got, err := Parse(answer.String() + "\n")
		if err != nil || got != answer {
			t.Errorf("%q was read as %+v, %v", answer, got, err)
		}
	}
	for _, line := range []string{"", "hello", "pod=p client=nonsense"} {
		if got, err := Parse(line); err == nil {
			t.Errorf("%q was read as %+v", line, got)
		}
	}
}

func TestSpacesDoNotBreakTheLine(t *testing.T) {
	got, err := Parse(Answer{Pod: "p", Client: netip.MustParseAddrPort("1.1.1.1:1"), Local: netip.MustParseAddrPort("1.1.1.1:1"), Message: "a pod=b\n"}.String())
	if err != nil || got.Pod != "p" || got.Message != "a%20pod=b%0A" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestArgumentsAreReadBack(t *testing.T) {
	t.Setenv("ECHO_MESSAGE", "v2")
	t.Setenv("ECHO_STOP_DELAY", "3s")
	want := Config{
		Pod: "p", Namespace: "ns", Node: "n", HTTP: []uint16{80, 8080}, UDP: []uint16{53}, Message: "v2", StopDelay: 3 * time.Second,
	}
	got, ready, err := parse(Args(want, -1))
	if err != nil || !reflect.DeepEqual(got, want) || ready != nil {
		t.Errorf("got %+v, %v, %v, want %+v", got, ready, err, want)
	}
}

// service is a server with one free port per protocol. Its UDP ports differ by family.
type service struct {
	*Server
	stop context.CancelFunc
	done chan struct{}
}

// serving runs a server until the test ends or it is told to stop.
func serving(t *testing.T, prepare func(*Server)) *service {
	t.Helper()
	server, err := Listen(Config{Pod: "p", Namespace: "ns", Node: "n", HTTP: []uint16{0}, TCP: []uint16{0}, UDP: []uint16{0}})
	if err != nil {
		t.Fatal(err)
	}
	prepare(server)
	ctx, stop := context.WithCancel(t.Context())
	s := &service{server, stop, make(chan struct{})}
	go func() {
		defer close(s.done)
		if err := server.Serve(ctx); err != nil {
			t.Error(err)
		}
	}()
	t.Cleanup(func() {
		stop()
		<-s.done
	})
	return s
}

func asItIs(*Server) {}

func (s *service) http() uint16 { return uint16(s.listeners[0].Addr().(*net.TCPAddr).Port) }
func (s *service) tcp() uint16  { return uint16(s.raw[0].Addr().(*net.TCPAddr).Port) }

func TestHTTPSaysWhoAnsweredWhom(t *testing.T) {
	port := serving(t, func(s *Server) { s.config.Message = "v1" }).http()
	for _, host := range []string{"127.0.0.2", "::1"} {
		local := netip.AddrPortFrom(netip.MustParseAddr(host), port)
		request, err := http.NewRequest(http.MethodGet, fmt.Sprintf("http://%s/a/b?c", local), nil)
		if err != nil {
			t.Fatal(err)
		}
		text, err := Parse(do(t, request))
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", "application/json")
		var object Answer
		if err := json.Unmarshal([]byte(do(t, request)), &object); err != nil {
			t.Fatal(err)
		}
		for _, got := range []Answer{text, object} {
			got.Client = netip.AddrPort{}
			want := Answer{Pod: "p", Namespace: "ns", Node: "n", Local: local, Path: "/a/b", Message: "v1"}
			if got != want {
				t.Errorf("got %+v, want %+v", got, want)
			}
		}
	}
}

func do(t *testing.T, request *http.Request) string {
	t.Helper()
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestHealthIsWhatTheServerWasTold(t *testing.T) {
	port := serving(t, asItIs).http()
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	health := func() int {
		t.Helper()
		response, err := http.Get(url + "/healthz")
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		return response.StatusCode
	}
	tell := func(path string) {
		t.Helper()
		response, err := http.Post(url+path, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
	}
	if got := health(); got != http.StatusOK {
		t.Errorf("at first: %d", got)
	}
	tell("/unhealthy")
	if got := health(); got != http.StatusServiceUnavailable {
		t.Errorf("unhealthy: %d", got)
	}
	tell("/healthy")
	if got := health(); got != http.StatusOK {
		t.Errorf("healthy again: %d", got)
	}
}

func TestRawTCPAnswersAndEchoes(t *testing.T) {
	port := serving(t, asItIs).tcp()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	line, err := lines.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Parse(line)
	if err != nil || answer.Client.String() != conn.LocalAddr().String() || answer.Local.String() != conn.RemoteAddr().String() {
		t.Errorf("got %+v, %v", answer, err)
	}
	for range 3 {
		fmt.Fprintln(conn, "ping")
		if echoed, err := lines.ReadString('\n'); err != nil || echoed != "ping\n" {
			t.Errorf("got %q, %v", echoed, err)
		}
	}
}

func TestDatagramsAreAnsweredFromTheAddressTheyWereSentTo(t *testing.T) {
	s := serving(t, asItIs)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		port := s.packets[0].port
		if host == "::1" {
			port = s.packets[1].port
		}
		// A connected socket takes answers from that address alone.
		conn, err := net.Dial("udp", netip.AddrPortFrom(netip.MustParseAddr(host), port).String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := conn.Write([]byte("hello")); err != nil {
			t.Fatal(err)
		}
		var buffer [1024]byte
		n, err := conn.Read(buffer[:])
		if err != nil {
			t.Fatal(err)
		}
		answer, err := Parse(string(bytes.TrimSuffix(buffer[:n], []byte("\n"))))
		if err != nil || answer.Client.String() != conn.LocalAddr().String() || answer.Local.String() != conn.RemoteAddr().String() {
			t.Errorf("%s: got %+v, %v", host, answer, err)
		}
	}
}

func TestStoppedServerRefusesAndCuts(t *testing.T) {
	s := serving(t, asItIs)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.tcp()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	lines := bufio.NewReader(conn)
	if _, err := lines.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	s.stop()
	<-s.done
	if line, err := lines.ReadString('\n'); err == nil {
		t.Errorf("the connection goes on with %q", line)
	}
	if conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", s.http())); err == nil {
		conn.Close()
		t.Error("a new connection was accepted")
	}
}

func TestServerGoesOnForItsStopDelay(t *testing.T) {
	asked, over := make(chan time.Duration), make(chan time.Time)
	s := serving(t, func(s *Server) {
		s.config.StopDelay = time.Minute
		s.after = func(d time.Duration) <-chan time.Time {
			asked <- d
			return over
		}
	})
	s.stop()
	if d := <-asked; d != time.Minute {
		t.Errorf("goes on for %v", d)
	}
	response, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", s.http()))
	if err != nil {
		t.Error(err)
	} else {
		response.Body.Close()
	}
	close(over)
	<-s.done
}

func TestTwoServersCannotHaveOnePort(t *testing.T) {
	port := serving(t, asItIs).http()
	if _, err := Listen(Config{HTTP: []uint16{port}}); err == nil {
		t.Error("the second server listens too")
	}
}
