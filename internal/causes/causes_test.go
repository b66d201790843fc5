package causes

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestWhatKubectlShowsNamesTheCauseAndTheFix(t *testing.T) {
	for _, cause := range All() {
		t.Run(cause.Name, func(t *testing.T) {
			found := Produce(t, cause)
			for _, s := range cause.Shown {
				if lines := found.Shown(s.Object); !slices.ContainsFunc(lines, func(line string) bool { return s.saidBy(line) }) {
					t.Errorf("of %s, nothing shows %q:\n\t%s", s.Object, s.Words, strings.Join(lines, "\n\t"))
				}
			}
			checkTruth(t, found)
		})
	}
}

// checkTruth checks that nothing that is shown says the opposite of anything else.
func checkTruth(t *testing.T, found *Found) {
	t.Helper()
	for _, s := range of[*corev1.Service](found.Objects) {
		events := found.EventsOf("service/" + s.Name)
		if len(events) == 0 {
			continue
		}
		last := events[len(events)-1]
		assigned := meta.IsStatusConditionTrue(s.Status.Conditions, v1alpha1.ConditionAddressAssigned)
		announced := meta.FindStatusCondition(s.Status.Conditions, v1alpha1.ConditionAnnounced)
		troubled := !assigned || announced != nil && announced.Status != "True"
		if troubled && last.Type != corev1.EventTypeWarning {
			t.Errorf("Service %s is in trouble, and the last event says %s: %s", s.Name, last.Reason, last.Message)
		}
		if pending := len(s.Status.LoadBalancer.Ingress) == 0; pending && announced != nil {
			t.Errorf("Service %s has no address, and says %s", s.Name, announced.Message)
		}
	}
	for _, p := range of[*v1alpha1.BGPPeer](found.Objects) {
		ready := meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionReady)
		if p.Status.Established == 0 && ready || p.Status.Established < p.Status.Nodes && meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionEstablished) {
			t.Errorf("%s sessions of BGPPeer %s, and it says %v", p.Status.Sessions, p.Name, p.Status.Conditions)
		}
	}
}

func TestWhereAllIsWellNothingSaysOtherwise(t *testing.T) {
	for name, routed := range map[string]bool{"layer 2": false, "BGP": true} {
		t.Run(name, func(t *testing.T) {
			found := Healthy(t, routed)
			for _, o := range found.Objects {
				for _, c := range conditionsOf(o) {
					if c.Status != "True" {
						t.Errorf("%s says %s=%s %s: %s", kindOf(o), c.Type, c.Status, c.Reason, c.Message)
					}
				}
			}
			for _, e := range found.Events {
				if e.Type != corev1.EventTypeNormal {
					t.Errorf("event %s: %s", e.Reason, e.Message)
				}
			}
			for _, cause := range All() {
				for _, s := range cause.Shown {
					if cause.Symptom != NotAsWritten && s.Object == web && slices.ContainsFunc(found.Shown(web), func(line string) bool { return says(line, s.Words) }) {
						t.Errorf("it shows %q", s.Words)
					}
				}
			}
		})
	}
}

// Users ask about the Service first: it says what is wrong, or the table says why it does not.
func TestOfEveryCauseTheServiceSaysSomethingOrTheTableWhyNot(t *testing.T) {
	for _, cause := range All() {
		said := slices.ContainsFunc(slices.Concat(cause.Shown, cause.Asked), func(s Shown) bool { return !s.Column && strings.HasPrefix(s.Object, "service/") })
		if said == (cause.Apart != "") {
			t.Errorf("%s: said of the Service: %v; why not: %q", cause.Name, said, cause.Apart)
		}
	}
}

func TestCausesHaveNamesOfTheirOwnAndAreFortyAtLeast(t *testing.T) {
	names := map[string]bool{}
	for _, cause := range All() {
		if names[cause.Name] || cause.Name == "" || cause.Fix == "" || len(cause.Shown) == 0 {
			t.Errorf("%q is there twice, or lacks something", cause.Name)
		}
		names[cause.Name] = true
	}
	if len(names) < 40 {
		t.Errorf("there are %d", len(names))
	}
}

const document = "../../docs/causes.md"

// TestTheDocumentHasAllCauses holds docs/causes.md against the list. With UPDATE=1 it writes the tables.
func TestTheDocumentHasAllCauses(t *testing.T) {
	const begin, end = "<!-- The tables are generated: UPDATE=1 go test ./internal/causes -run Document -->\n", "<!-- end of the tables -->\n"
	content, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, found := strings.Cut(string(content), begin)
	_, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		t.Fatalf("%s has no place for the tables", document)
	}
	want := before + begin + tables() + end + after
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(document, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(content) != want {
		t.Errorf("%s is out of date: UPDATE=1 go test ./internal/causes -run Document", document)
	}
}

// tables has a table for each symptom.
func tables() string {
	var b strings.Builder
	for _, symptom := range []struct {
		Symptom
		title string
	}{
		{Pending, "EXTERNAL-IP is pending"}, {NoAnswer, "There is an address, and it does not answer"},
		{WrongAnswer, "It answers, but not as it should"}, {NotAsWritten, "An object is not in force as it is written"},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n| Cause | What says so | What helps |\n|---|---|---|\n", symptom.title)
		for _, cause := range All() {
			if cause.Symptom != symptom.Symptom {
				continue
			}
			var shown []string
			for _, s := range cause.Shown {
				shown = append(shown, fmt.Sprintf("`%s`: %s", generic(s.Object), quoted(s.Words)))
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", cause.Name, strings.Join(shown, "; "), cause.Fix)
		}
	}
	return b.String() + "\n"
}

// generic leaves out the name of an object.
func generic(object string) string {
	kind, _, _ := strings.Cut(object, "/")
	return kind
}

func quoted(words []string) string {
	var parts []string
	for _, w := range words {
		w = strings.NewReplacer("Ready=False ", "", "Ready=False", "Ready", "event Warning ", "", "Established=False ", "", "Ready=Unknown ", "").Replace(w)
		if strings.HasSuffix(w, ": ") {
			w += "(empty)"
		}
		parts = append(parts, strings.ReplaceAll(w, "|", `\|`))
	}
	return "“" + strings.Join(parts, " … ") + "”"
}
