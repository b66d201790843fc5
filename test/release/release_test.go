package release

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/clarionlb/clarion/test/chart"
	"github.com/clarionlb/clarion/test/cluster/setup"
)

// version is that of the manifests.
var version string

// built returns a Build of programs that do nothing but say their version, with binaries of its own.
func built(t *testing.T) Build {
	t.Helper()
	b := Build{
		Version: version, Revision: "0123456789abcdef0123456789abcdef01234567", Created: time.Unix(1700000000, 0), Binaries: t.TempDir(),
		Platforms: []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	}
	must(t, os.CopyFS(b.Binaries, os.DirFS(compiled)))
	return b
}

// compiled has the binaries for all tests.
var compiled string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		packed, err := chart.Load()
		if err == nil {
			version = packed.Metadata.AppVersion
			compiled, err = os.MkdirTemp("", "binaries-")
		}
		defer os.RemoveAll(compiled)
		if err = errors.Join(err, compile(compiled, "amd64", "arm64")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// compile puts them into a folder, as the Makefile does.
func compile(to string, architectures ...string) error {
	source, err := os.MkdirTemp("", "source-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	files := map[string]string{"go.mod": "module " + module + "\n\ngo 1.26\n"}
	for _, name := range Programs {
		files["cmd/"+name+"/main.go"] = fmt.Sprintf(`package main

import "os"

func main() { os.Stdout.WriteString("%s of Clarion %s (go, linux)\n") }
`, name, version)
	}
	for name, text := range files {
		path := filepath.Join(source, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte(text), 0o644)); err != nil {
			return err
		}
	}
	for _, architecture := range architectures {
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(to, "linux", architecture)+"/", "./cmd/...")
		cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS=linux", "GOARCH="+architecture)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w\n%s", err, out)
		}
	}
	return nil
}
func write(t *testing.T, path, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(path), 0o755))
	must(t, os.WriteFile(path, []byte(text), 0o644))
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// unpacked returns the image in an archive.
func unpacked(t *testing.T, archive string) v1.ImageIndex {
	t.Helper()
	file, err := os.Open(archive)
	must(t, err)
	defer file.Close()
	dir := t.TempDir()
	for r := tar.NewReader(file); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		content, err := io.ReadAll(r)
		must(t, err)
		write(t, filepath.Join(dir, header.Name), string(content))
	}
	index, err := layout.ImageIndexFromPath(dir)
	must(t, err)
	return index
}

func TestTheSameCommitMakesTheSameBytes(t *testing.T) {
	var sums []string
	for range 2 {
		b, dir := built(t), t.TempDir()
		b.Binaries = t.TempDir()
		must(t, compile(b.Binaries, "amd64", "arm64"))
		must(t, b.WriteArchive(b.ArchivePath(dir)))
		must(t, b.WriteSBOM(filepath.Join(dir, "sbom")))
		_, err := chart.Release(dir, b.Created)
		must(t, err)
		entries, err := os.ReadDir(dir)
		must(t, err)
		var sum strings.Builder
		for _, entry := range entries {
			content, err := os.ReadFile(filepath.Join(dir, entry.Name()))
			must(t, err)
			fmt.Fprintf(&sum, "%s %x\n", entry.Name(), sha256.Sum256(content))
		}
		sums = append(sums, sum.String())
	}
	if sums[0] != sums[1] {
		t.Errorf("at first\n%s, then\n%s", sums[0], sums[1])
	}
}

func TestTheArchiveHasTheImageOfEveryPlatform(t *testing.T) {
	b := built(t)
	archive := b.ArchivePath(t.TempDir())
	must(t, b.WriteArchive(archive))
	outer := unpacked(t, archive)
	must(t, validate.Index(outer))
	manifest, err := outer.IndexManifest()
	must(t, err)
	if len(manifest.Manifests) != 1 || manifest.Manifests[0].Annotations["io.containerd.image.name"] != "ghcr.io/clarionlb/clarion:"+version {
		t.Fatalf("the archive has %+v", manifest.Manifests)
	}
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	must(t, err)
	manifest, err = index.IndexManifest()
	must(t, err)
	var platforms []string
	for _, m := range manifest.Manifests {
		platforms = append(platforms, m.Platform.String())
		image, err := index.Image(m.Digest)
		must(t, err)
		config, err := image.ConfigFile()
		must(t, err)
		if config.Architecture != m.Platform.Architecture || config.Config.User != User || !maps.Equal(config.Config.Labels, b.Labels()) ||
			!config.Created.Equal(b.Created) {
			t.Errorf("%s: %+v", m.Platform, config)
		}
		checkFiles(t, b, image, *m.Platform)
	}
	if want := []string{"linux/amd64", "linux/arm64"}; !slices.Equal(platforms, want) {
		t.Errorf("platforms %q, want %q", platforms, want)
	}
}

