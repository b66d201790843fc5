package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestAnArchiveHasWhatItsIndexNames(t *testing.T) {
	source := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(source, []byte("a program"), 0o600); err != nil {
		t.Fatal(err)
	}
	one := Image{Name: "example.com/one:1", User: "65532:65532", Entrypoint: []string{"/usr/bin/program"}, Files: []File{
		{Path: "/usr/bin/program", Source: source}, {Path: "/usr/bin/also", Link: "program"}, {Path: "/usr/bin/text", Content: "a text"},
	}}
	blobs := read(t, one, Image{Name: "example.com/two:2"})
	var index struct{ Manifests []descriptor }
	decode(t, blobs["index.json"], &index)
	if len(index.Manifests) != 2 || index.Manifests[0].Annotations[nameAnnotation] != one.Name {
		t.Fatalf("index of %v", index.Manifests)
	}
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	decode(t, blob(t, blobs, index.Manifests[0]), &manifest)
	var config struct {
		Config struct {
			User       string
			Entrypoint []string
		}
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	decode(t, blob(t, blobs, manifest.Config), &config)
	if config.Config.User != one.User || !slices.Equal(config.Config.Entrypoint, one.Entrypoint) || config.RootFS.DiffIDs[0] != manifest.Layers[0].Digest {
		t.Errorf("config %+v", config)
	}
	layer := blob(t, blobs, manifest.Layers[0])
	var names []string
	for reader := tar.NewReader(strings.NewReader(layer)); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, fmt.Sprintf("%s %o%s", h.Name, h.Mode, h.Linkname))
	}
	if want := []string{"tmp/ 1777", "usr/ 755", "usr/bin/ 755", "usr/bin/program 755", "usr/bin/also 777program", "usr/bin/text 644"}; !slices.Equal(names, want) {
		t.Errorf("layer of %q, want %q", names, want)
	}
}

func TestTheSameFilesMakeTheSameImage(t *testing.T) {
	image := func() Image {
		source := filepath.Join(t.TempDir(), "program") // with another time
		if err := os.WriteFile(source, []byte("a program"), 0o644); err != nil {
			t.Fatal(err)
		}
		return Image{Name: "example.com/one:1", Files: []File{{Path: "/program", Source: source}}}
	}
	if first, second := read(t, image())["index.json"], read(t, image())["index.json"]; first != second {
		t.Errorf("%s and %s", first, second)
	}
}

func TestAnImageOfAFileThatIsNotThereIsRefused(t *testing.T) {
	err := Write(filepath.Join(t.TempDir(), "archive"), Image{Name: "example.com/one:1", Files: []File{{Path: "/x", Source: "/nothing-here"}}})
	if err == nil || !strings.Contains(err.Error(), "example.com/one:1") || !strings.Contains(err.Error(), "nothing-here") {
		t.Error(err)
	}
}

// read writes an archive and returns its files.
func read(t *testing.T, images ...Image) map[string]string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "archive.tar")
	if err := Write(path, images...); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	files := map[string]string{}
	for reader := tar.NewReader(file); ; {
		h, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(reader)
		if err != nil {
			t.Fatal(err)
		}
		files[h.Name] = string(content)
	}
}

// blob returns the blob that a descriptor refers to, which must be as it says.
func blob(t *testing.T, files map[string]string, d descriptor) string {
	t.Helper()
	content, ok := files[blobPath(d.Digest)]
	if !ok || int64(len(content)) != d.Size || fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(content))) != d.Digest {
		t.Fatalf("%+v has %d bytes (there: %v)", d, len(content), ok)
	}
	return content
}

func decode(t *testing.T, content string, into any) {
	t.Helper()
	if err := json.Unmarshal([]byte(content), into); err != nil {
		t.Fatal(err)
	}
}
