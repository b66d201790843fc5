package chart

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"helm.sh/helm/v4/pkg/chart/v2/loader"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

func TestTheFilesOfARelease(t *testing.T) {
	dir := t.TempDir()
	paths, err := Release(dir, time.Unix(1700000000, 0))
	if err != nil || len(paths) != 3 {
		t.Fatalf("%v, %v", paths, err)
	}
	manifest, err := os.ReadFile(filepath.Join(dir, "clarion.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	written := objects{}
	written.parse(t, manifest)
	if len(written) != len(kustomized(t, "overlays/default")) {
		t.Errorf("clarion.yaml has %d objects", len(written))
	}
	images, err := os.ReadFile(filepath.Join(dir, "images.txt"))
	if err != nil {
		t.Fatal(err)
	}
	if want := "ghcr.io/clarionlb/clarion:" + version(t) + "\n"; string(images) != want {
		t.Errorf("the images are %q, want %q", images, want)
	}
	// In the archive, files stand in place of the links.
	archived, err := loader.Load(filepath.Join(dir, "clarion-"+strings.TrimPrefix(version(t), "v")+".tgz"))
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(archived.Files) != len(checkout.Files) || len(archived.Files) < 20 {
		t.Errorf("the archive has %d files, the chart %d", len(archived.Files), len(checkout.Files))
	}
}

// version is that which the Makefile builds.
func version(t *testing.T) string {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	return string(regexp.MustCompile(`(?m)^VERSION \?= (.*)$`).FindSubmatch(makefile)[1])
}

func TestOneVersionEverywhere(t *testing.T) {
	want := version(t)
	chart, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	if chart.Metadata.AppVersion != want || "v"+chart.Metadata.Version != want {
		t.Errorf("the chart is of %s, version %s, want %s", chart.Metadata.AppVersion, chart.Metadata.Version, want)
	}
	for key, object := range kustomized(t, ".") {
		if got := object.GetLabels()["app.kubernetes.io/version"]; got != want {
			t.Errorf("%s is of version %q, want %s", key, got, want)
		}
	}
	for document, named := range documentedVersions(t) {
		for _, got := range named {
			if "v"+strings.TrimPrefix(got, "v") != want {
				t.Errorf("%s names %s, want %s", document, got, want)
			}
		}
	}
}

// documentedVersions are those of Clarion that documents name, by document.
func documentedVersions(t *testing.T) map[string][]string {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile(`(?:ref=|/download/|[Cc]larion[-: ]|targetRevision: |tag: |tag .*|origin |checkout )(v?\d+\.\d+\.\d+)`)
	versions := map[string][]string{}
	for _, pattern := range []string{"README.md", "RELEASING.md", "docs/*.md", "docs/*/*.md"} {
		paths, err := filepath.Glob(filepath.Join(root, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, path := range paths {
			if filepath.Base(path) == "kubectl-clarion.md" {
				continue // shows a cluster that does not exist
			}
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			for _, found := range named.FindAllStringSubmatch(string(text), -1) {
				versions[filepath.Base(path)] = append(versions[filepath.Base(path)], found[1])
			}
		}
	}
	if len(versions) < 5 {
		t.Errorf("only %d documents name a version", len(versions))
	}
	return versions
}

// TestWhatTheDocumentationSaysOfKustomizeBuilds builds the overlay that docs/install.md shows, from this
// checkout in place of the repository.
func TestWhatTheDocumentationSaysOfKustomizeBuilds(t *testing.T) {
	dir := t.TempDir()
	local := shownOverlay(t, "install.md", dir)
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), local, 0o644); err != nil {
		t.Fatal(err)
	}
	built, err := build(dir)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(string(built), "name: KUBERNETES_SERVICE_HOST"); got != 2 {
		t.Errorf("%d workloads know where the API server is, want 2", got)
	}
	for _, part := range []string{"kind: PodDisruptionBudget", "kind: ServiceMonitor", "replicas: 2"} {
		if !strings.Contains(string(built), part) {
			t.Errorf("there is no %s", part)
		}
	}
}

// shownOverlay is the overlay that a page shows, for a folder and with this checkout in place of the repository.
func shownOverlay(t *testing.T, page, dir string) []byte {
	t.Helper()
	return regexp.MustCompile(`https://github.com/clarionlb/clarion//(\S+)\?ref=\S+`).ReplaceAll(exampleOverlay(t, page), []byte(checkoutFrom(t, dir)+"/$1"))
}

// exampleOverlay is the overlay that a page shows.
func exampleOverlay(t *testing.T, page string) []byte {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(root, "docs", page))
	if err != nil {
		t.Fatal(err)
	}
	example := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindSubmatch(text)
	if example == nil {
		t.Fatalf("docs/%s shows no overlay", page)
	}
	return example[1]
}

// checkoutFrom is the path of this checkout from a folder.
func checkoutFrom(t *testing.T, dir string) string {
	t.Helper()
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	checkout, err := filepath.Rel(dir, root)
	if err != nil {
		t.Fatal(err)
	}
	return checkout
}
