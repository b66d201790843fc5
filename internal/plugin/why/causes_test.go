package why

import (
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/internal/causes"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// texts are the links of a Report, each with what it says of its items and what helps.
func texts(r *Report) (list []string) {
	for _, l := range r.Links {
		text := l.Sentence + "; " + l.Remedy
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

// about are the Reports of all Services and nodes.
func about(s *snapshot.State) (reports []*Report) {
	for _, service := range s.Services {
		reports = append(reports, Service(s, types.NamespacedName{Namespace: service.Namespace, Name: service.Name}))
	}
	for _, node := range s.Announced.Nodes() {
		reports = append(reports, Node(s, node))
	}
	return reports
}

func TestEveryCauseAndItsFixIsNamed(t *testing.T) {
	for _, cause := range causes.All() {
		t.Run(cause.Name, func(t *testing.T) {
			found := causes.Produce(t, cause)
			taken := snapshot.Of(found.Objects...)
			taken.Time = found.Now
			var all []string
			for _, r := range about(taken.State()) {
				all = append(all, texts(r)...)
			}
			shown := cause.Shown[0]
			if first := shown.Words[0]; !strings.Contains(first, " ") || strings.HasPrefix(first, "event ") { // the reason
				shown.Words = shown.Words[1:]
			}
			shown.Words[0] = strings.TrimPrefix(shown.Words[0], "LoadBalancer Source Ranges: ") // as kubectl describe has it
			if !slices.ContainsFunc(all, func(text string) bool { return says(text, shown.Words) }) {
				t.Errorf("of %s, nothing says %q:\n\t%s", shown.Object, shown.Words, strings.Join(all, "\n\t"))
			}
			for _, never := range cause.Never {
				if i := slices.IndexFunc(all, func(text string) bool { return says(text, never.Words) }); i >= 0 {
					t.Errorf("it says %q", all[i])
				}
			}
		})
	}
}
