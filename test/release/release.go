package release

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clarionlb/clarion/test/chart"
)

// Release is all that a release page has.
type Release struct {
	// Image is of the binaries that most clusters run.
	Image Build
	// FIPS is of the same programs, built with the certified cryptographic module.
	FIPS Build
	// PluginPlatforms are those that the kubectl plugin is for. Its binaries are beside those of Image.
	PluginPlatforms []v1.Platform
}

// Write writes the files of a release into a folder, and returns their paths: those of the manifests and the chart,
// the images with their bills of materials, the plugin, and last the checksums of all.
func (r Release) Write(dir string) ([]string, error) {
	packed, err := chart.Load()
	if err != nil {
		return nil, err
	}
	if packed.Metadata.AppVersion != r.Image.Version {
		return nil, fmt.Errorf("the manifests are of %s, and the release is %s", packed.Metadata.AppVersion, r.Image.Version)
	}
	paths, err := chart.Release(dir, r.Image.Created)
	if err != nil {
		return nil, err
	}
	for _, build := range []Build{r.Image, r.FIPS} {
		image, err := build.Write(dir)
		if err != nil {
			return nil, err
		}
		bom := filepath.Join(dir, "clarion-"+build.Tag()+".cdx.json")
		if err := build.WriteSBOM(bom); err != nil {
			return nil, err
		}
		paths = append(paths, image, bom)
	}
	plugins, err := r.Image.WritePlugins(dir, r.PluginPlatforms)
	if err != nil {
		return nil, err
	}
	paths = append(paths, plugins...)
	slices.Sort(paths)
	sums := filepath.Join(dir, "SHA256SUMS")
	return append(paths, sums), writeChecksums(sums, paths)
}

// writeChecksums writes those of some files for "sha256sum --check".
func writeChecksums(to string, paths []string) error {
	var sums bytes.Buffer
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		fmt.Fprintf(&sums, "%x  %s\n", sha256.Sum256(content), filepath.Base(path))
	}
	return os.WriteFile(to, sums.Bytes(), 0o644)
}