// checkFiles compares the files of an image with the binaries of its platform.
func checkFiles(t *testing.T, b Build, image v1.Image, platform v1.Platform) {
	t.Helper()
	files := mutate.Extract(image)
	defer files.Close()
	var names []string
	for r := tar.NewReader(files); ; {
		header, err := r.Next()
		if err == io.EOF {
			break
		}
		must(t, err)
		names = append(names, header.Name)
		got, err := io.ReadAll(r)
		must(t, err)
		want, err := os.ReadFile(b.binary(platform, header.Name))
		must(t, err)
		if !bytes.Equal(got, want) || header.Mode != 0o755 || header.Uid != 0 {
			t.Errorf("%s of %s: %d bytes, %+v", header.Name, platform, len(got), header)
		}
	}
	if !slices.Equal(names, Programs) {
		t.Errorf("%s has %q", platform, names)
	}
}

func TestABinaryThatDoesNotBelongIsRefused(t *testing.T) {
	move := func(b *Build, fromPlatform int, from string, toPlatform int, to string) {
		must(t, os.Rename(b.binary(b.Platforms[fromPlatform], from), b.binary(b.Platforms[toPlatform], to)))
	}
	for name, spoil := range map[string]func(b *Build){
		"version v9.8.6": func(b *Build) { b.Version = "v9.8.6" },
		"GOFIPS140":      func(b *Build) { b.FIPS = true },
		"GOARCH=arm64":   func(b *Build) { move(b, 1, Programs[0], 0, Programs[0]) },
		"want " + module: func(b *Build) { move(b, 1, Programs[1], 1, Programs[0]) },
		"no such file":   func(b *Build) { must(t, os.Remove(b.binary(b.Platforms[1], Programs[0]))) },
	} {
		b := built(t)
		spoil(&b)
		if _, err := b.Index(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheFilesOfAReleaseAndTheirChecksums(t *testing.T) {
	b, dir := built(t), t.TempDir()
	paths, err := b.Write(dir)
	must(t, err)
	var names []string
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	want := []string{
		"clarion-" + strings.TrimPrefix(version, "v") + ".tgz", "clarion-" + version + "-image.tar", "clarion-" + version + ".cdx.json",
		"clarion.yaml", "images.txt", "SHA256SUMS",
	}
	if !slices.Equal(names, want) {
		t.Errorf("%q, want %q", names, want)
	}
	check := exec.Command("sha256sum", "--check", "--strict", "SHA256SUMS")
	check.Dir = dir
	if out, err := check.CombinedOutput(); err != nil || strings.Count(string(out), "OK") != len(want)-1 {
		t.Errorf("%v\n%s", err, out)
	}
	images, err := os.ReadFile(filepath.Join(dir, "images.txt"))
	must(t, err)
	if got := strings.TrimSpace(string(images)); got != b.Reference() {
		t.Errorf("the manifests have image %s, and it is %s", got, b.Reference())
	}
	b.Version = "v9.8.7"
	if _, err := b.Write(dir); err == nil || !strings.Contains(err.Error(), "the manifests are of "+version+", and the release is v9.8.7") {
		t.Errorf("a release of another version than the manifests': %v", err)
	}
}

func TestTheBillOfMaterialsNamesWhatIsLinked(t *testing.T) {
	b, path := built(t), filepath.Join(t.TempDir(), "sbom")
	must(t, b.WriteSBOM(path))
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	var bom cyclonedx.BOM
	must(t, cyclonedx.NewBOMDecoder(file, cyclonedx.BOMFileFormatJSON).Decode(&bom))
	if got, want := bom.Metadata.Component.PackageURL, "pkg:golang/"+module+"@"+version; got != want {
		t.Errorf("it is of %s, want %s", got, want)
	}
	// These programs have no module but Go's own library.
	if got := (*bom.Components)[0].PackageURL; len(*bom.Components) != 1 || !strings.HasPrefix(got, "pkg:golang/std@1.") {
		t.Errorf("components %+v", *bom.Components)
	}
}

// TestTheDockerfileMakesTheSameImage compares the two descriptions of the image.
func TestTheDockerfileMakesTheSameImage(t *testing.T) {
	root, err := setup.Checkout()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	must(t, err)
	b := Build{Version: "v9.8.7", Revision: "0123", Created: time.Unix(1700000000, 0)}
	arguments := strings.NewReplacer("$VERSION", b.Version, "$REVISION", b.Revision, "$CREATED", "2023-11-14T22:13:20Z")
	labels := map[string]string{}
	for _, found := range regexp.MustCompile(`(org\.opencontainers\.\S+)="([^"]*)"`).FindAllStringSubmatch(string(text), -1) {
		labels[found[1]] = arguments.Replace(found[2])
	}
	if !maps.Equal(labels, b.Labels()) {
		t.Errorf("labels\n%v, want\n%v", labels, b.Labels())
	}
	var copied []string
	for _, name := range Programs {
		copied = append(copied, "bin/"+name)
	}
	for _, line := range []string{"COPY " + strings.Join(copied, " ") + " /", "USER " + User, "FROM scratch"} {
		if !slices.Contains(strings.Split(string(text), "\n"), line) {
			t.Errorf("there is no line %q", line)
		}
	}
}
