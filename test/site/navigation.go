package site

import (
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// entry is a page in the navigation. The zero entry is none.
type entry struct {
	Title, URL string
	Current    bool
}

// under is the entry with its link from a page that is so far below the top.
func (e entry) under(up string) entry {
	if e.URL != "" {
		e.URL = up + e.URL
	}
	return e
}

// group is a part of the navigation.
type group struct {
	Title   string
	Entries []entry
}

type navigation []group

var isEntry = regexp.MustCompile(`^- \[([^\]]+)\]\(([^)#]+)\)`)

// readNavigation reads the lists of docs/README.md: each heading is a group.
func readNavigation(repository string) (navigation, error) {
	text, err := os.ReadFile(filepath.Join(repository, "docs/README.md"))
	if err != nil {
		return nil, err
	}
	var nav navigation
	for line := range strings.Lines(string(text)) {
		if title, is := strings.CutPrefix(line, "## "); is {
			nav = append(nav, group{Title: strings.TrimSpace(title)})
		}
		if link := isEntry.FindStringSubmatch(line); link != nil && len(nav) > 0 {
			last := &nav[len(nav)-1]
			last.Entries = append(last.Entries, entry{Title: link[1], URL: outOf(path.Join("docs", link[2]))})
		}
	}
	return nav, nil
}

// entries are all, in order.
func (n navigation) entries() []entry {
	var all []entry
	for _, g := range n {
		all = append(all, g.Entries...)
	}
	return all
}

// complete says which pages nobody finds: each has to be in the navigation, or below a page that is the index of its folder.
func (n navigation) complete(pages []*page) error {
	var problems []error
	has := func(url string) bool {
		return slices.ContainsFunc(n.entries(), func(e entry) bool { return e.URL == url })
	}
	for _, p := range pages {
		if !has(p.out) && !has(path.Join(path.Dir(p.out), "index.html")) && p.out != "index.html" && !strings.HasPrefix(p.out, "project/") {
			problems = append(problems, fmt.Errorf("%s is not in docs/README.md", p.source))
		}
	}
	return errors.Join(problems...)
}

// at is where a page is among the entries: itself, or the index of its folder; -1 if it is not.
func (n navigation) at(p *page) int {
	all := n.entries()
	at := slices.IndexFunc(all, func(e entry) bool { return e.URL == p.out })
	if at < 0 {
		at = slices.IndexFunc(all, func(e entry) bool { return e.URL == path.Join(path.Dir(p.out), "index.html") })
	}
	return at
}

// seenFrom is the navigation of a page, which is so far below the top.
func (n navigation) seenFrom(p *page, up string) navigation {
	current, i := n.at(p), 0
	var seen navigation
	for _, g := range n {
		of := group{Title: g.Title}
		for _, e := range g.Entries {
			e = e.under(up)
			e.Current = i == current
			of.Entries = append(of.Entries, e)
			i++
		}
		seen = append(seen, of)
	}
	return seen
}

// around are the pages before and after one.
func (n navigation) around(p *page) (before, after entry) {
	all, at := n.entries(), n.at(p)
	if p.out == "index.html" {
		at = -1
	} else if at < 0 || all[at].URL != p.out {
		return before, after
	}
	if at > 0 {
		before = all[at-1]
	}
	if at+1 < len(all) {
		after = all[at+1]
	}
	return before, after
}
