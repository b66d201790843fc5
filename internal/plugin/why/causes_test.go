package why

import (
	"slices"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/internal/causes"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// texts are the links of a Report, each with what it says of its items and what helps, and with names as
// causes have them of conditions: "Ready=False UnknownName".
func texts(r *Report) (list []string) {
	for _, l := range r.Links {
		text := l.Name + " " + l.Reason + ": " + l.Sentence + "; " + l.Remedy
		list = append(list, text)
		for _, i := range l.Items {
			list = append(list, i.Name+" "+i.Sentence+"; "+i.Remedy)
			text += "; " + i.Name + " " + i.Sentence + "; " + i.Remedy
		}
		list = append(list, text)
	}
	return list
}

func says(text string, words []string) bool {
	for _, w := range words {
		_, rest, found := strings.Cut(text, w)
		if !found {
			return false
		}
		text = rest
	}
	return true
}

func expectSaid(t *testing.T, r *Report, object string, words []string) {
	t.Helper()
	if all := texts(r); !slices.ContainsFunc(all, func(text string) bool { return says(text, words) }) {
		t.Errorf("of %s, nothing says %q:\n\t%s", object, words, strings.Join(all, "\n\t"))
	}
}

func TestEveryCauseAndItsFixIsNamedOfTheObjectThatShowsIt(t *testing.T) {
	for _, cause := range causes.All() {
		t.Run(cause.Name, func(t *testing.T) {
			found := causes.Produce(t, cause)
			taken := snapshot.Of(found.Objects...)
			taken.Events = found.Events
			taken.Time = found.Now
			state := taken.State()
			for _, shown := range cause.Shown {
				if shown.Column {
					continue
				}
				r, err := Find(state, "default", shown.Object)
				if err != nil {
					t.Fatal(err)
				}
				words := slices.Clone(shown.Words)
				if first := words[0]; !strings.ContainsAny(first, " =") || strings.HasPrefix(first, "event ") { // the reason of an event
					words = words[1:]
				}
				words[0] = strings.TrimPrefix(words[0], "LoadBalancer Source Ranges: ") // as kubectl describe has it
				expectSaid(t, r, shown.Object, words)
				if unknown := strings.HasPrefix(shown.Words[0], "LoadBalancer Source Ranges"); r.OK && !unknown && cause.Symptom != causes.WrongAnswer && shown.Object == cause.Shown[0].Object {
					t.Errorf("of %s it says that all is well: %s", shown.Object, r.Summary)
				}
			}
			for _, asked := range cause.Asked {
				r, err := Find(state, "default", asked.Object)
				if err != nil {
					t.Fatal(err)
				}
				expectSaid(t, r, asked.Object, asked.Words)
				if !slices.ContainsFunc(r.Links, func(l Link) bool { return l.Mark == Warning || l.Mark == Failed }) {
					t.Errorf("of %s it says that every link holds", asked.Object)
				}
			}
		})
	}
}
