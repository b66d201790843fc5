package release

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/clarionlb/clarion/test/chart"
)

// Write writes the files of a release into a folder, and returns their paths: those of the manifests and the chart,
// the image, the bill of materials, and last the checksums of all.
func (b Build) Write(dir string) ([]string, error) {
	packed, err := chart.Load()
	if err != nil {
		return nil, err
	}
	if packed.Metadata.AppVersion != b.Version {
		return nil, fmt.Errorf("the manifests are of %s, and the release is %s", packed.Metadata.AppVersion, b.Version)
	}
	paths, err := chart.Release(dir, b.Created)
	if err != nil {
		return nil, err
	}
	archive, bom := b.ArchivePath(dir), filepath.Join(dir, "clarion-"+b.Tag()+".cdx.json")
	if err := b.WriteArchive(archive); err != nil {
		return nil, err
	}
	if err := b.WriteSBOM(bom); err != nil {
		return nil, err
	}
	paths = append(paths, archive, bom)
	slices.Sort(paths)
	sums := filepath.Join(dir, "SHA256SUMS")
	return append(paths, sums), writeChecksums(sums, paths)
}

// ArchivePath is where the image goes in a folder.
func (b Build) ArchivePath(dir string) string {
	return filepath.Join(dir, "clarion-"+b.Tag()+"-image.tar")
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
