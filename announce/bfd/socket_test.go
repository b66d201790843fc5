package bfd

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// station is a socket on a host that plays a peer.
type station struct {
	t    testing.TB
	fd   int
	port uint16
}

// heard is a packet that a station received, and how it came.
type heard struct {
	packet
	from       netip.Addr
	port       int
	ttl, class int
}

// station opens one at the port of a service. What it sends has a TTL.
func (h *host) station(service service, ttl int) *station {
	h.t.Helper()
	s := &station{t: h.t, port: service.port()}
	family, level := unix.AF_INET, unix.IPPROTO_IP
	options := map[int]int{unix.IP_RECVTTL: 1, unix.IP_RECVTOS: 1, unix.IP_TTL: ttl}
	if service.six {
		family, level = unix.AF_INET6, unix.IPPROTO_IPV6
		options = map[int]int{unix.IPV6_RECVHOPLIMIT: 1, unix.IPV6_RECVTCLASS: 1, unix.IPV6_UNICAST_HOPS: ttl}
	}
	h.In(func() (err error) {
		s.fd, err = unix.Socket(family, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		return err
	})
	h.t.Cleanup(func() { unix.Close(s.fd) })
	for option, value := range options {
		must(h.t, unix.SetsockoptInt(s.fd, level, option, value))
	}
	timeout := unix.NsecToTimeval(patience.Nanoseconds())
	must(h.t, unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	any := netip.IPv4Unspecified()
	if service.six {
		any = netip.IPv6Unspecified()
	}
	must(h.t, unix.Bind(s.fd, sockaddr(any, service.port(), 0)))
	return s
}

// receive waits for a packet.
func (s *station) receive() heard {
	s.t.Helper()
	b, controls := make([]byte, 100), make([]byte, 100)
	n, size, _, from, err := unix.Recvmsg(s.fd, b, controls, 0)
	must(s.t, err)
	p, err := parse(b[:n])
	must(s.t, err)
	got := heard{packet: p}
	switch from := from.(type) {
	case *unix.SockaddrInet4:
		got.from, got.port = netip.AddrFrom4(from.Addr), from.Port
	case *unix.SockaddrInet6:
		got.from, got.port = netip.AddrFrom16(from.Addr), from.Port
	}
	messages, err := unix.ParseSocketControlMessage(controls[:size])
	must(s.t, err)
	for _, m := range messages {
		switch m.Header.Type {
		case unix.IP_TTL, unix.IPV6_HOPLIMIT:
			got.ttl = int(m.Data[0])
		case unix.IP_TOS, unix.IPV6_TCLASS:
			got.class = int(m.Data[0])
		}
	}
	return got
}

func (s *station) send(to netip.Addr, ifi int, p packet) {
	s.t.Helper()
	must(s.t, unix.Sendto(s.fd, p.append(nil), 0, sockaddr(to, s.port, ifi)))
}

func TestPacketsLeaveAsTheRFCsAsk(t *testing.T) {
	for name, test := range map[string]struct {
		session Session
		from    netip.Addr
	}{
		"IPv4":           {Session{Peer: right4}, left4},
		"IPv6":           {Session{Peer: right6, Interface: "eth0"}, left6},
		"multihop":       {Session{Peer: right4, MultiHop: true}, left4},
		"multihop, IPv6": {Session{Peer: right6, Local: left6, MultiHop: true}, left6},
	} {
		t.Run(name, func(t *testing.T) {
			_, router := neighbours(t)
			station := router.station(test.session.service(), 255)
			s, _ := speak(t)
			s.Set(map[string]Session{"router": test.session})
			first, second := station.receive(), station.receive()
			if first.ttl != 255 || first.class != 0xc0 || first.port < 49152 || first.from != test.from {
				t.Errorf("received %+v", first)
			}
			if second.port != first.port || second.myDiscriminator != first.myDiscriminator {
				t.Errorf("received %+v, and then %+v", first, second)
			}
		})
	}
}

func TestPacketsOverARouterAreRefusedOnARealSocket(t *testing.T) {
	for name, peer := range map[string]struct {
		local, remote netip.Addr
		service       service
	}{"IPv4": {left4, right4, service{}}, "IPv6": {left6, right6, service{six: true}}} {
		t.Run(name, func(t *testing.T) {
			_, router := neighbours(t)
			station := router.station(peer.service, 254)
			s, _ := speak(t)
			s.Set(map[string]Session{"router": {Peer: peer.remote}})
			down := packet{state: Down, multiplier: 3, myDiscriminator: 7, desiredMinTx: time.Second, requiredMinRx: time.Second}
			station.receive()
			station.send(peer.local, 0, down)
			got := expect(t, s, "a refusal", func(s Status) bool { return s.Err != nil })[0]
			if !errors.Is(got.Err, ErrTTL) || got.Received > 0 || got.State != Down {
				t.Errorf("%+v", got)
			}
		})
	}
}

// Two links with the same link-local addresses at their ends are told apart.
func TestLinkLocalNeighboursOfSeveralInterfacesAreToldApart(t *testing.T) {
	n := node(t)
	peer := netip.MustParseAddr("fe80::2")
	sessions := map[string]Session{}
	var stations []*station
	var routers []*host
	for _, name := range []string{"eth0", "eth1"} {
		router := newHost(t)
		cable(t, n, name, router, "eth0")
		n.Address(name, "fe80::1/64")
		router.Address("eth0", "fe80::2/64")
		routers = append(routers, router)
		stations = append(stations, router.station(service{six: true}, 255))
		sessions[name] = Session{Peer: peer, Local: netip.MustParseAddr("fe80::1"), Interface: name}
	}
	s, _ := speak(t)
	s.Set(sessions)
	first, second := stations[0].receive(), stations[1].receive()
	if first.myDiscriminator == second.myDiscriminator || first.from != second.from {
		t.Fatalf("received %+v and %+v", first, second)
	}
	link, err := routers[1].NL.LinkByName("eth0")
	must(t, err)
	stations[1].send(first.from, link.Attrs().Index, packet{state: Down, multiplier: 3, myDiscriminator: 7, desiredMinTx: time.Second, requiredMinRx: time.Second})
	expect(t, s, "the second session alone to hear its peer", func(s Status) bool { return (s.State == Init) == (s.Name == "eth1") })
	answer := stations[1].receive()
	for answer.state == Down { // from before it heard
		answer = stations[1].receive()
	}
	if answer.state != Init || answer.yourDiscriminator != 7 || answer.myDiscriminator != second.myDiscriminator {
		t.Errorf("answered %+v", answer)
	}
}

func TestASessionOutlastsItsInterface(t *testing.T) {
	n, router := neighbours(t)
	startFRR(router, frrConfig(every(100, 10), "192.0.2.1 interface eth0")...)
	s, _ := speak(t)
	s.Set(map[string]Session{"router": {Peer: right4, Interface: "eth0"}, "elsewhere": {Peer: lonely, Interface: "eth7"}})
	isUp := func(s Status) bool {
		return (s.State == Up) == (s.Name == "router") && (s.Err == nil) == (s.Name == "router")
	}
	expect(t, s, "a session with FRR", isUp)
	link, err := n.NL.LinkByName("eth0")
	must(t, err)
	must(t, n.NL.LinkDel(link))
	expect(t, s, "word that the interface is gone", func(s Status) bool { return s.State == Down && s.Err != nil })
	cable(t, n, "eth0", router, "eth0")
	n.Address("eth0", "192.0.2.1/24")
	router.Address("eth0", "192.0.2.2/24")
	expect(t, s, "another session with FRR", isUp)
}

// When a packet is handled long after it has arrived, it counts from when it arrived.
func TestAPacketHasTheTimeAtWhichItArrived(t *testing.T) {
	for name, local := range map[string]netip.Addr{"IPv4": netip.MustParseAddr("127.0.0.1"), "IPv6": netip.IPv6Loopback()} {
		t.Run(name, func(t *testing.T) {
			sockets, err := attach()
			must(t, err)
			defer sockets.close()
			session := Session{Peer: local, Local: local, MultiHop: true}
			l, err := sockets.listen(session.service())
			must(t, err)
			defer l.close()
			s, err := sockets.dial(session, firstPort)
			must(t, err)
			defer s.close()
			await(t, "the kernel's timestamps, which it begins with soon after it is asked for them", func() bool {
				must(t, s.send([]byte("packet")))
				after := time.Now()
				for time.Since(after) < 5*ms {
				}
				d, ok := l.receive()
				return ok && d.at.Before(after)
			})
			for range 3 {
				before := time.Now()
				must(t, s.send([]byte("packet")))
				after := time.Now()
				for time.Since(after) < 5*ms { // nobody receives meanwhile
				}
				d, ok := l.receive()
				if !ok || d.at.Before(before) || d.at.After(after) || d.from != local || d.to != local || d.ttl != 255 {
					t.Fatalf("%v: %+v, sent from %v to %v", ok, d, before, after)
				}
				if _, ok := l.receive(); ok {
					t.Fatal("it is received twice")
				}
			}
		})
	}
}
