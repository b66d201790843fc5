package chart

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"helm.sh/helm/v4/pkg/chart/v2/util"
)

var namedImage = regexp.MustCompile(`(?m)^[ -]*image: (\S+)$`)

// Release writes the files of a release into a folder: clarion.yaml, which is all of the default overlay;
// the chart as an archive; and images.txt, a list of the images for clusters that cannot pull from the
// Internet, one on each line. It returns their paths. Files in archives are as old as the release.
func Release(dir string, created time.Time) ([]string, error) {
	manifest, err := Kustomize(".")
	if err != nil {
		return nil, err
	}
	chart, err := Load()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	chart.StampModTimes(created)
	archive, err := util.Save(chart, dir)
	if err != nil {
		return nil, fmt.Errorf("save the chart: %w", err)
	}
	images := map[string]bool{}
	for _, found := range namedImage.FindAllStringSubmatch(string(manifest), -1) {
		images[found[1]] = true
	}
	files := map[string]string{
		"clarion.yaml": string(manifest),
		"images.txt":   strings.Join(slices.Sorted(maps.Keys(images)), "\n") + "\n",
	}
	paths := []string{archive}
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return nil, err
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, nil
}
