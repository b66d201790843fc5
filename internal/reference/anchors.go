package reference

import (
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

// inLink is the text of a link in a heading.
var inLink = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)

// Anchors are those of one document, as GitHub makes them.
type Anchors map[string]bool

// Of returns the anchor of the next heading, which is given as Markdown. It keeps letters, digits, "-"
// and "_", and makes spaces "-"; one that was there before gets a number.
func (a Anchors) Of(heading string) string {
	name := strings.Map(func(r rune) rune {
		switch {
		case r == ' ' || r == '-':
			return '-'
		case unicode.IsLetter(r) || unicode.IsDigit(r) || r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, inLink.ReplaceAllString(strings.TrimSpace(heading), "$1"))
	anchor := name
	for n := 1; a[anchor]; n++ {
		anchor = name + "-" + strconv.Itoa(n)
	}
	a[anchor] = true
	return anchor
}
