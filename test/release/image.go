package release

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Programs are those in the image, at its root. The Dockerfile names them, too.
var Programs = []string{"announcer", "cloud-controller-manager"}

// User is who runs them, unless the workload says otherwise: nobody in particular.
const User = "65532:65532"

// Build says which binaries are released, and as what.
type Build struct {
	// Version is the tag, such as v1.2.3, and Revision the commit.
	Version, Revision string
	// Created is when the commit was made.
	Created time.Time
	// FIPS says that the binaries were built with GOFIPS140.
	FIPS bool
	// Binaries is the folder that has those of each platform in one of its own: linux/amd64/announcer.
	Binaries string
	// Platforms are those that the image is for.
	Platforms []v1.Platform
}

// Tag is that of the image.
func (b Build) Tag() string {
	if b.FIPS {
		return b.Version + "-fips"
	}
	return b.Version
}

// Repository is the name of all images, without a tag.
const Repository = "ghcr.io/clarionlb/clarion"

// Reference is the full name of the image.
func (b Build) Reference() string { return Repository + ":" + b.Tag() }

// Labels are those of the image, as the OCI defines them:
// https://specs.opencontainers.org/image-spec/annotations/.
func (b Build) Labels() map[string]string {
	return map[string]string{
		"org.opencontainers.image.title":         "Clarion",
		"org.opencontainers.image.description":   "A load balancer for Kubernetes clusters on bare metal",
		"org.opencontainers.image.url":           "https://github.com/clarionlb/clarion",
		"org.opencontainers.image.source":        "https://github.com/clarionlb/clarion",
		"org.opencontainers.image.documentation": "https://github.com/clarionlb/clarion/tree/" + b.Version + "/docs",
		"org.opencontainers.image.licenses":      "Apache-2.0",
		"org.opencontainers.image.version":       b.Version,
		"org.opencontainers.image.revision":      b.Revision,
		"org.opencontainers.image.created":       b.Created.UTC().Format(time.RFC3339),
	}
}

// Index makes the image for all platforms.
func (b Build) Index() (v1.ImageIndex, error) {
	var images []mutate.IndexAddendum
	for _, platform := range b.Platforms {
		image, err := b.image(platform)
		if err != nil {
			return nil, fmt.Errorf("the image for %s: %w", platform, err)
		}
		images = append(images, mutate.IndexAddendum{Add: untyped{image}, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return mutate.Annotations(mutate.AppendManifests(empty.Index, images...), b.Labels()).(v1.ImageIndex), nil
}

// untyped is an image that an index lists without an artifactType, which says no more than mediaType. Older versions of skopeo do
// not know the field: they would leave it out, and so refuse to copy the index with its digest.
type untyped struct{ v1.Image }

func (untyped) ArtifactType() (string, error) { return "", nil }

func (b Build) image(platform v1.Platform) (v1.Image, error) {
	files, err := b.files(platform)
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(files)), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	created := v1.Time{Time: b.Created.UTC()}
	if image, err = mutate.ConfigFile(image, &v1.ConfigFile{
		OS: platform.OS, Architecture: platform.Architecture, Created: created,
		Config: v1.Config{User: User, WorkingDir: "/", Labels: b.Labels()},
		RootFS: v1.RootFS{Type: "layers"},
	}); err != nil {
		return nil, err
	}
	return mutate.Append(image, mutate.Addendum{Layer: layer, History: v1.History{Created: created, CreatedBy: "COPY announcer cloud-controller-manager /"}})
}

// files is the layer: the programs, sorted, all with the same owner and time.
func (b Build) files(platform v1.Platform) ([]byte, error) {
	var layer bytes.Buffer
	w := tar.NewWriter(&layer)
	for _, name := range Programs {
		content, err := os.ReadFile(b.binary(platform, name))
		if err != nil {
			return nil, err
		}
		if err := add(w, name, 0o755, b.Created, content); err != nil {
			return nil, err
		}
	}
	return layer.Bytes(), w.Close()
}

func (b Build) binary(platform v1.Platform, name string) string {
	return filepath.Join(b.Binaries, platform.OS, platform.Architecture, name)
}

func add(w *tar.Writer, name string, mode int64, at time.Time, content []byte) error {
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: mode, Size: int64(len(content)), ModTime: at, Format: tar.FormatUSTAR}); err != nil {
		return err
	}
	_, err := w.Write(content)
	return err
}

// Write writes the image of a release into a folder, and returns its path. The binaries have to be those of the release.
func (b Build) Write(dir string) (string, error) {
	path := filepath.Join(dir, b.Archive())
	if err := b.Check(); err != nil {
		return "", err
	}
	return path, b.WriteArchive(path)
}

// Archive is the name of the file that has the image.
func (b Build) Archive() string { return "clarion-" + b.Tag() + "-image.tar" }

// WriteArchive writes the image for all platforms, of whatever binaries there are, as one file that "ctr images import", "podman load" and
// "skopeo copy" read: the layout of the OCI in a tar archive.
func (b Build) WriteArchive(path string) error {
	index, err := b.Index()
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	written, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// The first is how containerd and Podman know the name, and the second is the OCI's.
	if err := written.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          b.Reference(),
		"org.opencontainers.image.ref.name": b.Tag(),
	})); err != nil {
		return err
	}
	return b.pack(dir, path)
}

// pack writes a folder as a tar archive.
func (b Build) pack(dir, path string) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	w := tar.NewWriter(file)
	// WalkDir sorts by name.
	if err := filepath.WalkDir(dir, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return add(w, filepath.ToSlash(name), 0o644, b.Created, content)
	}); err != nil {
		return err
	}
	if err := w.Close(); err != nil {
		return err
	}
	return file.Close()
}
