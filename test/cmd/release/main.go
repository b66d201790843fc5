// Command release writes the files of a release into a folder, and says which they are. The binaries have to be
// there already: "make release" builds them before.
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

func main() {
	var b release.Build
	var platforms string
	var created int64
	var imageOnly bool
	flag.StringVar(&b.Version, "version", "", "of the release, as its tag says")
	flag.StringVar(&b.Revision, "revision", "", "the commit")
	flag.Int64Var(&created, "created", 0, "when the commit was made, in seconds since 1970")
	flag.BoolVar(&b.FIPS, "fips", false, "the binaries were built with GOFIPS140")
	flag.StringVar(&b.Binaries, "binaries", "", "the folder that has the binaries of each platform")
	flag.StringVar(&platforms, "platforms", "linux/amd64 linux/arm64", "those of the image, separated by spaces")
	flag.BoolVar(&imageOnly, "image-only", false, "write nothing but the image")
	flag.Parse()
	if flag.NArg() != 1 || b.Version == "" || b.Revision == "" || created == 0 || b.Binaries == "" {
		fmt.Fprintln(os.Stderr, "usage: release -version VERSION -revision COMMIT -created SECONDS -binaries DIR [flags] DIR")
		flag.PrintDefaults()
		os.Exit(2)
	}
	b.Created = time.Unix(created, 0)
	paths, err := write(b, strings.Fields(platforms), imageOnly, flag.Arg(0))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for _, path := range paths {
		fmt.Println(path)
	}
}

func write(b release.Build, platforms []string, imageOnly bool, dir string) ([]string, error) {
	for _, text := range platforms {
		platform, err := v1.ParsePlatform(text)
		if err != nil {
			return nil, err
		}
		b.Platforms = append(b.Platforms, *platform)
	}
	if imageOnly {
		path := b.ArchivePath(dir)
		return []string{path}, b.WriteArchive(path)
	}
	return b.Write(dir)
}
