package setup

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write writes files below a new folder.
func write(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestProgramsHaveTheirNamesHoweverTheirPackagesAreCalled(t *testing.T) {
	const main = "package main\n\nfunc main() {}\n"
	for name, programs := range map[string][]program{
		"several":                  {{"one", "example.com/m/one"}, {"other", "example.com/m/two"}},
		"a package with a version": {{"etcd", "example.com/m/server/v3"}},
		"the module itself":        {{"m", "."}},
	} {
		t.Run(name, func(t *testing.T) {
			module := write(t, map[string]string{
				"go.mod": "module example.com/m\n\ngo 1.26.0\n", "main.go": main, "one/main.go": main, "two/main.go": main, "server/v3/main.go": main,
			})
			dir := t.TempDir()
			if err := (collection{programs: programs}).compile(t.Context(), t.Output(), module, "v1", dir); err != nil {
				t.Fatal(err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(programs) {
				t.Fatalf("%v, %v", entries, err)
			}
			for _, program := range programs {
				if _, err := os.Stat(filepath.Join(dir, program.name)); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

func TestOneProgramThatDoesNotCompileFailsAll(t *testing.T) {
	module := write(t, map[string]string{
		"go.mod": "module example.com/m\n\ngo 1.26.0\n", "one/main.go": "package main\n\nfunc main() {}\n", "two/main.go": "package main\n",
	})
	c := collection{programs: []program{{"one", "example.com/m/one"}, {"two", "example.com/m/two"}}}
	err := c.compile(t.Context(), t.Output(), module, "v1", t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "example.com/m/two") {
		t.Error(err)
	}
}
