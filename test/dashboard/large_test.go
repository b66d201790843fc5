package dashboard

import (
	"net"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/test/browser"
)

// counting is a listener that counts what is sent.
type counting struct {
	net.Listener
	sent *atomic.Int64
}

func (l counting) Accept() (net.Conn, error) {
	connection, err := l.Listener.Accept()
	return countedConn{connection, l.sent}, err
}

type countedConn struct {
	net.Conn
	sent *atomic.Int64
}

func (c countedConn) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.sent.Add(int64(n))
	return n, err
}

func TestOfTenThousandServicesAChangeIsSmallAndAPartIsDrawn(t *testing.T) {
	const (
		mostPerChange = 16 << 10 // bytes, of a state of several million
		mostElements  = 6000
	)
	now := time.Now()
	objects := fixture.Large(now, 10_000)
	var web *corev1.Service // in the middle
	for _, o := range objects {
		if s, is := o.(*corev1.Service); is && s.Name == "web-5000" {
			web = s
		}
	}
	sent := &atomic.Int64{}
	d := serveCounting(t, stateOf(objects), sent)
	tab := browser.Open(t, d.URL(), isLive, browser.Desk)
	tab.Until(`document.querySelector("#summary").innerText.includes("10000 / 10000")`)
	if whole := sent.Load(); whole < 1<<20 {
		t.Errorf("at first, %d bytes are sent", whole)
	}
	drawn := func(when string) {
		t.Helper()
		if n := browser.Eval[int](tab, `document.querySelectorAll("*").length`); n > mostElements {
			t.Errorf("%s, the page has %d elements", when, n)
		}
	}
	drawn("at first")
	tab.Click("details.block > summary")
	tab.Click(".node summary")
	tab.Until(`document.querySelector("details.block[open] button") && document.querySelector(".node details[open] button")`)
	drawn("with some opened")

	change := func(what, until string) {
		t.Helper()
		state, before := stateOf(objects), sent.Load()
		if err := d.Show(state, ""); err != nil {
			t.Fatal(err)
		}
		tab.Until(until)
		if n := sent.Load() - before; n > mostPerChange {
			t.Errorf("%s: %d bytes are sent", what, n)
		}
		if !browser.Eval[bool](tab, `Boolean(document.querySelector("details.block[open] button") && document.querySelector(".node details[open] button"))`) {
			t.Errorf("%s: what was open is not any more", what)
		}
	}
	ingress := web.Status.LoadBalancer.Ingress
	web.Status.LoadBalancer.Ingress, web.Annotations = nil, map[string]string{"clarionlb.io/address-pool": "none"}
	change("a Service in trouble", `document.querySelector("#services tr").innerText.includes("default/web-5000") && document.querySelector("#summary").innerText.includes("9999 / 10000")`)
	web.Status.LoadBalancer.Ingress, web.Annotations = ingress, nil
	change("it is well again", `document.querySelector("#summary").innerText.includes("10000 / 10000")`)

	// One that has followed shows the same as one that has not.
	const text = `[...document.querySelectorAll("details")].forEach((d) => { d.open = false; }), document.querySelector("main").innerText`
	fresh := browser.Open(t, d.URL(), isLive, browser.Desk)
	if followed, anew := browser.Eval[string](tab, text), browser.Eval[string](fresh, text); followed != anew {
		t.Errorf("it shows\n%.3000s\nand not\n%.3000s", followed, anew)
	}
}
