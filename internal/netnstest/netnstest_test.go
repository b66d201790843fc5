package netnstest

import (
	"net"
	"testing"
)

func TestMain(m *testing.M) { MainOfShares(m.Run) }

func TestHostsAreConnectedByCables(t *testing.T) {
	h := NewHost(t)
	near := h.Cable("eth0")
	h.Address("eth0", "192.0.2.2/24")
	Node(t).Address(near, "192.0.2.1/24")
	var listener net.Listener
	h.In(func() (err error) {
		listener, err = net.Listen("tcp", "192.0.2.2:0")
		return err
	})
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func TestWhatOneHostHasNoOtherHas(t *testing.T) {
	a, b := NewHost(t), NewHost(t)
	a.Cable("only")
	if err := b.Try(func() error {
		_, err := net.InterfaceByName("only")
		return err
	}); err == nil {
		t.Error("the interface is on both")
	}
}
