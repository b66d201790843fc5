package show

import (
	"strings"
	"testing"

	"github.com/clarionlb/clarion/internal/causes"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

func TestStatusNamesEveryObjectThatIsNotInForceAsItIsWritten(t *testing.T) {
	for _, cause := range causes.All() {
		if cause.Symptom != causes.NotAsWritten {
			continue
		}
		t.Run(cause.Name, func(t *testing.T) {
			found := causes.Produce(t, cause)
			taken := snapshot.Of(found.Objects...)
			taken.Events, taken.Time = found.Events, found.Now
			v := statusOf(taken.State())
			for _, shown := range cause.Shown {
				if shown.Column {
					continue
				}
				named := false
				for _, item := range v.Degraded {
					kind, name, _ := strings.Cut(item.Name, " ")
					named = named || strings.ToLower(kind)+"/"+name == shown.Object && item.Sentence != ""
				}
				if !named {
					t.Errorf("nothing is said of %s: %+v", shown.Object, v.Degraded)
				}
			}
		})
	}
}
