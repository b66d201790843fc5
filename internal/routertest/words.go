package routertest

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// submatch is what the parentheses of a pattern match, or empty.
func submatch(pattern *regexp.Regexp, text string) string {
	if match := pattern.FindStringSubmatch(text); match != nil {
		return strings.TrimSpace(match[1])
	}
	return ""
}

// asPath reads a sequence of autonomous systems, as in "65000 65000".
func asPath(text string) ([]uint32, error) {
	var path []uint32
	for _, word := range strings.Fields(text) {
		asn, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("the AS path %q: %w", text, err)
		}
		path = append(path, uint32(asn))
	}
	return path, nil
}

// tuples reads communities as BIRD shows them, "(65000,7) (65000, 1, 2)".
func tuples(text string) []string {
	var all []string
	for _, tuple := range regexp.MustCompile(`\(([^)]*)\)`).FindAllStringSubmatch(text, -1) {
		all = append(all, strings.Join(strings.FieldsFunc(tuple[1], func(r rune) bool { return r == ',' || r == ' ' }), ":"))
	}
	return all
}

// joined writes communities, "65000:1:2".
func joined(communities [][]uint32) []string {
	var all []string
	for _, parts := range communities {
		words := make([]string, len(parts))
		for i, part := range parts {
			words[i] = strconv.FormatUint(uint64(part), 10)
		}
		all = append(all, strings.Join(words, ":"))
	}
	return all
}

// shutdownMessage reads a NOTIFICATION in hexadecimal, without its header. Of a Cease it returns the
// text (RFC 9003, section 2), which follows the code, the subcode and its own length.
func shutdownMessage(body string) string {
	raw, err := hex.DecodeString(strings.TrimPrefix(body, "0x"))
	if err != nil || len(raw) < 3 || len(raw) < 3+int(raw[2]) {
		return ""
	}
	return string(raw[3 : 3+raw[2]])
}
