// Package site makes a site of the repository's documents: HTML, one style sheet and one script, which need nothing from elsewhere and
// work from a folder too. The documents stay as GitHub shows them: their links become links of the site, and docs/README.md is both
// the first page and the navigation.
package site

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

//go:embed assets
var assets embed.FS

// asset are the files that are copied.
var copied = []string{"style.css", "site.js"}

// page is a document.
type page struct {
	// source is its path in the repository, and out that in the site.
	source, out string
	title       string
	body        template.HTML
	sections    []section
}

// section is what is below a heading, for the table of contents and the search.
type section struct {
	Level         int
	Title, Anchor string
	Text          string
}

// Build makes the site of the documents of a repository in a folder, which it replaces.
func Build(repository, folder string) error {
	pages, err := readAll(repository)
	if err != nil {
		return err
	}
	nav, err := readNavigation(repository)
	if err != nil {
		return err
	}
	if err := nav.complete(pages); err != nil {
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	for _, p := range pages {
		text, err := p.html(nav)
		if err == nil {
			err = write(filepath.Join(folder, p.out), text)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range copied {
		text, err := assets.ReadFile("assets/" + name)
		if err == nil {
			err = write(filepath.Join(folder, name), text)
		}
		if err != nil {
			return err
		}
	}
	index, err := searchIndex(pages)
	if err != nil {
		return err
	}
	return write(filepath.Join(folder, "search.js"), index)
}

func write(file string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	return os.WriteFile(file, text, 0o644)
}

// outOf is where a document is in the site: those of docs at the top, those of the root in a folder of their own.
func outOf(source string) string {
	out, inDocs := strings.CutPrefix(source, "docs/")
	if !inDocs {
		out = "project/" + source
	}
	if path.Base(out) == "README.md" && inDocs {
		return path.Join(path.Dir(out), "index.html")
	}
	return strings.TrimSuffix(out, ".md") + ".html"
}

// readAll reads the documents of the root and of docs, in the order of their paths.
func readAll(repository string) ([]*page, error) {
	var sources []string
	top, err := filepath.Glob(filepath.Join(repository, "*.md"))
	if err != nil {
		return nil, err
	}
	for _, file := range top {
		sources = append(sources, filepath.Base(file))
	}
	err = filepath.WalkDir(filepath.Join(repository, "docs"), func(file string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(file) != ".md" {
			return err
		}
		source, err := filepath.Rel(repository, file)
		sources = append(sources, filepath.ToSlash(source))
		return err
	})
	if err != nil {
		return nil, err
	}
	var pages []*page
	var problems []error
	for _, source := range sources {
		p, err := readPage(repository, source)
		pages, problems = append(pages, p), append(problems, err)
	}
	return pages, errors.Join(problems...)
}

// layout is the frame of every page.
var layout = template.Must(template.New("page.html").ParseFS(assets, "assets/page.html"))

// html is the page, with the navigation around it.
func (p *page) html(nav navigation) ([]byte, error) {
	up := strings.Repeat("../", strings.Count(p.out, "/"))
	before, after := nav.around(p)
	var b bytes.Buffer
	err := layout.Execute(&b, map[string]any{
		"Title": p.title, "Body": p.body, "Up": up, "Nav": nav.seenFrom(p, up), "Before": before.under(up), "After": after.under(up),
		"Sections": slices.DeleteFunc(slices.Clone(p.sections), func(s section) bool { return s.Level != 2 }),
		"Source":   repositoryURL + "/blob/main/" + p.source,
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.source, err)
	}
	return b.Bytes(), nil
}

// searchIndex is a script that says what is in the pages.
func searchIndex(pages []*page) ([]byte, error) {
	type entry struct {
		URL   string `json:"u"`
		Page  string `json:"p"`
		Title string `json:"t"`
		Text  string `json:"x"`
	}
	var all []entry
	for _, p := range pages {
		for _, s := range p.sections {
			url := p.out
			if s.Level > 1 {
				url += "#" + s.Anchor
			}
			all = append(all, entry{url, p.title, s.Title, s.Text})
		}
	}
	text, err := json.Marshal(all)
	return append(append([]byte("window.searchIndex = "), text...), ";\n"...), err
}
