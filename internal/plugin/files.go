package plugin

import (
	"cmp"
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"
)

// ReadFiles reads the objects of files, folders and URLs; "-" is the standard input. Lists are flattened.
// Objects of namespaced kinds that say no namespace are in "default".
func (e Env) ReadFiles(files resource.FilenameOptions) ([]unstructured.Unstructured, error) {
	builder := resource.NewBuilder(e.Flags).Unstructured().Local().ContinueOnError()
	if slices.Contains(files.Filenames, "-") {
		files.Filenames = slices.DeleteFunc(slices.Clone(files.Filenames), func(name string) bool { return name == "-" })
		builder = builder.Stream(e.In, "the standard input")
	}
	if len(files.Filenames) > 0 {
		builder = builder.FilenameParam(false, &files)
	}
	infos, err := builder.Flatten().Do().Infos()
	if err != nil {
		return nil, err
	}
	var objects []unstructured.Unstructured
	for _, info := range infos {
		object, is := info.Object.(*unstructured.Unstructured)
		if !is {
			continue
		}
		object.SetNamespace(cmp.Or(object.GetNamespace(), namespaceOf(object.GetKind())))
		objects = append(objects, *object)
	}
	return objects, nil
}

// namespaceOf is the namespace of objects in files that say none.
func namespaceOf(kind string) string {
	switch kind {
	case "Service", "EndpointSlice":
		return "default"
	}
	return ""
}
