// Package browser is a headless Chromium for tests of pages.
package browser

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// Tab is a tab of a browser of its own.
type Tab struct {
	t   testing.TB
	ctx context.Context

	mu sync.Mutex
	// ignored are parts of complaints that are expected.
	ignored []string
}

// Look is how a page is looked at.
type Look struct {
	Width, Height int64
	// Dark says that the user prefers dark pages.
	Dark bool
	// Phone says that it is one: what is wider than the screen is not made to fit.
	Phone bool
	// Scale is how many pixels of a picture are one of the page.
	Scale float64
}

// A desk, a desk at night, and a phone.
var (
	Desk  = Look{Width: 1440, Height: 1000, Scale: 1}
	Night = Look{Width: 1440, Height: 1000, Scale: 1, Dark: true}
	Phone = Look{Width: 390, Height: 844, Scale: 2, Phone: true}
)

// Open opens a URL in a new browser, and returns when selector is visible. The test fails of what the
// browser complains about.
func Open(t testing.TB, url, selector string, as Look) *Tab {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("lang", "en"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	tab := &Tab{t: t, ctx: ctx}
	// The context of the first call is that of the browser.
	tab.Do(chromedp.EmulateViewport(as.Width, as.Height, func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.DeviceScaleFactor, p.Mobile = as.Scale, as.Phone
	}))
	tab.watchConsole()
	scheme := "light"
	if as.Dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	tab.Do(chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS(selector)))
	return tab
}

// watchConsole has the test fail of what the browser complains about: exceptions, and what the policy
// of the page forbids.
func (tab *Tab) watchConsole() {
	messages := chromedp.Console(tab.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for message, err := range messages {
			if err != nil {
				return
			}
			if (message.Type == "error" || message.IsException()) && !tab.ignores(message.String()) {
				tab.t.Errorf("the browser complains: %v", message)
			}
		}
	}()
	tab.t.Cleanup(func() {
		_ = chromedp.Cancel(tab.ctx)
		<-done
	})
}

// Ignore has the test not fail of complaints from now on that have one of these texts in them.
func (tab *Tab) Ignore(texts ...string) {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	tab.ignored = append(tab.ignored, texts...)
}

func (tab *Tab) ignores(complaint string) bool {
	tab.mu.Lock()
	defer tab.mu.Unlock()
	return slices.ContainsFunc(tab.ignored, func(text string) bool { return strings.Contains(complaint, text) })
}

// Do does something in the page.
func (tab *Tab) Do(actions ...chromedp.Action[chromedp.Void]) {
	tab.t.Helper()
	if err := chromedp.Do(tab.ctx, actions...); err != nil {
		tab.t.Fatal(err)
	}
}

// Eval returns what JavaScript comes to in the page.
func Eval[T any](tab *Tab, script string) T {
	tab.t.Helper()
	value, err := chromedp.Run(tab.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		tab.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// Until waits until JavaScript is true in the page.
func (tab *Tab) Until(script string) {
	tab.t.Helper()
	if _, err := chromedp.Run(tab.ctx, chromedp.Poll[bool]("Boolean("+script+")", chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		tab.t.Fatalf("%s: %v\n%s", script, err, Eval[string](tab, "document.body.innerText.slice(0, 2000)"))
	}
}

// Click clicks on the first element of a CSS selector.
func (tab *Tab) Click(selector string) {
	tab.t.Helper()
	tab.Do(chromedp.Click(chromedp.CSS(selector), chromedp.NodeVisible))
}

// Press presses a key in the element that has the focus.
func (tab *Tab) Press(key string) {
	tab.t.Helper()
	tab.Do(chromedp.KeyEvent(key))
}

// Picture is the page as it is on the screen, as a PNG file.
func (tab *Tab) Picture() []byte {
	tab.t.Helper()
	png, err := chromedp.Run(tab.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		tab.t.Fatal(err)
	}
	return png
}
