package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	cliflag "k8s.io/component-base/cli/flag"
)

// framework is the command as the framework makes it.
func framework(t *testing.T) *cobra.Command {
	t.Helper()
	opts, err := options.NewCloudControllerManagerOptions()
	if err != nil {
		t.Fatal(err)
	}
	none := func(*config.CompletedConfig) cloudprovider.Interface { return nil }
	return app.NewCloudControllerManagerCommand(opts, none, app.DefaultInitFuncConstructors, names.CCMControllerAliases(), cliflag.NamedFlagSets{}, nil)
}

// output is what the command writes with these arguments.
func output(t *testing.T, command *cobra.Command, args ...string) string {
	t.Helper()
	var text strings.Builder
	command.SetOut(&text)
	command.SetErr(&text)
	command.SetArgs(args)
	if err := command.Execute(); err != nil {
		t.Fatal(err)
	}
	return text.String()
}

func TestTheProgramSaysWhatItIs(t *testing.T) {
	command := framework(t)
	adapt(command, func() error { return nil })
	help := output(t, command, "--help")
	if !strings.HasPrefix(help, "The cloud-controller-manager of Clarion") || !strings.Contains(help, "--leader-elect ") {
		t.Errorf("the help begins with %.200q", help)
	}
	for _, name := range idle {
		if strings.Contains(help, "--"+name+" ") {
			t.Errorf("the help shows --%s, which has no effect", name)
		}
	}
	command = framework(t)
	adapt(command, func() error { return nil })
	if version := output(t, command, "--version"); !strings.HasPrefix(version, "cloud-controller-manager of Clarion v") {
		t.Errorf("the version is %q", version)
	}
}

func TestTheFrameworkHearsOfTheFlagsThatWereSet(t *testing.T) {
	command := framework(t)
	var heard []string
	command.RunE = func(command *cobra.Command, _ []string) error {
		command.Flags().VisitAll(func(f *pflag.Flag) { heard = append(heard, f.Name+"="+f.Value.String()) })
		return nil
	}
	adapt(command, func() error { return nil })
	// All commands of a process have one version flag.
	output(t, command, "--version=false", "--cluster-name=home", "--leader-elect=false")
	slices.Sort(heard)
	heard = slices.DeleteFunc(heard, func(flag string) bool { return flag == "version=false" })
	if want := []string{"cluster-name=home", "leader-elect=false"}; !slices.Equal(heard, want) {
		t.Errorf("it hears of %q, want %q", heard, want)
	}
}

func TestAMistakeInTheCloudConfigIsNamedWithItsFlagFileLineAndField(t *testing.T) {
	if machines, err := readMachines(""); machines == nil || err != nil {
		t.Errorf("without a file: %v, %v", machines, err)
	}
	if machines, err := readMachines("../../docs/cloud-config.yaml"); err != nil || len(machines.Nodes) == 0 {
		t.Errorf("the annotated file: %v, %v", machines, err)
	}
	path := filepath.Join(t.TempDir(), "cloud-config.yaml")
	if err := os.WriteFile(path, []byte("apiVersion: config.clarionlb.io/v1alpha1\nkind: CloudConfig\nnodes:\n- zon: a\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readMachines(path); err == nil || !strings.HasPrefix(err.Error(), "--cloud-config: "+path+":4: nodes[0].zon: no such field") {
		t.Errorf("a mistake: %v", err)
	}
}
