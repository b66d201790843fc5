package deadnodes

import (
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5e8, time.UTC)

func TestARecordIsReadAsItWasWritten(t *testing.T) {
	record := Record{"n2": noon, "a.example.com": noon.Add(-time.Hour)}
	lease := record.Lease(metav1.OwnerReference{Kind: "Node", Name: "n1"}, noon)
	if lease.Namespace != "clarion-system" || lease.Name != "n1" || *lease.Spec.HolderIdentity != "n1" || len(lease.OwnerReferences) != 1 {
		t.Errorf("the Lease is %v", lease)
	}
	if text := record.String(); text != "a.example.com=2026-01-02T11:00:00.5Z,n2=2026-01-02T12:00:00.5Z" {
		t.Errorf("the annotation is %q", text)
	}
	if got := Of(lease); !got.Equal(record) {
		t.Errorf("it reads %v", got)
	}
}

func TestWhatCannotBeReadOfARecordIsLeftOut(t *testing.T) {
	for text, want := range map[string]Record{
		"":                               {},
		",,=,":                           {},
		"n2":                             {},
		"n2=":                            {},
		"=2026-01-02T12:00:00.5Z":        {},
		"n2=yesterday,n3=" + noonText:    {"n3": noon},
		"n2=" + noonText + ",n3=" + "5s": {"n2": noon},
	} {
		lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{v1alpha1.AnnotationDeadNodes: text}}}
		if got := Of(lease); !got.Equal(want) {
			t.Errorf("%q reads %v, want %v", text, got, want)
		}
	}
}

const noonText = "2026-01-02T12:00:00.5Z"

func TestOnlyAnAnswerTakesARecordBack(t *testing.T) {
	later := noon.Add(time.Minute)
	for name, test := range map[string]struct {
		before          Record
		silent, unknown []string
		want            Record
	}{
		"nothing":                          {Record{}, nil, nil, Record{}},
		"a node that is found silent":      {Record{}, []string{"n2"}, nil, Record{"n2": later}},
		"one that still is":                {Record{"n2": noon}, []string{"n2"}, nil, Record{"n2": noon}},
		"one of which nothing is known":    {Record{"n2": noon}, nil, []string{"n2", "n3"}, Record{"n2": noon}},
		"one that answers, or is in sight": {Record{"n2": noon, "n3": noon}, nil, []string{"n3"}, Record{"n3": noon}},
	} {
		if got := test.before.Next(test.silent, test.unknown, later); !got.Equal(test.want) {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}
