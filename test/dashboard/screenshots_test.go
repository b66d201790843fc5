package dashboard

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

var pictures = flag.String("pictures", "", "write pictures of the page into this folder")

func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("-pictures says where to")
	}
	url := os.Getenv("DASH_URL")
	for name, as := range map[string]look{"dashboard-light": desk, "dashboard-dark": night, "dashboard-phone": phone} {
		b := open(t, url, as)
		b.save(name)
		b.do(chromedp.Evaluate[chromedp.Void](`location.hash = "service=games/match-5"`), chromedp.WaitVisible(chromedp.CSS("#path .chain")))
		b.save(name + "-path")
	}
	open(t, url, look{width: 1440, height: 2200, scale: 1}).save("dashboard-all")
	open(t, url, look{width: 390, height: 4200, scale: 1, phone: true}).save("dashboard-phone-all")
}

func (b *browser) save(name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err == nil {
		err = os.WriteFile(filepath.Join(*pictures, name+".png"), png, 0o644)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}
