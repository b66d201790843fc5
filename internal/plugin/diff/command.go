// Package diff is the verb that says what becomes of Services if files are applied, before they are.
package diff

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/manifest"
	"github.com/clarionlb/clarion/internal/plugin/schema"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/validate"
	"github.com/clarionlb/clarion/internal/plugin/whatif"
)

type options struct {
	plugin.Source
	files     []string
	recursive bool
	output    plugin.Output
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Source: plugin.Source{Env: env}}
	command := &cobra.Command{
		Use:   "diff -f FILE",
		Short: "Say what becomes of Services if files are applied",
		Long: `Say what becomes of Services if files are applied to the cluster as it is. Nothing is changed.

The code of the components is asked: which Services would gain or lose an address or get another one, which addresses would move between
nodes, and which routes would come and go. What the files leave out of the cluster stays.

Exit code 1 means that a Service would lose an address, or would not be answered any more; and that an object in the files has an error,
as "kubectl clarion validate" says.`,
		Example: `  kubectl clarion diff -f pools.yaml
  kustomize build . | kubectl clarion diff -f - -o json`,
		Args: plugin.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	flags := command.Flags()
	flags.StringSliceVarP(&o.files, "filename", "f", nil, "Files or folders with objects; - is the standard input.")
	flags.BoolVarP(&o.recursive, "recursive", "R", false, "Read the folders of -f with all that is below them.")
	o.AddFrom(flags)
	o.output.AddFlag(flags)
	return command
}

func (o *options) run(ctx context.Context) error {
	if len(o.files) == 0 {
		return plugin.Usagef("name files with -f")
	}
	if err := o.output.Check(); err != nil {
		return err
	}
	objects, err := o.valid(ctx)
	if err != nil {
		return err
	}
	taken, err := o.Snapshot(ctx)
	if err != nil {
		return err
	}
	changes, err := New(taken, objects)
	if err != nil {
		return err
	}
	err = o.output.Print(o.Out, map[string]any{"services": changes}, func() error { return write(o.Out, changes) })
	if err != nil {
		return err
	}
	for _, c := range changes {
		if len(c.Lost) > 0 || c.Unanswered != "" {
			return errors.New("addresses would be lost, or Services not answered any more: see above")
		}
	}
	return nil
}

// valid reads the files. An object that the API server would refuse is an error.
func (o *options) valid(ctx context.Context) ([]unstructured.Unstructured, error) {
	schemas, err := schema.Load()
	if err != nil {
		return nil, err
	}
	read, err := manifest.Read(o.files, o.recursive, o.In)
	if err != nil {
		return nil, err
	}
	result := validate.Check(ctx, schemas, read)
	for _, problem := range result.Problems {
		if problem.Severity == validate.Error {
			fmt.Fprintln(o.ErrOut, problem)
		}
	}
	if result.Count(validate.Error) > 0 {
		return nil, errors.New("the files have errors")
	}
	var objects []unstructured.Unstructured
	for _, object := range read {
		objects = append(objects, object.Unstructured)
	}
	return objects, nil
}

// New finds out what becomes of Services if these objects are applied. They must be valid, with their defaults.
func New(taken *snapshot.Snapshot, objects []unstructured.Unstructured) ([]whatif.Change, error) {
	applied, err := whatif.Apply(taken, objects)
	if err != nil {
		return nil, err
	}
	state := taken.State()
	before := whatif.Of(state)
	return whatif.Compare(before, whatif.Of(whatif.Settled(state, applied)), whatif.Planned), nil
}

func write(out io.Writer, changes []whatif.Change) error {
	if len(changes) == 0 {
		_, err := fmt.Fprintln(out, "Nothing changes for any Service.")
		return err
	}
	var b strings.Builder
	fmt.Fprintln(&b, "Services that change:")
	for _, c := range changes {
		whatif.WriteChange(&b, c)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
