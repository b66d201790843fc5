package release

import (
	"archive/tar"
	"bytes"
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

// plain and fips are the folders with the binaries for all tests.
var plain, fips string

// built returns a Build of programs that do nothing but say their version, with binaries of its own.
func built(t *testing.T) Build {
	t.Helper()
	b := Build{
		Version: version, Revision: "0123456789abcdef0123456789abcdef01234567", Created: time.Unix(1700000000, 0), Binaries: t.TempDir(),
		Platforms: []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "linux", Architecture: "arm64"}},
	}
	must(t, os.CopyFS(b.Binaries, os.DirFS(plain)))
	return b
}

// released returns a Release of such programs.
func released(t *testing.T) Release {
	t.Helper()
	r := Release{Image: built(t), FIPS: built(t), PluginPlatforms: []v1.Platform{{OS: "linux", Architecture: "amd64"}, {OS: "darwin", Architecture: "arm64"}}}
	r.FIPS.FIPS, r.FIPS.Binaries = true, fips
	return r
}

func TestMain(m *testing.M) {
	os.Exit(func() int {
		packed, err := chart.Load()
		if err == nil {
			version = packed.Metadata.AppVersion
			plain, err = os.MkdirTemp("", "binaries-")
		}
		fips = filepath.Join(plain, "fips")
		defer os.RemoveAll(plain)
		if err = errors.Join(err, compile(plain), compile(fips, "GOFIPS140=certified")); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return m.Run()
	}())
}

// compile puts the programs into a folder, as the Makefile does.
func compile(to string, env ...string) error {
	source, err := os.MkdirTemp("", "source-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(source)
	files := map[string]string{"go.mod": "module " + module + "\n\ngo 1.26\n"}
	for _, name := range append([]string{plugin}, Programs...) {
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
	for _, platform := range []string{"linux/amd64", "linux/arm64", "darwin/arm64"} {
		system, processor, _ := strings.Cut(platform, "/")
		cmd := exec.Command("go", "build", "-trimpath", "-buildvcs=false", "-o", filepath.Join(to, platform)+"/", "./cmd/...")
		cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=", "GOWORK=off", "GOOS="+system, "GOARCH="+processor)
		cmd.Env = append(cmd.Env, env...)
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
		r, dir := released(t), t.TempDir()
		r.Image.Binaries, r.FIPS.Binaries = t.TempDir(), t.TempDir()
		must(t, compile(r.Image.Binaries))
		must(t, compile(r.FIPS.Binaries, "GOFIPS140=certified"))
		paths, err := r.Write(dir)
		must(t, err)
		text, err := os.ReadFile(paths[len(paths)-1])
		must(t, err)
		sums = append(sums, string(text))
	}
	if sums[0] != sums[1] {
		t.Errorf("at first\n%s, then\n%s", sums[0], sums[1])
	}
}

func TestTheArchiveHasTheImageOfEveryPlatform(t *testing.T) {
	b := built(t)
	archive := filepath.Join(t.TempDir(), b.Archive())
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
		if m.ArtifactType != "" {
			t.Errorf("%s has artifactType %s, with which skopeo 1.9 does not keep the digest", m.Platform, m.ArtifactType)
		}
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
		"GOFIPS140=v1.0": func(b *Build) { b.Binaries = fips },
		"no such file":   func(b *Build) { must(t, os.Remove(b.binary(b.Platforms[1], Programs[0]))) },
	} {
		b := built(t)
		spoil(&b)
		if _, err := b.Write(t.TempDir()); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheFilesOfAReleaseAndTheirChecksums(t *testing.T) {
	r, dir := released(t), t.TempDir()
	paths, err := r.Write(dir)
	must(t, err)
	var names []string
	for _, path := range paths {
		names = append(names, filepath.Base(path))
	}
	want := []string{
		"clarion-" + strings.TrimPrefix(version, "v") + ".tgz",
		"clarion-" + version + "-fips-image.tar", "clarion-" + version + "-fips.cdx.json",
		"clarion-" + version + "-image.tar", "clarion-" + version + ".cdx.json",
		"clarion.yaml", "images.txt", "kubectl-clarion-darwin-arm64.tar.gz", "kubectl-clarion-linux-amd64.tar.gz", "SHA256SUMS",
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
	if got := strings.TrimSpace(string(images)); got != r.Image.Reference() {
		t.Errorf("the manifests have image %s, and it is %s", got, r.Image.Reference())
	}
	r.Image.Version = "v9.8.7"
	if _, err := r.Write(dir); err == nil || !strings.Contains(err.Error(), "the manifests are of "+version+", and the release is v9.8.7") {
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
