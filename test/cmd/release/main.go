// Command release writes the files of a release, or some of them, into a folder, and says which they are. The binaries have
// to be there already: "make release" builds them before.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clarionlb/clarion/test/release"
)

// request is what the command line asks for.
type request struct {
	build        release.Build
	fipsBinaries string
	plugins      []v1.Platform
	only         string
}

func main() {
	var r request
	var created int64
	flag.StringVar(&r.build.Version, "version", "", "of the release, as its tag says")
	flag.StringVar(&r.build.Revision, "revision", "", "the commit")
	flag.Int64Var(&created, "created", 0, "when the commit was made, in seconds since 1970")
	flag.BoolVar(&r.build.FIPS, "fips", false, "with -only: the binaries were built with GOFIPS140")
	flag.StringVar(&r.build.Binaries, "binaries", "", "the folder that has the binaries of each platform")
	flag.StringVar(&r.fipsBinaries, "fips-binaries", "", "the folder that has those built with GOFIPS140")
	platforms := flag.String("platforms", "linux/amd64 linux/arm64", "those of the image, separated by spaces")
	plugins := flag.String("plugin-platforms", "", "those of the kubectl plugin")
	flag.StringVar(&r.only, "only", "", "image or plugin: write nothing else")
	flag.Parse()
	if flag.NArg() != 1 || r.build.Version == "" || r.build.Revision == "" || created == 0 || r.build.Binaries == "" {
		fmt.Fprintln(os.Stderr, "usage: release -version VERSION -revision COMMIT -created SECONDS -binaries DIR [flags] DIR")
		flag.PrintDefaults()
		os.Exit(2)
	}
	r.build.Created = time.Unix(created, 0)
	paths, err := r.run(*platforms, *plugins, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, path := range paths {
		fmt.Println(path)
	}
}

func (r request) run(platforms, plugins, dir string) (paths []string, err error) {
	if r.build.Platforms, err = parse(platforms); err != nil {
		return nil, err
	}
	if r.plugins, err = parse(plugins); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	switch r.only {
	case "image":
		path, err := r.build.Write(dir)
		return []string{path}, err
	case "plugin":
		return r.build.WritePlugins(dir, r.plugins)
	case "":
		fips := r.build
		fips.FIPS, fips.Binaries = true, r.fipsBinaries
		return release.Release{Image: r.build, FIPS: fips, PluginPlatforms: r.plugins}.Write(dir)
	}
	return nil, fmt.Errorf("-only %s: choose image or plugin", r.only)
}

// parse reads platforms that are separated by spaces.
func parse(text string) ([]v1.Platform, error) {
	var platforms []v1.Platform
	for _, field := range strings.Fields(text) {
		platform, err := v1.ParsePlatform(field)
		if err != nil {
			return nil, err
		}
		platforms = append(platforms, *platform)
	}
	return platforms, nil
}
