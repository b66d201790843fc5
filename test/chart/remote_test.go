package chart

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// TestWhatKustomizeFetchesByATagIsWhatACheckoutHas has kustomize fetch the repository by the address that documents name, with git, which
// goes to a repository on this machine in its place.
func TestWhatKustomizeFetchesByATagIsWhatACheckoutHas(t *testing.T) {
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	repository, folder := t.TempDir(), t.TempDir()
	serveManifests(t, root, repository, "v0.1.0")
	overlays, err := filepath.Glob(filepath.Join(root, "manifests", "overlays", "*"))
	if err != nil || len(overlays) == 0 {
		t.Fatal(overlays, err)
	}
	remote := map[string]string{"manifests": "resources: ['https://github.com/clarionlb/clarion//manifests?ref=v0.1.0']\n"}
	for _, overlay := range overlays {
		path := "manifests/overlays/" + filepath.Base(overlay)
		remote[path] = "resources: ['https://github.com/clarionlb/clarion//" + path + "?ref=v0.1.0']\n"
	}
	local := map[string]string{}
	for path := range remote {
		local[path] = "resources: [" + checkoutFrom(t, folder) + "/" + path + "]\n"
	}
	remote["docs/install.md"], local["docs/install.md"] = string(exampleOverlay(t, "install.md")), string(shownOverlay(t, "install.md", folder))
	for path := range remote {
		patient := strings.ReplaceAll(remote[path], "?ref=v0.1.0", "?ref=v0.1.0&timeout=10m") // kustomize waits for git for 27 s
		want, got := buildText(t, folder, local[path]), buildText(t, folder, patient)
		if !bytes.Equal(want, got) {
			t.Errorf("%s of the repository is\n%s\nand of a checkout\n%s", path, got, want)
		}
	}
}

// serveManifests makes a repository that has the manifests of a checkout as a tag, and has git go there for this project, and nowhere else.
func serveManifests(t *testing.T, root, repository, tag string) {
	t.Helper()
	if err := os.CopyFS(filepath.Join(repository, "manifests"), os.DirFS(filepath.Join(root, "manifests"))); err != nil {
		t.Fatal(err)
	}
	for _, arguments := range []string{
		"init --quiet", "add .", "-c user.name=test -c user.email=test@example.com commit --quiet --message=manifests", "tag " + tag,
		"rm --quiet -r .", "-c user.name=test -c user.email=test@example.com commit --quiet --message=later", // what has no tag is another one
	} {
		command := exec.Command("git", append([]string{"-C", repository}, strings.Fields(arguments)...)...)
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("git %s: %v\n%s", arguments, err, out)
		}
	}
	for name, value := range map[string]string{
		"GIT_CONFIG_COUNT": "1", "GIT_CONFIG_KEY_0": "url.file://" + repository + ".insteadOf", "GIT_CONFIG_VALUE_0": "https://github.com/clarionlb/clarion",
		"GIT_ALLOW_PROTOCOL": "file",
	} {
		t.Setenv(name, value)
	}
}

// buildText builds a kustomization that is in no file, for a folder.
func buildText(t *testing.T, folder, kustomization string) []byte {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(kustomization), 0o644); err != nil {
		t.Fatal(err)
	}
	built, err := build(folder)
	if err != nil {
		t.Fatal(err)
	}
	return built
}
