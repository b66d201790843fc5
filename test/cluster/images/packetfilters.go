package images

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// iptablesCommands are those that kube-proxy calls, for both families.
var iptablesCommands = []string{
	"iptables", "iptables-save", "iptables-restore", "ip6tables", "ip6tables-save", "ip6tables-restore",
}

// packetFilters are nft and iptables of this machine, with the libraries that they need.
func packetFilters(ctx context.Context) ([]File, error) {
	var files []File
	nft, err := resolve("nft")
	if err != nil {
		return nil, err
	}
	files = append(files, File{Path: nft, Source: nft})
	// Without their names, nft lists protocols by their numbers, and kube-proxy does not know the
	// elements of its maps again.
	files = append(files, File{Path: "/etc/protocols", Content: "tcp 6 TCP\nudp 17 UDP\nsctp 132 SCTP\n"})
	programs := []string{nft}
	for _, command := range iptablesCommands {
		multi, err := resolve(command)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: "/usr/sbin/" + command, Link: multi})
		if !slices.Contains(programs, multi) {
			programs = append(programs, multi)
			files = append(files, File{Path: multi, Source: multi})
		}
	}
	extensions, err := extensions(ctx, programs)
	if err != nil {
		return nil, err
	}
	files = append(files, extensions...)
	for _, extension := range extensions {
		programs = append(programs, extension.Source) // some have libraries of their own
	}
	libraries, err := libraries(ctx, programs)
	if err != nil {
		return nil, err
	}
	for _, library := range libraries {
		files = append(files, File{Path: library, Source: library})
	}
	return files, nil
}

// resolve returns the file that a command of root is in the end.
func resolve(command string) (string, error) {
	for _, dir := range []string{"/usr/sbin", "/sbin", "/usr/bin", "/bin"} {
		if file, err := filepath.EvalSymlinks(filepath.Join(dir, command)); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is not installed", command)
}

var libraryPath = regexp.MustCompile(`(/\S+) \(0x`)

// libraries are the shared libraries that programs are linked with, and the program that loads them.
func libraries(ctx context.Context, programs []string) ([]string, error) {
	out, err := exec.CommandContext(ctx, "ldd", programs...).Output()
	if err != nil {
		return nil, fmt.Errorf("ldd %s: %w", strings.Join(programs, " "), err)
	}
	var all []string
	for _, match := range libraryPath.FindAllStringSubmatch(string(out), -1) {
		all = append(all, match[1])
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// extensions are what iptables loads when a rule needs it, from a folder beside libxtables, which one
// of the programs is linked with.
func extensions(ctx context.Context, programs []string) ([]File, error) {
	libraries, err := libraries(ctx, programs)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(libraries, func(library string) bool { return strings.HasPrefix(filepath.Base(library), "libxtables.") })
	if i < 0 {
		return nil, fmt.Errorf("iptables is linked with none of libxtables: %v", libraries)
	}
	xtables, err := filepath.EvalSymlinks(libraries[i])
	if err != nil {
		return nil, err
	}
	found, err := filepath.Glob(filepath.Join(filepath.Dir(xtables), "xtables", "*.so"))
	if err != nil {
		return nil, err
	}
	var files []File
	for _, file := range found {
		source, err := filepath.EvalSymlinks(file)
		if err != nil {
			return nil, err
		}
		files = append(files, File{Path: file, Source: source})
	}
	return files, nil
}
