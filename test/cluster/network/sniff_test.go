package network

import (
	"encoding/binary"
	"net"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestSniff(t *testing.T) {
	l := newLAN(t)
	ctx := testContext(t)
	sniffers := map[string]*Sniffer{}
	for where, at := range map[string]struct {
		host   *Host
		device string
	}{"client": {l.a, "eth0"}, "server": {l.b, "eth0"}, "LAN": {l.Switch(), "lan"}, "other LAN": {l.Switch(), "far"}} {
		s, err := at.host.Sniff(ctx, at.device, "arp")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(s.Stop)
		sniffers[where] = s
	}
	serve(t, l.b)
	before := time.Now()
	awaitAttempt(t, meter(t, l.a, l.b.Address("eth0", false)), Succeeded)

	reply := func(f Frame) bool { return binary.BigEndian.Uint16(f.Data[20:]) == 2 }
	for _, where := range []string{"client", "server", "LAN"} {
		frame, err := sniffers[where].Await(ctx, reply)
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		if got, want := net.HardwareAddr(frame.Data[6:12]).String(), l.b.MAC("eth0").String(); got != want {
			t.Errorf("%s: the reply is from %s, want %s", where, got, want)
		}
		if got, want := frame.Outgoing, where == "server"; got != want {
			t.Errorf("%s: outgoing is %t", where, got)
		}
		if frame.Time.Before(before) || frame.Time.After(time.Now()) {
			t.Errorf("%s: the time of the frame is %s", where, frame.Time)
		}
	}
	for where, s := range sniffers {
		for _, frame := range s.Frames() {
			if binary.BigEndian.Uint16(frame.Data[12:]) != unix.ETH_P_ARP {
				t.Errorf("%s: the filter let %s pass", where, frame)
			}
		}
	}
	if frames := sniffers["other LAN"].Frames(); len(frames) > 0 {
		t.Errorf("frames leaked to the other LAN: %v", frames)
	}
	s := sniffers["client"]
	s.Stop()
	s.Stop()
	if _, err := s.Await(ctx, func(Frame) bool { return false }); err == nil {
		t.Error("a stopped sniffer waits")
	}
	if _, err := l.a.Sniff(ctx, "eth0", "no such expression"); err == nil {
		t.Error("a wrong filter was accepted")
	}
}
