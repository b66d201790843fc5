// Package validate is the verb that judges objects in files, with the rules of the cluster and without one.
package validate

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/manifest"
	"github.com/clarionlb/clarion/internal/plugin/schema"
)

type options struct {
	plugin.Env
	files     []string
	recursive bool
	output    plugin.Output
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Env: env}
	command := &cobra.Command{
		Use:   "validate -f FILE",
		Short: "Judge objects in files before they are applied",
		Long: `Judge objects in files before they are applied, without a cluster.

Each object of Clarion is judged by its schema, as the API server does it, and all of them together by the code of Clarion's
components: pools that overlap, names that do not exist, values that cannot be read. Of Services, the annotations are. Objects of other
kinds are left alone.

What the files name and do not have may be in the cluster, and is a warning. Exit code 1 means that there is an error.`,
		Example: `  kubectl clarion validate -f pools.yaml
  kubectl clarion validate -R -f manifests/ -o json
  kustomize build . | kubectl clarion validate -f -`,
		Args: plugin.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	flags := command.Flags()
	flags.StringSliceVarP(&o.files, "filename", "f", nil, "Files or folders with objects; - is the standard input.")
	flags.BoolVarP(&o.recursive, "recursive", "R", false, "Read the folders of -f with all that is below them.")
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
	schemas, err := schema.Load()
	if err != nil {
		return err
	}
	objects, unreadable := manifest.Read(o.files, o.recursive, o.In)
	result := Check(ctx, schemas, objects)
	if err := o.output.Print(o.Out, result, func() error { return o.write(result) }); err != nil {
		return err
	}
	if unreadable != nil {
		return unreadable
	}
	if n := result.Count(Error); n > 0 {
		return fmt.Errorf("what was found: %s", counted(n, "error"))
	}
	return nil
}

func (o *options) write(result *Result) error {
	for _, problem := range result.Problems {
		if _, err := fmt.Fprintln(o.Out, problem); err != nil {
			return err
		}
	}
	skipped := ""
	if result.Skipped > 0 {
		skipped = fmt.Sprintf(" %s of other kinds left alone.", counted(result.Skipped, "object"))
	}
	_, err := fmt.Fprintf(o.Out, "%s checked: %s, %s.%s\n",
		counted(result.Checked, "object"), counted(result.Count(Error), "error"), counted(result.Count(Warning), "warning"), skipped)
	return err
}

// counted is a number of things in words.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
