package setup

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/clarionlb/clarion/test/cluster/internal/filelock"
)

// ErrNotInHistory says that this checkout does not have a commit: it is a shallow clone, or a copy of the files alone.
var ErrNotInHistory = errors.New("this checkout does not have the commit of the last release; git fetch --unshallow gets it")

// Release is another version of the product.
type Release struct {
	// Source is the root of its files, Programs the folder with the programs.
	Source, Programs string
}

// lastRelease is the commit of the last release, or of what would have been one. A release changes it: see docs/development.md.
const lastRelease = "c593c4a6feefd90601bafff4b51a39c4f72da2e1"

// LastRelease returns the product as it was released last. The error is ErrNotInHistory if this checkout does not have its commit.
func LastRelease(ctx context.Context, progress io.Writer) (Release, error) {
	return releaseOf(ctx, lastRelease, progress)
}

// releaseOf returns the product at a commit of this repository. It is compiled when it is not in the cache, which all checkouts
// share. If there is no such commit, the error is ErrNotInHistory.
func releaseOf(ctx context.Context, commit string, progress io.Writer) (Release, error) {
	root, err := Checkout()
	if err != nil {
		return Release{}, err
	}
	cache, err := cacheDir()
	if err != nil {
		return Release{}, err
	}
	dir := filepath.Join(cache, "release", commit)
	release := Release{Source: filepath.Join(dir, "source"), Programs: filepath.Join(dir, "bin")}
	if exists(dir) {
		return release, nil
	}
	lock, err := filelock.Wait(ctx, dir+".lock", func() { fmt.Fprintf(progress, "waiting for another process that compiles %s\n", commit) })
	if err != nil {
		return Release{}, err
	}
	defer lock.Remove()
	if exists(dir) {
		return release, nil
	}
	archive := exec.CommandContext(ctx, "git", "-C", root, "archive", "--format=tar", commit)
	files, err := archive.Output()
	if err != nil {
		return Release{}, fmt.Errorf("%w (%s: %w)", ErrNotInHistory, commit, err)
	}
	partial := dir + ".partial"
	if err := os.RemoveAll(partial); err != nil {
		return Release{}, err
	}
	defer os.RemoveAll(partial)
	if err := unpack(files, filepath.Join(partial, "source")); err != nil {
		return Release{}, err
	}
	err = during(progress, "compiling the product at "+commit, func() error {
		return build(ctx, filepath.Join(partial, "source"), "-o="+filepath.Join(partial, "bin")+"/", "./cmd/...")
	})
	if err != nil {
		return Release{}, err
	}
	return release, os.Rename(partial, dir)
}

// unpack writes the files of an archive of git into a folder.
func unpack(archive []byte, dir string) error {
	files, err := os.OpenRoot(mkdir(dir))
	if err != nil {
		return err
	}
	defer files.Close()
	reader := tar.NewReader(bytes.NewReader(archive))
	for {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch header.Typeflag {
		case tar.TypeDir:
			err = files.MkdirAll(filepath.Clean(header.Name), 0o755)
		case tar.TypeSymlink:
			err = files.Symlink(header.Linkname, header.Name)
		case tar.TypeReg:
			var content []byte
			if content, err = io.ReadAll(reader); err == nil {
				err = files.WriteFile(header.Name, content, header.FileInfo().Mode().Perm())
			}
		}
		if err != nil {
			return err
		}
	}
}

func mkdir(dir string) string {
	os.MkdirAll(dir, 0o755) // if it fails, to open it does too
	return dir
}
