package dashboard

import (
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/clarionlb/clarion/test/browser"
)

var pictures = flag.String("pictures", "", "write the pictures of the documentation into this folder")

// TestPictures makes the pictures of the documentation: "make pictures".
func TestPictures(t *testing.T) {
	if *pictures == "" {
		t.Skip("-pictures says where to")
	}
	url := serve(t, fixtureState()).URL()
	for _, picture := range []struct {
		name, hash string
		as         browser.Look
	}{
		{"dashboard", "", browser.Desk},
		{"dashboard-dark", "", browser.Night},
		{"dashboard-path", "service=games/match-5", browser.Desk},
		{"dashboard-phone", "", browser.Phone},
		{"dashboard-phone-path", "service=games/match-5", browser.Phone},
	} {
		tab := browser.Open(t, url, isLive, picture.as)
		if picture.hash != "" {
			browser.Eval[any](tab, `location.hash = "`+picture.hash+`"`)
			tab.Until(`document.querySelector("#path .chain")`)
		}
		if err := os.WriteFile(filepath.Join(*pictures, picture.name+".png"), tab.Picture(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}
