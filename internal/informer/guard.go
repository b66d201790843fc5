package informer

import (
	"reflect"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/guard"
)

// guarded is a handler that may panic.
type guarded struct{ next cache.ResourceEventHandler }

func (g guarded) OnAdd(object any, isInInitialList bool) {
	guard.Run("api", nameOf(object), func() { g.next.OnAdd(object, isInInitialList) })
}

func (g guarded) OnUpdate(before, after any) {
	guard.Run("api", nameOf(after), func() { g.next.OnUpdate(before, after) })
}

func (g guarded) OnDelete(object any) {
	guard.Run("api", nameOf(object), func() { g.next.OnDelete(object) })
}

func guardedTransform(transform cache.TransformFunc) cache.TransformFunc {
	return func(object any) (out any, err error) {
		if guard.Run("api", nameOf(object), func() { out, err = transform(object) }) != nil {
			return object, nil
		}
		return out, err
	}
}

// nameOf is the kind and the name of an object.
func nameOf(object any) string {
	if unknown, is := object.(cache.DeletedFinalStateUnknown); is {
		object = unknown.Obj
	}
	o, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	return describe(object, types.NamespacedName{Namespace: o.GetNamespace(), Name: o.GetName()})
}

// describe names an object by its kind, which may be nil, and its name.
func describe(object any, name types.NamespacedName) string {
	return Kind(object) + " " + strings.TrimPrefix(name.String(), "/")
}

// Kind is that of an object, which may be a nil pointer.
func Kind(object any) string {
	kind := reflect.TypeOf(object)
	if kind.Kind() == reflect.Pointer {
		kind = kind.Elem()
	}
	return kind.Name()
}
