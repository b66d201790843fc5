package plugin

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clarionlb/clarion/internal/plugin/archive"
)

// ReadFiles reads the objects of files, folders, URLs and support bundles (.tar.gz); "-" is the standard input. Lists are flattened.
// Objects of namespaced kinds that say no namespace are in "default".
func (e Env) ReadFiles(files resource.FilenameOptions) ([]unstructured.Unstructured, error) {
	objects, rest, err := readArchives(files.Filenames)
	if err != nil || len(rest) == 0 && len(objects) > 0 {
		return objects, err
	}
	files.Filenames = rest
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

// readArchives reads those files that are support bundles, and returns the names of the others.
func readArchives(names []string) (objects []unstructured.Unstructured, rest []string, err error) {
	for _, name := range names {
		if !strings.HasSuffix(name, ".tar.gz") {
			rest = append(rest, name)
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return nil, nil, err
		}
		found, err := archive.Objects(file)
		if err := errors.Join(err, file.Close()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, found...)
	}
	return objects, rest, nil
}

// namespaceOf is the namespace of objects in files that say none.
func namespaceOf(kind string) string {
	switch kind {
	case "Service", "EndpointSlice":
		return "default"
	}
	return ""
}
