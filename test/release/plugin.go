package release

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// plugin is the program that kubectl runs as "kubectl clarion".
const plugin = "kubectl-clarion"

// completion is the script that kubectl runs to complete "kubectl clarion ...".
const completion = "kubectl_complete-clarion"

// PluginPath is where the archive of the plugin for a platform goes in a folder. The manifest for krew has the same names.
func PluginPath(dir string, platform v1.Platform) string {
	return filepath.Join(dir, plugin+"-"+platform.OS+"-"+platform.Architecture+".tar.gz")
}

// WritePlugins writes the archive of the plugin for each platform into a folder, and returns their paths. An archive has the
// program, the script for completion, and the license, as krew wants it.
func (b Build) WritePlugins(dir string, platforms []v1.Platform) ([]string, error) {
	root, err := setup.Checkout()
	if err != nil {
		return nil, err
	}
	license, err := os.ReadFile(filepath.Join(root, "LICENSE"))
	if err != nil {
		return nil, err
	}
	complete, err := os.ReadFile(filepath.Join(root, "cmd", plugin, completion))
	if err != nil {
		return nil, err
	}
	var paths []string
	for _, platform := range platforms {
		path := PluginPath(dir, platform)
		if err := b.writePlugin(path, platform, license, complete); err != nil {
			return nil, fmt.Errorf("the plugin for %s: %w", platform, err)
		}
		paths = append(paths, path)
	}
	return paths, nil
}

func (b Build) writePlugin(to string, platform v1.Platform, license, complete []byte) error {
	path := b.binary(platform, plugin)
	if err := b.check(path, platform, plugin); err != nil {
		return err
	}
	program, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	file, err := os.Create(to)
	if err != nil {
		return err
	}
	defer file.Close()
	compressed := gzip.NewWriter(file)
	archive := tar.NewWriter(compressed)
	return errors.Join(
		add(archive, "LICENSE", 0o644, b.Created, license),
		add(archive, plugin, 0o755, b.Created, program),
		add(archive, completion, 0o755, b.Created, complete),
		archive.Close(), compressed.Close(), file.Close(),
	)
}
