package validate

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/internal/plugin/manifest"
)

// Severity is how much a Problem matters.
type Severity string

const (
	// Error : the API server refuses the object, or Clarion cannot use it as it is written.
	Error Severity = "error"
	// Warning : something is ignored, or there is something missing that may be in the cluster.
	Warning Severity = "warning"
)

// Problem is something that is wrong with an object.
type Problem struct {
	File string `json:"file"`
	Line int    `json:"line"`
	Kind string `json:"kind,omitempty"`
	// Namespace is "" for objects that are in none.
	Namespace string `json:"namespace,omitempty"`
	Name      string `json:"name,omitempty"`
	// Field is a path such as spec.addresses[1]; "" if the object as a whole is meant.
	Field    string   `json:"field,omitempty"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
}

// about makes a Problem of a field of an object.
func about(o *manifest.Object, severity Severity, field, message string) Problem {
	return Problem{
		File: o.File, Line: o.Line(field), Kind: o.GetKind(), Namespace: o.GetNamespace(), Name: o.GetName(),
		Field: field, Severity: severity, Message: message,
	}
}

// said makes a Problem of what the components say. They name the field in the sentence.
func said(o *manifest.Object, severity Severity, sentence string) Problem {
	return about(o, severity, o.FieldOf(sentence), sentence)
}

func (p Problem) String() string {
	name := p.Name
	if p.Namespace != "" {
		name = p.Namespace + "/" + name
	}
	where := strings.TrimSpace(p.Kind + " " + name)
	if p.Field != "" && !strings.Contains(p.Message, p.Field) {
		where += ": " + p.Field
	}
	return fmt.Sprintf("%s:%d: %s: %s: %s", p.File, p.Line, p.Severity, where, p.Message)
}

// sortProblems orders them by file, as these were given, and line.
func sortProblems(problems []Problem, files []string) {
	slices.SortStableFunc(problems, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(slices.Index(files, a.File), slices.Index(files, b.File)), cmp.Compare(a.Line, b.Line))
	})
}
