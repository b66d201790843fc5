package migrate

import (
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// field carries one field of another load balancer's object over into a spec of Clarion's.
type field func(b *builder, from Ref, spec map[string]any, value any)

// fields are those of an object by name. One that is not among them is not carried over, and there is a remark.
type fields map[string]field

func (f fields) and(others fields) fields {
	all := maps.Clone(f)
	maps.Copy(all, others)
	return all
}

// keep is for a field that is the same here. It is kept by carry, which knows its name.
var keep field

// drop leaves a field out that means nothing here.
func drop(*builder, Ref, map[string]any, any) {}

// carry plans the object of the same kind, name and labels.
func (b *builder) carry(object *unstructured.Unstructured, known fields) {
	from, spec := refOf(object), map[string]any{}
	given, _, _ := unstructured.NestedMap(object.Object, "spec")
	for _, name := range slices.Sorted(maps.Keys(given)) {
		value := given[name]
		carry, isKnown := known[name]
		switch {
		case value == nil, value == "":
		case !isKnown:
			b.remark(Lost, from, "spec.%s is not carried over: Clarion has nothing like it", name)
		case carry == nil:
			if list, isList := value.([]any); !isList || len(list) > 0 {
				spec[name] = value
			}
		default:
			carry(b, from, spec, value)
		}
	}
	b.add(object.GetKind(), object.GetName(), from, ownLabels(object.GetLabels()), spec)
}

// ownLabels are those that say something about the object, and not who has applied it.
func ownLabels(labels map[string]string) map[string]string {
	own := map[string]string{}
	for key, value := range labels {
		if !strings.HasPrefix(key, "app.kubernetes.io/") && !strings.HasPrefix(key, "helm.sh/") {
			own[key] = value
		}
	}
	return own
}

// stringsOf are the texts of a list.
func stringsOf(value any) []string {
	var texts []string
	list, _ := value.([]any)
	for _, item := range list {
		if text, is := item.(string); is {
			texts = append(texts, text)
		}
	}
	return texts
}

// numberOf is a number as JSON and YAML have it.
func numberOf(value any) (int64, bool) {
	switch number := value.(type) {
	case int64:
		return number, true
	case float64:
		return int64(number), true
	case int:
		return int64(number), true
	}
	return 0, false
}
