package validate

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/clarionlb/clarion/internal/plugin/manifest"
	"github.com/clarionlb/clarion/internal/plugin/schema"
)

// Result is what was found out about some objects.
type Result struct {
	Problems []Problem `json:"problems"`
	// Checked is how many objects were looked at, and Skipped how many are of kinds that Clarion does not read.
	Checked int `json:"checked"`
	Skipped int `json:"skipped"`
}

// Count is how many problems of a severity there are.
func (r *Result) Count(severity Severity) (n int) {
	for _, p := range r.Problems {
		if p.Severity == severity {
			n++
		}
	}
	return n
}

// Check judges objects without a cluster: each by its schema, and all together by what the components would make of them.
func Check(ctx context.Context, schemas schema.Schemas, objects []manifest.Object) *Result {
	r := &Result{Problems: []Problem{}}
	var files []string
	var valid []*manifest.Object
	for i := range objects {
		o := &objects[i]
		if !slices.Contains(files, o.File) {
			files = append(files, o.File)
		}
		problems, ours := checkOne(ctx, schemas, o)
		if !ours {
			r.Skipped++
			continue
		}
		r.Checked++
		r.Problems = append(r.Problems, problems...)
		if first := sameName(valid, o); first != nil {
			r.Problems = append(r.Problems, about(o, Error, "metadata.name",
				fmt.Sprintf("%s:%d has the same object: of two, the last one that is applied is all that remains", first.File, first.Line(""))))
			continue
		}
		if !slices.ContainsFunc(problems, func(p Problem) bool { return p.Severity == Error }) {
			valid = append(valid, o)
		}
	}
	r.Problems = append(r.Problems, checkTogether(valid)...)
	sortProblems(r.Problems, files)
	return r
}

// sameName is the one of some objects that has the kind and the name of another; nil if none has.
func sameName(objects []*manifest.Object, o *manifest.Object) *manifest.Object {
	for _, other := range objects {
		if o.GetName() != "" && o.GroupVersionKind() == other.GroupVersionKind() && o.GetNamespace() == other.GetNamespace() && o.GetName() == other.GetName() {
			return other
		}
	}
	return nil
}

// checkOne judges an object alone, and sets its defaults. It returns false for one of a kind that Clarion does not read.
func checkOne(ctx context.Context, schemas schema.Schemas, o *manifest.Object) (problems []Problem, ours bool) {
	kind := o.GroupVersionKind()
	switch group, known := schemas.Known(kind); {
	case known:
		return checkSchema(ctx, schemas, o), true
	case group:
		return []Problem{about(o, Error, "kind", fmt.Sprintf("there is no kind %s in %s", kind.Kind, kind.GroupVersion()))}, true
	}
	switch kind {
	case corev1.SchemeGroupVersion.WithKind("Service"):
		o.SetNamespace(cmp.Or(o.GetNamespace(), metav1.NamespaceDefault))
		return checkType(o, &corev1.Service{}), true
	case corev1.SchemeGroupVersion.WithKind("Namespace"):
		return checkType(o, &corev1.Namespace{}), true
	}
	return nil, false
}

func checkSchema(ctx context.Context, schemas schema.Schemas, o *manifest.Object) (problems []Problem) {
	for _, unknown := range schemas.Unknown(&o.Unstructured) {
		problems = append(problems, about(o, Error, unknown, "unknown field"))
	}
	schemas.Default(&o.Unstructured)
	for _, wrong := range schemas.Validate(ctx, &o.Unstructured) {
		problems = append(problems, about(o, Error, wrong.Field, wrong.ErrorBody()))
	}
	return problems
}

// checkType reads an object of Kubernetes into its type.
func checkType(o *manifest.Object, into any) (problems []Problem) {
	if o.GetName() == "" && o.GetGenerateName() == "" {
		problems = append(problems, about(o, Error, "metadata.name", string(field.ErrorTypeRequired)))
	}
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(o.Object, into, true)
	strict, isStrict := runtime.AsStrictDecodingError(err)
	switch {
	case err == nil:
	case !isStrict:
		problems = append(problems, about(o, Error, "", err.Error()))
	default:
		for _, e := range strict.Errors() {
			problems = append(problems, said(o, Error, e.Error()))
		}
	}
	return problems
}
