package release

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

const module = "github.com/clarionlb/clarion"

// Check says what is wrong with the binaries that are to be in the image.
func (b Build) Check() error {
	var wrong []error
	for _, platform := range b.Platforms {
		for _, name := range Programs {
			wrong = append(wrong, b.check(b.binary(platform, name), platform, name))
		}
	}
	return errors.Join(wrong...)
}

// check says what is wrong with a binary that is for a platform.
func (b Build) check(path string, platform v1.Platform, name string) error {
	info, err := buildinfo.ReadFile(path)
	if err != nil {
		return err
	}
	want := map[string]string{"GOOS": platform.OS, "GOARCH": platform.Architecture, "CGO_ENABLED": "0", "-trimpath": "true"}
	var wrong []error
	if path := module + "/cmd/" + name; info.Path != path {
		wrong = append(wrong, fmt.Errorf("it is %s, want %s", info.Path, path))
	}
	for key, value := range want {
		if got := setting(info, key); got != value {
			wrong = append(wrong, fmt.Errorf("built with %s=%s, want %s", key, got, value))
		}
	}
	if fips := setting(info, "GOFIPS140"); (fips != "" && fips != "off") != b.FIPS {
		wrong = append(wrong, fmt.Errorf("built with GOFIPS140=%s", fips))
	}
	if platform.OS == runtime.GOOS && platform.Architecture == runtime.GOARCH {
		wrong = append(wrong, b.checkVersion(path))
	}
	if err := errors.Join(wrong...); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}

// checkVersion runs the program, which says its version.
func (b Build) checkVersion(path string) error {
	out, err := exec.CommandContext(context.Background(), path, "--version").Output()
	if err != nil {
		return fmt.Errorf("ask for the version: %w", err)
	}
	if !slices.Contains(strings.Fields(string(out)), b.Version) {
		return fmt.Errorf("it says %q, want version %s", strings.TrimSpace(string(out)), b.Version)
	}
	return nil
}

func setting(info *debug.BuildInfo, key string) string {
	for _, s := range info.Settings {
		if s.Key == key {
			return s.Value
		}
	}
	return ""
}

// modules are those that any of the binaries has, by path. They are read from the binaries: what is not in one is
// not linked.
func (b Build) modules() (map[string]*debug.Module, string, error) {
	modules, goVersion := map[string]*debug.Module{}, ""
	for _, platform := range b.Platforms {
		for _, name := range Programs {
			path := b.binary(platform, name)
			info, err := buildinfo.ReadFile(path)
			if err != nil {
				return nil, "", err
			}
			goVersion = info.GoVersion
			for _, m := range info.Deps {
				if m.Replace != nil {
					m = m.Replace
				}
				if other := modules[m.Path]; other != nil && other.Version != m.Version {
					return nil, "", fmt.Errorf("%s has %s %s, another program %s: %w", path, m.Path, m.Version, other.Version, os.ErrInvalid)
				}
				modules[m.Path] = m
			}
		}
	}
	return modules, goVersion, nil
}
