package release

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// TestProgramsAreValidOnEveryPlatform checks the types of all that is released, as the compiler does, for the platforms that it is released
// for and that nobody compiles it for before. To compile it takes minutes for each, since the compiler wants all of Kubernetes' client first.
func TestProgramsAreValidOnEveryPlatform(t *testing.T) {
	root, err := setup.Checkout()
	if err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for variable, programs := range map[string][]string{"PLATFORMS": Programs, "PLUGIN_PLATFORMS": {plugin}} {
		match := regexp.MustCompile(`(?m)^` + variable + ` \?= (.+)$`).FindSubmatch(makefile)
		if match == nil {
			t.Fatalf("the Makefile has no %s", variable)
		}
		for platform := range strings.FieldsSeq(string(match[1])) {
			if platform == "linux/amd64" {
				continue // what all tests run
			}
			t.Run(platform+" "+strings.Join(programs, " "), func(t *testing.T) {
				t.Parallel()
				packages, err := listPackages(root, platform, programs)
				if err != nil {
					t.Fatal(err)
				}
				if err := checkTypes(packages, platform); err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// goPackage is what "go list" says of a package.
type goPackage struct {
	ImportPath, Dir string
	GoFiles         []string
	ImportMap       map[string]string
	Module          *struct{ Main bool }
	DepOnly         bool
}

// listPackages has the programs for a platform and all that they import, each after what it imports itself.
func listPackages(root, platform string, programs []string) (packages []goPackage, err error) {
	system, architecture, _ := strings.Cut(platform, "/")
	command := exec.Command("go", "list", "-deps", "-json=ImportPath,Dir,GoFiles,ImportMap,Module,DepOnly")
	for _, program := range programs {
		command.Args = append(command.Args, "./cmd/"+program)
	}
	var complaints bytes.Buffer
	command.Dir, command.Stderr = root, &complaints
	command.Env = append(os.Environ(), "GOOS="+system, "GOARCH="+architecture, "CGO_ENABLED=0")
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("%w: %s", err, &complaints)
	}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p goPackage
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return packages, nil
		} else if err != nil {
			return nil, err
		}
		packages = append(packages, p)
	}
}

// importer finds packages by the names that a package imports them by.
type importer struct {
	known map[string]*types.Package
	names map[string]string
}

func (i importer) Import(name string) (*types.Package, error) {
	if mapped, is := i.names[name]; is {
		name = mapped
	}
	if p := i.known[name]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%s is not known", name)
}

// checkTypes checks packages in their order: of others' packages what they declare, and our own as a whole.
func checkTypes(packages []goPackage, platform string) error {
	_, architecture, _ := strings.Cut(platform, "/")
	known := map[string]*types.Package{"unsafe": types.Unsafe}
	var faults []error
	for _, p := range packages {
		if p.ImportPath == "unsafe" {
			continue
		}
		ours := p.Module != nil && p.Module.Main
		positions := token.NewFileSet()
		var files []*ast.File
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(positions, filepath.Join(p.Dir, name), nil, parser.SkipObjectResolution)
			if err != nil {
				return err
			}
			files = append(files, file)
		}
		config := types.Config{
			Importer: importer{known, p.ImportMap}, Sizes: types.SizesFor("gc", architecture), IgnoreFuncBodies: !ours,
			Error: func(err error) { faults = append(faults, fmt.Errorf("%s: %w", p.ImportPath, err)) },
		}
		known[p.ImportPath], _ = config.Check(p.ImportPath, positions, files, nil)
	}
	if !slices.ContainsFunc(packages, func(p goPackage) bool { return !p.DepOnly }) {
		faults = append(faults, errors.New("there are no programs"))
	}
	return errors.Join(faults...)
}
