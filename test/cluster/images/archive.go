// Package images makes container images out of programs of this machine, without a base and without
// a registry, for a runtime to import.
package images

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"runtime"
	"strings"
	"time"
)

// Image is a container image of one layer.
type Image struct {
	// Name is its full name with its tag.
	Name string
	// Files are what is in it, besides an empty /tmp. Their folders need not be named.
	Files []File
	// Entrypoint is the command; none leaves that to the container.
	Entrypoint []string
	// User is the user and the group that it runs as, by number; empty is root.
	User string
}

// File is a file of an image.
type File struct {
	// Path is where it is in the image.
	Path string
	// Source is the file of this machine that it is a copy of.
	Source string
	// Link makes it a symbolic link to this target; then there is no source.
	Link string
	// Content is what is in it if it has neither a source nor a target.
	Content string
}

// searchPath is where images have their programs.
const searchPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// descriptor refers to a blob (OCI Image Format Specification, descriptor.md).
type descriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *platform         `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
}

var ours = platform{Architecture: runtime.GOARCH, OS: "linux"}

// nameAnnotation is by what containerd takes the name of an image from an archive.
const nameAnnotation = "io.containerd.image.name"

// Write writes images to an archive in the OCI Image Layout (image-layout.md).
func Write(file string, images ...Image) error {
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	archive := tar.NewWriter(out)
	index := map[string]any{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json"}
	var manifests []descriptor
	for _, image := range images {
		manifest, err := image.write(archive)
		if err != nil {
			return fmt.Errorf("image %s: %w", image.Name, err)
		}
		manifests = append(manifests, manifest)
	}
	index["manifests"] = manifests
	content, err := json.Marshal(index)
	if err != nil {
		return err
	}
	return errors.Join(
		add(archive, "oci-layout", []byte(`{"imageLayoutVersion":"1.0.0"}`)),
		add(archive, "index.json", content),
		archive.Close(),
		out.Close(),
	)
}

// write writes the blobs of an image and returns its manifest.
func (i Image) write(archive *tar.Writer) (descriptor, error) {
	layer, err := i.writeLayer(archive)
	if err != nil {
		return descriptor{}, err
	}
	config, err := addJSON(archive, "application/vnd.oci.image.config.v1+json", map[string]any{
		"architecture": ours.Architecture,
		"os":           ours.OS,
		"config":       map[string]any{"Entrypoint": i.Entrypoint, "User": i.User, "Env": []string{"PATH=" + searchPath}, "WorkingDir": "/"},
		"rootfs":       map[string]any{"type": "layers", "diff_ids": []string{layer.Digest}},
	})
	if err != nil {
		return descriptor{}, err
	}
	manifest, err := addJSON(archive, "application/vnd.oci.image.manifest.v1+json", map[string]any{
		"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json", "config": config, "layers": []descriptor{layer},
	})
	manifest.Platform, manifest.Annotations = &ours, map[string]string{nameAnnotation: i.Name}
	return manifest, err
}

// writeLayer makes the layer twice: once for its digest, which is its name, and once to write it.
func (i Image) writeLayer(archive *tar.Writer) (descriptor, error) {
	hash, size := sha256.New(), new(counter)
	if err := i.layer(io.MultiWriter(hash, size)); err != nil {
		return descriptor{}, err
	}
	digest := fmt.Sprintf("sha256:%x", hash.Sum(nil))
	if err := archive.WriteHeader(header(blobPath(digest), int64(*size), 0o644)); err != nil {
		return descriptor{}, err
	}
	return descriptor{MediaType: "application/vnd.oci.image.layer.v1.tar", Digest: digest, Size: int64(*size)}, i.layer(archive)
}

// layer writes the image's files, each after the folders that it is in.
func (i Image) layer(w io.Writer) error {
	layer := tar.NewWriter(w)
	made := map[string]bool{"/": true}
	temporary := header("tmp/", 0, 0o1777)
	temporary.Typeflag = tar.TypeDir
	if err := layer.WriteHeader(temporary); err != nil {
		return err
	}
	for _, file := range i.Files {
		if err := folders(layer, made, path.Dir(file.Path)); err != nil {
			return err
		}
		if err := file.write(layer); err != nil {
			return err
		}
	}
	return layer.Close()
}

func folders(layer *tar.Writer, made map[string]bool, dir string) error {
	if made[dir] {
		return nil
	}
	if err := folders(layer, made, path.Dir(dir)); err != nil {
		return err
	}
	made[dir] = true
	h := header(dir+"/", 0, 0o755)
	h.Typeflag = tar.TypeDir
	return layer.WriteHeader(h)
}

func (f File) write(layer *tar.Writer) error {
	if f.Link != "" {
		h := header(f.Path, 0, 0o777)
		h.Typeflag, h.Linkname = tar.TypeSymlink, f.Link
		return layer.WriteHeader(h)
	}
	if f.Source == "" {
		return add(layer, strings.TrimPrefix(f.Path, "/"), []byte(f.Content))
	}
	source, err := os.Open(f.Source)
	if err != nil {
		return err
	}
	defer source.Close()
	info, err := source.Stat()
	if err != nil {
		return err
	}
	if err := layer.WriteHeader(header(f.Path, info.Size(), 0o755)); err != nil {
		return err
	}
	_, err = io.Copy(layer, source)
	return err
}

// header is that of a file with no owner but root and no time, so that the same files make the same
// image.
func header(name string, size, mode int64) *tar.Header {
	return &tar.Header{Name: strings.TrimPrefix(name, "/"), Size: size, Mode: mode, ModTime: time.Unix(0, 0), Format: tar.FormatPAX}
}

// addJSON adds a blob.
func addJSON(archive *tar.Writer, mediaType string, value any) (descriptor, error) {
	content, err := json.Marshal(value)
	if err != nil {
		return descriptor{}, err
	}
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(content))
	return descriptor{MediaType: mediaType, Digest: digest, Size: int64(len(content))}, add(archive, blobPath(digest), content)
}

// add adds a file that can be read.
func add(archive *tar.Writer, name string, content []byte) error {
	if err := archive.WriteHeader(header(name, int64(len(content)), 0o644)); err != nil {
		return err
	}
	_, err := io.Copy(archive, bytes.NewReader(content))
	return err
}

func blobPath(digest string) string {
	return "blobs/" + strings.Replace(digest, ":", "/", 1)
}

// counter counts what is written to it.
type counter int64

func (c *counter) Write(p []byte) (int, error) {
	*c += counter(len(p))
	return len(p), nil
}
