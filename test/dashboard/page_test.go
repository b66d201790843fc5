package dashboard

import (
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/loadbalancer"
	"github.com/clarionlb/clarion/test/browser"
)

func TestThePageShowsTheState(t *testing.T) {
	tab := browser.Open(t, serve(t, fixtureState()).URL(), isLive, browser.Desk)
	for what, script := range map[string]string{
		"Services": `document.querySelectorAll("#services tr").length == 200`,
		"the Service in trouble first": `document.querySelector("#services tr").innerText.includes("games/match-5")
			&& document.querySelector("#problems").innerText.includes("has no free IPv4 address")`,
		"nodes":                               `[...document.querySelectorAll(".node")].map((n) => n.dataset.state).join() == "ok,ok,ok,warning,trouble"`,
		"who has an address":                  `document.querySelector('[data-ip="192.168.10.5"]').title.includes("announced by node-3")`,
		"reserved":                            `document.querySelector('[data-ip="192.168.10.225"]').dataset.state == "reserved"`,
		"resting":                             `document.querySelector('[data-ip="192.168.10.61"]').dataset.state == "resting"`,
		"not announced":                       `document.querySelectorAll('#pools button[data-state=trouble]').length == 1`,
		"another pool's":                      `document.querySelectorAll('#pools button[data-state=contested]').length == 16`,
		"large pools":                         `document.querySelector("details.block").innerText.includes("14 assigned")`,
		"sessions":                            `document.querySelector("table.sessions").innerText.includes("connecting")`,
		"a dead node's addresses as one move": `document.querySelector("#moves").innerText.includes("33 addresses node-5 → node-1, node-2, node-3")`,
	} {
		if !browser.Eval[bool](tab, script) {
			t.Errorf("%s: %s", what, script)
		}
	}
}

func TestAClickShowsThePathOfAService(t *testing.T) {
	tab := browser.Open(t, serve(t, fixtureState()).URL(), isLive, browser.Desk)
	tab.Click(`[data-ip="192.168.10.5"]`)
	tab.Until(`document.querySelector("#path[open] .chain")?.innerText.includes("192.168.10.5")`)
	if !browser.Eval[bool](tab, `document.querySelectorAll(".cell.lit").length == 1 && location.hash.includes("search%2Fweb")`) {
		t.Error("its address is not marked in the pool, or not in the address of the page")
	}
	tab.Press(kb.Escape)
	tab.Until(`!document.querySelector("#path").open && location.hash == ""`)
	tab.Click(`[data-focus="games/match-5"]`)
	tab.Until(`document.querySelector("#path[open] .chain [data-state=trouble]")?.innerText.includes("has no free IPv4 address")`)
}

func TestTheKeyboardIsEnough(t *testing.T) {
	tab := browser.Open(t, serve(t, fixtureState()).URL(), isLive, browser.Desk)
	tab.Press("/")
	tab.Press("preview")
	tab.Until(`document.querySelectorAll("#services tr").length == 1 && document.querySelector("#found").innerText == "1 Service found"`)
	tab.Press(kb.Enter)
	tab.Until(`document.querySelector("#path[open] .chain")?.innerText.includes("no endpoint")`)
	tab.Press(kb.Escape)
	tab.Until(`!document.querySelector("#path").open`)
	browser.Eval[any](tab, `document.querySelector('[data-ip="192.168.10.1"]').focus()`)
	for _, key := range []string{kb.ArrowRight, kb.ArrowDown, kb.ArrowLeft, kb.ArrowRight, kb.Enter} {
		tab.Press(key)
	}
	// Two rows of sixteen are side by side.
	tab.Until(`document.activeElement.closest("#path") && document.querySelector("#path h2").innerText && document.querySelector('[data-ip="192.168.10.34"].lit')`)
	stops := browser.Eval[int](tab, `[...document.querySelectorAll("#pools .rows")].map((r) => r.querySelectorAll('[tabindex="0"]').length).reduce((a, b) => Math.max(a, b))`)
	if stops != 1 {
		t.Errorf("a pool has %d tab stops", stops)
	}
}

func TestThePageFollows(t *testing.T) {
	now := time.Now()
	d := serve(t, stateOf(fixture.New(now)))
	tab := browser.Open(t, d.URL(), isLive, browser.Desk)
	browser.Eval[any](tab, `document.querySelector('[data-ip="192.168.10.40"]').focus(), window.kept = document.querySelector("#services tr:nth-child(9)"), window.scrollTo(0, 300)`)
	var without []runtime.Object
	for _, o := range fixture.New(now) {
		if s, is := o.(*corev1.Service); !is || len(s.Status.LoadBalancer.Ingress) == 0 || s.Status.LoadBalancer.Ingress[0].IP != "192.168.10.41" {
			without = append(without, o)
		}
	}
	if err := d.Show(stateOf(without), ""); err != nil {
		t.Fatal(err)
	}
	tab.Until(`document.querySelector('[data-ip="192.168.10.41"]').dataset.state == "free"`)
	tab.Until(`document.querySelectorAll("#services tr").length == 199`)
	if !browser.Eval[bool](tab, `document.activeElement.dataset.ip == "192.168.10.40" && window.kept.isConnected && window.scrollY == 300`) {
		t.Error("the focus, or what has not changed, is another one")
	}
	if err := d.Show(stateOf(without), "nodes cannot be read: connection refused"); err != nil {
		t.Fatal(err)
	}
	tab.Until(`document.querySelector("#stale").innerText.includes("connection refused") && document.querySelector("#live").innerText.includes("stale")`)
}

