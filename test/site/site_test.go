package site

import (
	"net/url"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	isID   = regexp.MustCompile(` id="([^"]+)"`)
	isHref = regexp.MustCompile(` href="([^"]+)"`)
	// isLoaded is what a page has a browser load.
	isLoaded = regexp.MustCompile(`<(?:link|script|img|iframe)[^>]* (?:src|href)="([^"]+)"`)
)

// build makes the site of this repository, and returns the pages by their paths in it.
func build(t *testing.T) map[string]string {
	t.Helper()
	folder := t.TempDir()
	if err := Build("../..", folder); err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{}
	for _, pattern := range []string{"*.html", "*/*.html"} {
		files, err := filepath.Glob(filepath.Join(folder, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(folder, file)
			pages[filepath.ToSlash(name)] = string(text)
		}
	}
	for _, name := range append(copied, "search.js") {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			t.Error(err)
		}
	}
	return pages
}

func TestEveryLinkOfTheSiteLeadsToAPageAndAHeading(t *testing.T) {
	pages := build(t)
	if len(pages) < 50 {
		t.Errorf("there are %d pages", len(pages))
	}
	ids := map[string]map[string]bool{}
	for name, text := range pages {
		ids[name] = map[string]bool{}
		for _, id := range isID.FindAllStringSubmatch(text, -1) {
			if ids[name][id[1]] {
				t.Errorf("%s has two elements with the ID %s", name, id[1])
			}
			ids[name][id[1]] = true
		}
	}
	for name, text := range pages {
		for _, href := range isHref.FindAllStringSubmatch(text, -1) {
			to, anchor, _ := strings.Cut(href[1], "#")
			if strings.Contains(to, ":") || strings.HasSuffix(to, ".css") {
				continue
			}
			page := name
			if to != "" {
				page = path.Join(path.Dir(name), to)
			}
			if anchor, _ = url.PathUnescape(anchor); pages[page] == "" || anchor != "" && !ids[page][anchor] {
				t.Errorf("%s links to %s", name, href[1])
			}
		}
	}
}

func TestTheSiteLoadsNothingFromElsewhere(t *testing.T) {
	for name, text := range build(t) {
		for _, loaded := range isLoaded.FindAllStringSubmatch(text, -1) {
			if strings.Contains(loaded[1], "//") && !strings.HasPrefix(loaded[1], "data:") {
				t.Errorf("%s loads %s", name, loaded[1])
			}
		}
	}
}

func TestALinkThatLeadsNowhereAndAPageThatNobodyFindsAreNamed(t *testing.T) {
	for _, tt := range []struct{ name, text, problem string }{
		{"docs/a.md", "# A\n\n[b](b.md)\n", "docs/a.md links to b.md"},
		{"docs/c.md", "# C\n", "docs/c.md is not in docs/README.md"},
		{"docs/a.md", "no title\n", "docs/a.md has no title"},
		{"docs/a.md", "# A\n\n![a drawing](a.svg)\n", "a.svg"},
	} {
		repository := t.TempDir()
		for name, text := range map[string]string{"docs/README.md": "# Home\n\n## Begin\n\n- [A](a.md)\n", "docs/a.md": "# A\n", tt.name: tt.text} {
			if err := write(filepath.Join(repository, name), []byte(text)); err != nil {
				t.Fatal(err)
			}
		}
		if err := Build(repository, t.TempDir()); err == nil || !strings.Contains(err.Error(), tt.problem) {
			t.Errorf("%q: %v", tt.text, err)
		}
	}
}
