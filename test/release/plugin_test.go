package release

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"text/template"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// contentOf has the files of a compressed archive, by name, and their modes.
func contentOf(t *testing.T, path string) (map[string][]byte, map[string]int64) {
	t.Helper()
	file, err := os.Open(path)
	must(t, err)
	defer file.Close()
	plain, err := gzip.NewReader(file)
	must(t, err)
	files, modes := map[string][]byte{}, map[string]int64{}
	for r := tar.NewReader(plain); ; {
		header, err := r.Next()
		if err == io.EOF {
			return files, modes
		}
		must(t, err)
		files[header.Name], err = io.ReadAll(r)
		must(t, err)
		modes[header.Name] = header.Mode
	}
}

func TestAnArchiveOfThePluginHasTheProgramOfItsPlatformItsCompletionAndTheLicense(t *testing.T) {
	r, dir := released(t), t.TempDir()
	paths, err := r.Image.WritePlugins(dir, r.PluginPlatforms)
	must(t, err)
	if len(paths) != len(r.PluginPlatforms) {
		t.Fatal(paths)
	}
	for i, platform := range r.PluginPlatforms {
		files, modes := contentOf(t, paths[i])
		want, err := os.ReadFile(r.Image.binary(platform, plugin))
		must(t, err)
		if !bytes.Equal(files[plugin], want) || modes[plugin] != 0o755 || !strings.Contains(string(files["LICENSE"]), "Apache License") || len(files) != 3 {
			t.Errorf("%s: %d files with modes %v", platform, len(files), modes)
		}
		if !strings.HasPrefix(string(files[completion]), "#!/bin/sh\n") || modes[completion] != 0o755 {
			t.Errorf("%s: the script for completion has mode %o:\n%s", platform, modes[completion], files[completion])
		}
	}
}

func TestAPluginThatDoesNotBelongIsRefused(t *testing.T) {
	linux, darwin := v1.Platform{OS: "linux", Architecture: "amd64"}, v1.Platform{OS: "darwin", Architecture: "arm64"}
	for want, spoiled := range map[string]struct {
		platform v1.Platform
		spoil    func(*Build)
	}{
		"no such file":   {darwin, func(b *Build) { must(t, os.Remove(b.binary(darwin, plugin))) }},
		"version v9.8.6": {linux, func(b *Build) { b.Version = "v9.8.6" }},
		"GOOS=linux":     {darwin, func(b *Build) { must(t, os.Rename(b.binary(linux, plugin), b.binary(darwin, plugin))) }},
	} {
		b := built(t)
		spoiled.spoil(&b)
		if _, err := b.WritePlugins(t.TempDir(), []v1.Platform{spoiled.platform}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
}

// krewManifest has what krew needs of its manifest (https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/).
type krewManifest struct {
	APIVersion, Kind string
	Metadata         struct{ Name string }
	Spec             struct {
		Version, Homepage, ShortDescription, Description string
		Platforms                                        []struct {
			Selector         struct{ MatchLabels map[string]string }
			URI, SHA256, Bin string
		}
	}
}

// TestKrewFindsWhatAReleaseHas renders the manifest for krew as krew-release-bot does (its pkg/source/template.go): the bot knows
// the fields TagName and Version, and gives the checksum of what a URI has.
func TestKrewFindsWhatAReleaseHas(t *testing.T) {
	root, err := setup.Checkout()
	must(t, err)
	text, err := os.ReadFile(filepath.Join(root, ".krew.yaml"))
	must(t, err)
	const sum = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	values := map[string]string{"TagName": "v9.8.7"}
	render := func(text string) string {
		var out strings.Builder
		must(t, template.Must(template.New("").Option("missingkey=error").Funcs(template.FuncMap{"addURIAndSha": func(url, tag string) string {
			var uri strings.Builder
			must(t, template.Must(template.New("").Option("missingkey=error").Parse(url)).Execute(&uri, map[string]string{"TagName": tag}))
			return fmt.Sprintf("uri: %s\n    sha256: %s", &uri, sum)
		}}).Parse(text)).Execute(&out, values))
		return out.String()
	}
	var manifest krewManifest
	must(t, yaml.UnmarshalStrict([]byte(render(string(text))), &manifest))
	if manifest.APIVersion != "krew.googlecontainertools.github.com/v1alpha2" || manifest.Kind != "Plugin" || "kubectl-"+manifest.Metadata.Name != plugin ||
		manifest.Spec.Version != "v9.8.7" || manifest.Spec.ShortDescription == "" || manifest.Spec.Description == "" {
		t.Errorf("it is %+v", manifest)
	}
	var has []string
	for _, platform := range manifest.Spec.Platforms {
		labels := platform.Selector.MatchLabels
		archive := PluginPath("", v1.Platform{OS: labels["os"], Architecture: labels["arch"]})
		if want := manifest.Spec.Homepage + "/releases/download/v9.8.7/" + archive; platform.URI != want || platform.SHA256 != sum || platform.Bin != plugin {
			t.Errorf("%v: %+v, want %s", labels, platform, want)
		}
		has = append(has, labels["os"]+"/"+labels["arch"])
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	must(t, err)
	built := regexp.MustCompile(`(?m)^PLUGIN_PLATFORMS \?= (.*)$`).FindStringSubmatch(string(makefile))
	if built == nil || built[1] != strings.Join(has, " ") {
		t.Errorf("krew has %q, and the Makefile builds %q", has, built)
	}
}
