package e2e

import (
	"context"
	"fmt"
	"net"

	"k8s.io/client-go/kubernetes"

	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/plugin/dashboard"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/test/browser"
)

// openDashboard opens the page of the cluster in a browser.
func (d *deployment) openDashboard() *browser.Tab {
	d.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	live, err := snapshot.Watch(ctx, kubernetes.NewForConfigOrDie(d.RESTConfig()), versioned.NewForConfigOrDie(d.RESTConfig()))
	if err != nil {
		d.t.Fatal(err)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		d.t.Fatal(err)
	}
	page, done := dashboard.New("e2e", listener), make(chan error)
	go func() { done <- page.Follow(ctx, live) }()
	d.t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			d.t.Error(err)
		}
	})
	return browser.Open(d.t, page.URL(), "#live[data-state=live]", browser.Desk)
}

// testDashboard has a page follow a Service that is announced, and one that comes and goes.
func (d *deployment) testDashboard(announced string) {
	tab := d.openDashboard()
	row := func(name string) string {
		return fmt.Sprintf(`[...document.querySelectorAll("#services tr")].find((r) => r.innerText.includes("default/%s"))`, name)
	}
	tab.Until(row(announced) + `?.innerText.includes("✓ announced")`)
	address := d.awaitAddress(announced).String()
	tab.Until(fmt.Sprintf(`document.querySelector('[data-ip=%q]')?.dataset.state == "assigned"`, address))
	tab.Until(`document.querySelectorAll(".node[data-state=ok]").length == ` + fmt.Sprint(len(d.Nodes())))
	tab.Click(fmt.Sprintf(`[data-ip=%q]`, address))
	tab.Until(fmt.Sprintf(`document.querySelector("#path[open] .chain")?.innerText.includes(%q)`, address))
	tab.Until(`!document.querySelector("#path .chain [data-state=trouble]")`)
	d.loadBalancer("passing", nil)
	tab.Until(row("passing") + `?.innerText.includes("192.168.")`)
	d.delete("passing")
	tab.Until(`!` + row("passing"))
}
