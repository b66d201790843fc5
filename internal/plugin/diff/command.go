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
	prune     bool
	remove    bool
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
nodes, and which routes would come and go. What the files leave out of the cluster stays. With --prune the files are the whole
configuration: pools, advertisements, peers and whatever else of Clarion they do not have are deleted. With --delete the objects in the
files are deleted, in place of being applied. A pool of which Services have addresses stays until they have none, as on the cluster.

Exit code 1 means that a Service would lose an address, or would not be answered any more; and that an object in the files has an error,
as "kubectl clarion validate" says.`,
		Example: `  kubectl clarion diff -f pools.yaml
  kustomize build . | kubectl clarion diff -f - -o json
  # A folder that is the whole configuration
  kubectl clarion diff -R -f clarion/ --prune
  # Before kubectl delete
  kubectl clarion diff -f old-pool.yaml --delete`,
		Args: plugin.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	flags := command.Flags()
	flags.StringSliceVarP(&o.files, "filename", "f", nil, "Files or folders with objects; - is the standard input.")
	flags.BoolVarP(&o.recursive, "recursive", "R", false, "Read the folders of -f with all that is below them.")
	flags.BoolVar(&o.prune, "prune", false, "Have all configuration of Clarion deleted that the files do not have.")
	flags.BoolVar(&o.remove, "delete", false, "Have the objects in the files deleted, in place of being applied.")
	o.AddFrom(flags)
	o.output.AddFlag(flags)
	return command
}

func (o *options) run(ctx context.Context) error {
	if len(o.files) == 0 {
		return plugin.Usagef("name files with -f")
	}
	if o.prune && o.remove {
		return plugin.Usagef("--prune and --delete exclude each other")
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
	report, err := o.compare(taken, objects)
	if err != nil {
		return err
	}
	if err := o.output.Print(o.Out, report, func() error { return report.write(o.Out) }); err != nil {
		return err
	}
	for _, c := range report.Services {
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

// Report is what becomes of Services, and of objects that are deleted.
type Report struct {
	Services []whatif.Change  `json:"services"`
	Deleted  *whatif.Deletion `json:"deleted,omitempty"`
}

// compare finds out what becomes of Services if these objects are applied, or deleted. They must be valid, with their defaults.
func (o *options) compare(taken *snapshot.Snapshot, objects []unstructured.Unstructured) (*Report, error) {
	report, after := &Report{}, taken
	var err error
	if !o.remove {
		if after, err = whatif.Apply(after, objects); err != nil {
			return nil, err
		}
	}
	if o.prune || o.remove {
		without := whatif.Delete
		if o.prune {
			without = whatif.Prune
		}
		report.Deleted = &whatif.Deletion{}
		if after, *report.Deleted, err = without(after, objects); err != nil {
			return nil, err
		}
	}
	state := taken.State()
	before := whatif.Of(state)
	report.Services = whatif.Compare(before, whatif.Of(whatif.Settled(state, after)), whatif.Planned)
	return report, nil
}

func (r *Report) write(out io.Writer) error {
	var b strings.Builder
	if r.Deleted != nil {
		for _, name := range r.Deleted.Gone {
			fmt.Fprintf(&b, "%s is deleted.\n", name)
		}
		for _, name := range r.Deleted.Staying {
			fmt.Fprintf(&b, "%s is deleted, and stays until its finalizers are removed: a pool as long as Services have addresses of it.\n", name)
		}
	}
	if len(r.Services) == 0 {
		fmt.Fprintln(&b, "Nothing changes for any Service.")
	} else {
		fmt.Fprintln(&b, "Services that change:")
	}
	for _, c := range r.Services {
		whatif.WriteChange(&b, c)
	}
	_, err := io.WriteString(out, b.String())
	return err
}