func TestAPageThatHasLostThePluginSaysSo(t *testing.T) {
	var tab *browser.Tab
	t.Run("serve", func(t2 *testing.T) {
		tab = browser.Open(t, serve(t2, fixtureState()).URL(), isLive, browser.Desk)
	})
	tab.Ignore("net::ERR_CONNECTION_REFUSED", "net::ERR_INCOMPLETE_CHUNKED_ENCODING")
	tab.Until(`document.querySelector("#live").dataset.state == "lost" && !document.querySelector("#stale").hidden`)
}

func TestItFitsADeskAPhoneAndBothThemes(t *testing.T) {
	d := serve(t, fixtureState())
	tab := browser.Open(t, d.URL(), isLive, browser.Phone)
	if wide := browser.Eval[int](tab, `document.documentElement.scrollWidth`); wide > int(browser.Phone.Width) {
		t.Errorf("the page is %d wide: %v", wide, browser.Eval[[]string](tab, `[...document.querySelectorAll("body *")]
			.filter((e) => e.getBoundingClientRect().right > 391 && !e.closest(".scroll, .hidden")).map((e) => e.tagName + "." + e.className)`))
	}
	desk := browser.Open(t, d.URL(), isLive, browser.Desk)
	if clipped := browser.Eval[int](desk, `document.querySelector("#sessions").scrollWidth - document.querySelector("#sessions").clientWidth`); clipped > 0 {
		t.Errorf("%d pixels of the sessions of five nodes are out of sight", clipped)
	}
	dark := browser.Open(t, d.URL(), isLive, browser.Night)
	const background = `getComputedStyle(document.body).backgroundColor`
	if at := browser.Eval[string](dark, background); at != "rgb(16, 20, 27)" {
		t.Errorf("at night the background is %s", at)
	}
	dark.Click("#theme")
	dark.Until(background + ` == "rgb(244, 246, 249)"`)
	for name, tab := range map[string]*browser.Tab{"light": tab, "dark": browser.Open(t, d.URL(), isLive, browser.Night)} {
		for _, faint := range browser.Eval[[]string](tab, contrasts) {
			t.Errorf("%s: %s", name, faint)
		}
	}
}

// contrasts lists the texts that have less contrast than WCAG 2.2 asks for (1.4.3, AA).
const contrasts = `(() => {
	const channel = (c) => (c /= 255) <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
	const parse = (text) => text.match(/[\d.]+/g).map(Number);
	const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c; } };
	const found = new Set();
	for (const e of document.querySelectorAll("body *")) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.checkVisibility() || e.closest(".hidden, .skip, noscript")) continue;
		const [a, b] = [light(parse(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x), ratio = (a + 0.05) / (b + 0.05);
		if (ratio < 4.5) found.add(e.tagName + "." + e.className + " " + ratio.toFixed(2));
	}
	return [...found];
})()`

func TestScreenReadersHaveANameForEverything(t *testing.T) {
	tab := browser.Open(t, serve(t, fixtureState()).URL(), isLive, browser.Desk)
	nameless := browser.Eval[[]string](tab, `[...document.querySelectorAll("button, input, a, summary")]
		.filter((e) => !(e.getAttribute("aria-label") || e.innerText || e.textContent || e.labels?.length)).map((e) => e.outerHTML)`)
	for _, element := range nameless {
		t.Errorf("no name: %s", element)
	}
	if !browser.Eval[bool](tab, `document.documentElement.lang == "en" && Boolean(document.querySelector("main") && document.querySelector('[role=status]'))`) {
		t.Error("the page has no language, no main part or no status")
	}
}

// Whatever stands in an object is text. Names cannot have much in them, annotations and messages
// anything.
func TestScriptInObjectsIsText(t *testing.T) {
	const evil = `<img src=x onerror="window.owned=1"><script>window.owned=1</script>"'&lt;` + "`${window.owned=1}`" + `javascript:window.owned=1`
	objects := fixture.New(time.Now())
	for _, o := range objects {
		switch o := o.(type) {
		case *corev1.Service:
			switch o.Name {
			case "match-5":
				o.Name = evil
				o.Annotations[string(loadbalancer.AnnotationPool)] = evil
			case "match-4":
				o.Namespace = evil
			case "match-3":
				o.Annotations["clarionlb.io/"+evil] = evil
			}
		case *corev1.Event:
			o.Message += evil
		case *v1alpha1.BGPPeer:
			o.Spec.PeerAddress = evil
		case *v1alpha1.Announcer:
			for i := range o.Status.BGP.Peers {
				o.Status.BGP.Peers[i].LastError = evil
			}
			for i := range o.Status.Conditions {
				o.Status.Conditions[i].Reason, o.Status.Conditions[i].Message = "NoInterface"+evil, evil
			}
		case *v1alpha1.IPAddressPool:
			if o.Name == "small" {
				o.Name = evil
			}
		}
	}
	tab := browser.Open(t, serve(t, stateOf(objects)).URL(), isLive, browser.Desk)
	tab.Until(`document.querySelectorAll("#services tr").length == 200`)
	browser.Eval[any](tab, `[...document.querySelectorAll("#services tr")].find((r) => r.innerText.includes("onerror")).click()`)
	tab.Until(`document.querySelector("#path[open] h2").innerText.includes("onerror")`)
	tab.Until(`document.querySelector("#path .chain")`)
	if browser.Eval[bool](tab, `Boolean(window.owned || document.querySelector("main img, main script, #path img, #path script"))`) {
		t.Error("it has become part of the page")
	}
	if text := browser.Eval[string](tab, `document.body.innerText`); strings.Count(text, "<img src=x") < 5 {
		t.Errorf("the text is not there:\n%s", text)
	}
}
