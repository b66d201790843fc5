package images

import (
	"debug/elf"
	"path"
	"slices"
	"testing"
)

func TestWhatIptablesLoadsFindsItsLibraries(t *testing.T) {
	files, err := packetFilters(t.Context())
	if err != nil {
		t.Skip(err) // "make packages" installs them
	}
	var names, extensions []string
	for _, file := range files {
		names = append(names, path.Base(file.Path))
		if path.Ext(file.Path) == ".so" {
			extensions = append(extensions, path.Base(file.Path))
		}
	}
	for _, extension := range []string{"libxt_statistic.so", "libxt_comment.so", "libxt_MARK.so"} {
		if !slices.Contains(extensions, extension) {
			t.Errorf("iptables lacks %s, which kube-proxy has it load", extension)
		}
	}
	for _, file := range files {
		if file.Source == "" {
			continue
		}
		program, err := elf.Open(file.Source)
		if err != nil {
			t.Fatalf("%s: %v", file.Source, err)
		}
		needed, err := program.ImportedLibraries()
		if err != nil {
			t.Fatalf("%s: %v", file.Source, err)
		}
		for _, library := range needed {
			if !slices.Contains(names, library) {
				t.Errorf("%s needs %s, which is not in the image", file.Path, library)
			}
		}
		program.Close()
	}
}
