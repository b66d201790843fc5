package dashboard

import (
	"context"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
)

// browser is a tab of a headless Chromium.
type browser struct {
	t   testing.TB
	ctx context.Context
}

// look is how the page is looked at.
type look struct {
	width, height int64
	dark          bool
	phone         bool
	scale         float64
}

var (
	desk  = look{width: 1440, height: 1000, scale: 1}
	night = look{width: 1440, height: 1000, scale: 1, dark: true}
	phone = look{width: 390, height: 844, scale: 2, phone: true}
)

// open opens a URL in a new browser. What the page complains about fails the test.
func open(t testing.TB, url string, as look) *browser {
	t.Helper()
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.NoSandbox, chromedp.Flag("lang", "en"))
	ctx, cancel := chromedp.NewExecAllocator(t.Context(), options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	b := &browser{t, ctx}
	// The context of the first call is that of the browser.
	b.do(chromedp.EmulateViewport(as.width, as.height, func(p *emulation.SetDeviceMetricsOverrideParams, _ *emulation.SetTouchEmulationEnabledParams) {
		p.DeviceScaleFactor, p.Mobile = as.scale, as.phone
	}))
	b.watchConsole()
	scheme := "light"
	if as.dark {
		scheme = "dark"
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	b.do(chromedp.Navigate(url), chromedp.WaitVisible(chromedp.CSS("#live[data-state=live]")))
	return b
}

// watchConsole has the test fail of what the browser complains about: exceptions, and what the policy of the page forbids.
func (b *browser) watchConsole() {
	messages := chromedp.Console(b.ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for message, err := range messages {
			if err != nil {
				return
			}
			if message.Type == "error" || message.Type == "exception" {
				b.t.Errorf("the browser complains: %v", message)
			}
		}
	}()
	b.t.Cleanup(func() {
		_ = chromedp.Cancel(b.ctx)
		<-done
	})
}

func (b *browser) do(actions ...chromedp.Action[chromedp.Void]) {
	b.t.Helper()
	if err := chromedp.Do(b.ctx, actions...); err != nil {
		b.t.Fatal(err)
	}
}

// eval returns what JavaScript comes to in the page.
func eval[T any](b *browser, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script))
	if err != nil {
		b.t.Fatalf("%s: %v", script, err)
	}
	return value
}

// until waits until JavaScript is true in the page.
func (b *browser) until(script string) {
	b.t.Helper()
	if _, err := chromedp.Run(b.ctx, chromedp.Poll[bool](script, chromedp.WithPollingTimeout(30*time.Second))); err != nil {
		b.t.Fatalf("%s: %v\n%s", script, err, eval[string](b, "document.body.innerText.slice(0, 2000)"))
	}
}
