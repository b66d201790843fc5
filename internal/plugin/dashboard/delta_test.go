package dashboard

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/clarionlb/clarion/internal/plugin/dashboard/fixture"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// tree is what encoding/json reads of a value, or of a json.RawMessage.
func tree(t interface{ Fatal(...any) }, value any) (out any) {
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// applied is what page/delta.js does.
func applied(before, d any) any {
	change := d.(map[string]any)
	if value, is := change["="]; is {
		return value
	}
	if steps, is := change["l"].([]any); is {
		list, at := []any{}, 0
		for _, step := range steps {
			if n, is := step.(float64); is {
				if n > 0 {
					list = append(list, before.([]any)[at:at+int(n)]...)
				}
				at += int(max(n, -n))
			} else if item, is := step.(map[string]any)["="]; is {
				list = append(list, item)
			} else {
				list = append(list, applied(before.([]any)[at], step))
				at++
			}
		}
		return list
	}
	object := maps.Clone(before.(map[string]any))
	for key, d := range change["o"].(map[string]any) {
		object[key] = applied(object[key], d)
	}
	removed, _ := change["x"].([]any)
	for _, key := range removed {
		delete(object, key.(string))
	}
	return object
}

func TestADeltaSaysNoMoreThanWhatChanges(t *testing.T) {
	for _, tt := range []struct{ before, after, want string }{
		{`{"a":1,"b":[1,2]}`, `{"a":1,"b":[1,2]}`, `null`},
		{`{"a":1,"b":{"c":true}}`, `{"a":2,"b":{"c":true}}`, `{"o":{"a":{"=":2}}}`},
		{`{"a":1}`, `{"b":null}`, `{"o":{"b":{"=":null}},"x":["a"]}`},
		{`[{"name":"a"},{"name":"b","n":1},{"name":"c"}]`, `[{"name":"a"},{"name":"b","n":2},{"name":"c"}]`, `{"l":[1,{"o":{"n":{"=":2}}},1]}`},
		{`[{"name":"a"},{"name":"b"},{"name":"c"}]`, `[{"name":"a"},{"name":"c"}]`, `{"l":[1,-1,1]}`},
		{`[{"name":"a"},{"name":"b"},{"name":"c"}]`, `[{"name":"c"},{"name":"a"},{"name":"b"}]`, `{"l":[{"=":{"name":"c"}},2,-1]}`},
		{`[{"name":"a"}]`, `[{"name":"a"},{"name":"a"}]`, `{"l":[1,{"=":{"name":"a"}}]}`},
		{`[null,{"ip":"1","n":1}]`, `[null,{"ip":"1","n":2}]`, `{"l":[1,{"o":{"n":{"=":2}}}]}`},
		{`["x","y","z"]`, `["x","v","z"]`, `{"l":[1,-1,{"=":"v"},1]}`},
		{`["x"]`, `{"x":1}`, `{"=":{"x":1}}`},
	} {
		got, err := json.Marshal(deltaOf(tree(t, json.RawMessage(tt.before)), tree(t, json.RawMessage(tt.after))))
		if err != nil || string(got) != tt.want {
			t.Errorf("%s to %s: %s, want %s (%v)", tt.before, tt.after, got, tt.want, err)
		}
	}
}

func TestAnyTreeBecomesAnyOther(t *testing.T) {
	var value func(depth int) *rapid.Generator[any]
	value = func(depth int) *rapid.Generator[any] {
		return rapid.Custom(func(t *rapid.T) any {
			kind := rapid.IntRange(0, 4).Draw(t, "kind")
			switch {
			case kind == 0 || depth == 0:
				return rapid.SampledFrom([]any{"", "x", "y", 1.0, 2.0, true, nil}).Draw(t, "scalar")
			case kind < 3:
				return rapid.SliceOfN(value(depth-1), 0, 6).Draw(t, "list")
			}
			object := map[string]any{}
			for _, key := range rapid.SliceOf(rapid.SampledFrom([]string{"name", "ip", "n", "words", "cells"})).Draw(t, "keys") {
				object[key] = value(depth-1).Draw(t, key)
			}
			return object
		})
	}
	rapid.Check(t, func(t *rapid.T) {
		before, after := tree(t, value(4).Draw(t, "before")), tree(t, value(4).Draw(t, "after"))
		d := deltaOf(before, after)
		if same := reflect.DeepEqual(before, after); same != (d == nil) {
			t.Fatalf("the same is %v, the delta %v", same, d)
		}
		if d == nil {
			return
		}
		if got := applied(before, tree(t, d)); !reflect.DeepEqual(got, after) {
			t.Fatalf("%v becomes %v and not %v by %v", before, got, after, d)
		}
	})
}

func TestWhatOneServiceChangesIsToldInFewBytes(t *testing.T) {
	now := time.Now()
	overview := func(objects int, without int) any {
		all := fixture.Large(now, objects)
		taken := snapshot.Of(all...)
		taken.Services[without].Status.LoadBalancer.Ingress = nil
		taken.Time = now
		return tree(t, overviewOf("c", taken.State()))
	}
	for _, services := range []int{100, 1000} {
		text, err := json.Marshal(deltaOf(overview(services, 17), overview(services, 71)))
		if err != nil {
			t.Fatal(err)
		}
		if len(text) > 6000 {
			t.Errorf("of %d Services, two that change take %d bytes: %s", services, len(text), fmt.Sprintf("%.3000s", text))
		}
	}
}
