package network

import "testing"

func TestBlock(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	ctx := testContext(t)
	tests := []struct {
		name    string
		host    *Host
		traffic Traffic
		v6      bool
		blocked bool
	}{
		// Those that drop nothing come first: what others drop is sent again, up to seconds later.
		{"another address", l.b, Traffic{Peer: l.router.Address("eth0", false)}, false, false},
		{"the other family", l.b, Traffic{Peer: l.a.Address("eth0", false)}, true, false},
		{"another port", l.b, Traffic{Protocol: "tcp", Port: 81}, false, false},
		{"the port of another protocol", l.b, Traffic{Protocol: "udp", Port: 80}, false, false},
		{"ICMP only", l.b, Traffic{Protocol: "icmp", Peer: l.a.Address("eth0", false)}, false, false}, // IPv6 has some of its own
		{"everything", l.b, Traffic{}, false, true},
		{"from an address", l.b, Traffic{Direction: In, Peer: l.a.Address("eth0", false)}, false, true},
		{"to an address", l.b, Traffic{Direction: Out, Peer: l.a.Address("eth0", false)}, false, true},
		{"from an IPv6 address", l.b, Traffic{Peer: l.a.Address("eth0", true)}, true, true},
		{"a port", l.b, Traffic{Protocol: "tcp", Port: 80}, false, true},
		{"a port in IPv6", l.b, Traffic{Protocol: "tcp", Port: 80}, true, true},
		{"a port of an address", l.b, Traffic{Peer: l.a.Address("eth0", false), Protocol: "tcp", Port: 80}, false, true},
		{"at the client", l.a, Traffic{Protocol: "tcp", Port: 80}, false, true},
		{"a hardware address", l.b, Traffic{PeerMAC: l.a.MAC("eth0")}, true, true},
		{"one way is enough", l.b, Traffic{Direction: Out, PeerMAC: l.a.MAC("eth0"), Protocol: "tcp"}, false, true},
		// At first, hosts look whether somebody else has their IPv6 addresses, on every device.
		{"a device that the traffic does not cross", l.router, Traffic{Device: "eth1"}, false, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			m := meter(t, l.a, l.b.Address("eth0", test.v6))
			awaitAttempt(t, m, Succeeded)
			barrier, err := test.host.Block(ctx, test.traffic)
			if err != nil {
				t.Fatal(err)
			}
			if test.blocked {
				awaitAttempt(t, m, Failed)
			} else {
				awaitAttempt(t, m, Succeeded)
			}
			if dropped, err := barrier.Dropped(ctx); err != nil || test.blocked != (dropped > 0) {
				t.Errorf("%d frames dropped, %v", dropped, err)
			}
			if err := barrier.Lift(); err != nil {
				t.Fatal(err)
			}
			awaitAttempt(t, m, Succeeded)
		})
	}
	if _, err := l.b.Block(ctx, Traffic{Port: 80}); err == nil {
		t.Error("a port without a protocol was accepted")
	}
	if _, err := l.b.Block(ctx, Traffic{Protocol: "arp", Port: 80}); err == nil {
		t.Error("a port of ARP was accepted")
	}
}

func TestBlockingARPAlone(t *testing.T) {
	l := newLAN(t)
	serve(t, l.b)
	if _, err := l.b.Block(testContext(t), Traffic{Protocol: "arp", Peer: l.a.Address("eth0", false)}); err != nil {
		t.Fatal(err)
	}
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", false)), Failed)
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", true)), Succeeded)
	awaitAttempt(t, meter(t, l.far, l.b.Address("eth0", false)), Succeeded)
}
