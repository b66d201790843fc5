// Package archive reads the objects that a support bundle has.
package archive

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"path"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/internal/plugin/manifest"
)

// Folder is where the objects are in a support bundle, below its first folder.
const Folder = "objects"

// Objects are those in a support bundle.
func Objects(from io.Reader) (objects []unstructured.Unstructured, err error) {
	compressed, err := gzip.NewReader(from)
	if err != nil {
		return nil, fmt.Errorf("not a support bundle: %w", err)
	}
	for files := tar.NewReader(compressed); ; {
		header, err := files.Next()
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read the support bundle: %w", err)
		}
		if path.Base(path.Dir(header.Name)) != Folder {
			continue
		}
		text, err := io.ReadAll(files)
		if err != nil {
			return nil, fmt.Errorf("read the support bundle: %w", err)
		}
		found, err := manifest.Parse(header.Name, text)
		if err != nil {
			return nil, fmt.Errorf("read the support bundle: %w", err)
		}
		for _, o := range found {
			objects = append(objects, o.Unstructured)
		}
	}
}
