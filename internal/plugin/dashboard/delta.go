package dashboard

import (
	"slices"
	"strconv"
	"strings"
)

// A delta says how one tree of JSON becomes another. applied, in page/delta.js, carries it out.
//
//	{"=": value}                the value itself
//	{"o": {key: delta, ...},    an object, in which these members become others
//	 "x": [key, ...]}           and these go
//	{"l": [step, ...]}          a list, step by step: n > 0 keeps the next n items, n < 0 leaves out the next -n,
//	                            {"=": item} puts one in, and any other delta changes the next item
type delta map[string]any

const (
	deltaValue   = "="
	deltaObject  = "o"
	deltaRemoved = "x"
	deltaList    = "l"
)

// deltaOf is how before becomes after, trees as encoding/json makes them; nil if they are the same.
func deltaOf(before, after any) delta {
	switch a := after.(type) {
	case map[string]any:
		if b, is := before.(map[string]any); is {
			return objectDelta(b, a)
		}
	case []any:
		if b, is := before.([]any); is {
			return listDelta(b, a)
		}
	default:
		if isScalar(before) && before == after {
			return nil
		}
	}
	return delta{deltaValue: after}
}

func isScalar(value any) bool {
	switch value.(type) {
	case map[string]any, []any:
		return false
	}
	return true
}

func objectDelta(before, after map[string]any) delta {
	changed := map[string]delta{}
	for key, a := range after {
		b, was := before[key]
		if !was {
			changed[key] = delta{deltaValue: a}
		} else if d := deltaOf(b, a); d != nil {
			changed[key] = d
		}
	}
	var removed []string
	for key := range before {
		if _, stays := after[key]; !stays {
			removed = append(removed, key)
		}
	}
	if len(changed) == 0 && len(removed) == 0 {
		return nil
	}
	d := delta{deltaObject: changed}
	if len(removed) > 0 {
		slices.Sort(removed)
		d[deltaRemoved] = removed
	}
	return d
}

func listDelta(before, after []any) delta {
	stays := common(before, after)
	steps, at, changes := []any{}, 0, false
	step := func(n int) { // joins what is kept, or left out, one after another
		if last, is := lastStep(steps).(int); is && n != 0 && (last > 0) == (n > 0) {
			steps[len(steps)-1] = last + n
		} else if n != 0 {
			steps = append(steps, n)
		}
	}
	for i, item := range after {
		from, kept := stays[i]
		if !kept {
			steps, changes = append(steps, delta{deltaValue: item}), true
			continue
		}
		if from > at {
			step(at - from)
			changes = true
		}
		if d := deltaOf(before[from], item); d == nil {
			step(1)
		} else if _, whole := d[deltaValue]; whole { // a scalar, in a list of one length
			step(-1)
			steps, changes = append(steps, d), true
		} else {
			steps, changes = append(steps, d), true
		}
		at = from + 1
	}
	if at < len(before) {
		step(at - len(before))
		changes = true
	}
	if !changes {
		return nil
	}
	return delta{deltaList: steps}
}

func lastStep(steps []any) any {
	if len(steps) == 0 {
		return nil
	}
	return steps[len(steps)-1]
}

// common says which items of after are which of before, so that as many as can be stay in their order. Items without an identity are
// those at the same place, if the lists are as long.
func common(before, after []any) map[int]int {
	if len(before) == len(after) && (slices.ContainsFunc(before, anonymous) || slices.ContainsFunc(after, anonymous)) {
		same := map[int]int{}
		for i := range after {
			same[i] = i
		}
		return same
	}
	places := map[string]int{}
	for i, key := range identities(before) {
		places[key] = i
	}
	var items, from []int
	for i, key := range identities(after) {
		if place, was := places[key]; was {
			items, from = append(items, i), append(from, place)
		}
	}
	stays := map[int]int{}
	for _, k := range increasing(from) {
		stays[items[k]] = from[k]
	}
	return stays
}

// identifying are the members that tell an item of a list from the others, whatever else of it changes.
var identifying = []string{"name", "ip", "range", "from", "label", "node", "family", "kind", "key"}

func anonymous(item any) bool { return identity(item) == "" }

func identity(item any) string {
	object, _ := item.(map[string]any)
	var b strings.Builder
	for _, member := range identifying {
		if text, is := object[member].(string); is {
			b.WriteString(text + "\x00")
		}
	}
	return b.String()
}

// identities are those of the items of a list. Of several with one identity, each is told by its number.
func identities(items []any) []string {
	keys, seen := make([]string, len(items)), map[string]int{}
	for i, item := range items {
		key := identity(item)
		keys[i] = key + strconv.Itoa(seen[key])
		seen[key]++
	}
	return keys
}

// increasing returns the places of a longest increasing subsequence (patience sorting).
func increasing(values []int) []int {
	var ends []int // the place of the least value with which a subsequence of each length ends
	before := make([]int, len(values))
	for i, value := range values {
		n, _ := slices.BinarySearchFunc(ends, value, func(end, value int) int { return values[end] - value })
		before[i] = -1
		if n > 0 {
			before[i] = ends[n-1]
		}
		if n == len(ends) {
			ends = append(ends, i)
		} else {
			ends[n] = i
		}
	}
	places := make([]int, len(ends))
	for i := len(ends) - 1; i >= 0; i-- {
		if i == len(ends)-1 {
			places[i] = ends[i]
		} else {
			places[i] = before[places[i+1]]
		}
	}
	return places
}
