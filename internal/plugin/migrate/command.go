// Package migrate is the verb that moves a cluster to Clarion. What is to be done says internal/migrate; this package reads files
// or the cluster, and does it.
package migrate

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/migrate"
	"github.com/clarionlb/clarion/internal/plugin"
)

type options struct {
	plugin.Env
	files    resource.FilenameOptions
	migrate  migrate.Options
	apply    bool
	canary   string
	record   string
	rollback string
	output   string
	timeout  time.Duration
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Env: env}
	names := make([]string, 0, len(migrate.Sources))
	var sources strings.Builder
	for _, source := range slices.Sorted(maps.Keys(migrate.Sources)) {
		names = append(names, string(source))
		fmt.Fprintf(&sources, "  %-13s %s\n", source, migrate.Sources[source])
	}
	command := &cobra.Command{
		Use:   "migrate [" + strings.Join(names, "|") + "]",
		Short: "Move to Clarion from another load balancer, so that every Service keeps its address",
		Long: `Move to Clarion from another load balancer, so that every Service keeps its address.

Without --apply nothing is changed: what would be done is printed, what cannot be carried over, and in which order. With it,
the objects are made and then the Services are moved, each with a look at whether it has its address; if one has not, it is
put back and the rest is left alone. What was changed is recorded in a file, by which --rollback undoes it.

` + sources.String(),
		Example: `  # What would be done?
  kubectl clarion migrate metallb
  # The same from files, and the objects alone
  kubectl clarion migrate metallb -f metallb.yaml -o yaml
  # One Service first, then all
  kubectl clarion migrate metallb --apply --canary=shop/front
  kubectl clarion migrate metallb --apply
  # Back again
  kubectl clarion migrate --rollback=clarion-migration.jsonl`,
		ValidArgs: names,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 || len(args) == 1 && !slices.Contains(names, args[0]) {
				return plugin.Usagef("name one of %s", strings.Join(names, ", "))
			}
			return nil
		},
		RunE: func(command *cobra.Command, args []string) error {
			return o.run(command.Context(), migrate.Source(strings.Join(args, "")))
		},
	}
	flags := command.Flags()
	flags.StringSliceVarP(&o.files.Filenames, "filename", "f", nil, "Files, folders or URLs with what there is, in place of the cluster; - is the standard input.")
	flags.BoolVarP(&o.files.Recursive, "recursive", "R", false, "Read the folders of -f with all that is below them.")
	flags.StringSliceVar(&o.migrate.Pool, "pool", nil, "Addresses of a pool that the other load balancer does not have: CIDRs, ranges or single ones.")
	flags.BoolVar(&o.migrate.Recreate, "recreate", false,
		"Make Services anew that have the class of the other load balancer, instead of having Clarion serve that class. They are not reachable for some seconds.")
	flags.StringVar(&o.migrate.Class, "class", v1alpha1.LoadBalancerClass, "The class of Services that are made anew: that of Clarion's flag --load-balancer-class.")
	flags.BoolVar(&o.apply, "apply", false, "Do it.")
	flags.StringVar(&o.canary, "canary", "", "With --apply, move only this Service, as NAMESPACE/NAME, or those of this namespace.")
	flags.StringVar(&o.record, "record", "clarion-migration.jsonl", "With --apply, the file to which is added what was changed.")
	flags.StringVar(&o.rollback, "rollback", "", "Undo what this file records.")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait for each object and each Service.")
	flags.StringVarP(&o.output, "output", "o", "", "yaml or json: write the objects alone, without Secrets. Default: a text.")
	return command
}

func (o *options) run(ctx context.Context, source migrate.Source) error {
	switch {
	case o.rollback != "":
		if o.apply || source != "" || len(o.files.Filenames) > 0 {
			return plugin.Usagef("--rollback goes alone")
		}
		return o.runRollback(ctx)
	case o.canary != "" && !o.apply:
		return plugin.Usagef("--canary needs --apply")
	case o.output != "" && o.output != "yaml" && o.output != "json":
		return plugin.Usagef("-o is yaml or json")
	case o.output != "" && o.apply:
		return plugin.Usagef("-o is without --apply")
	}
	if o.apply {
		if err := o.resume(ctx); err != nil {
			return err
		}
	}
	objects, err := o.read(ctx)
	if err != nil {
		return err
	}
	if source == "" {
		found := migrate.Find(objects)
		if len(found) != 1 {
			return plugin.Usagef("say from what to move: found %v", found)
		}
		source = found[0]
	}
	plan, err := migrate.New(source, objects, o.migrate)
	if err != nil {
		return err
	}
	if err := o.print(plan); err != nil {
		return err
	}
	if plan.Blocked() {
		return plugin.Refusef("addresses would be lost: see above")
	}
	if o.apply {
		return o.runApply(ctx, plan)
	}
	return nil
}

// print writes the plan in the form that is asked for.
func (o *options) print(plan *migrate.Plan) error {
	switch o.output {
	case "yaml":
		text, err := plan.YAML()
		if err != nil {
			return err
		}
		_, err = o.Out.Write(text)
		return err
	case "json":
		list := unstructured.UnstructuredList{Object: map[string]any{"apiVersion": "v1", "kind": "List"}, Items: plan.Objects}
		text, err := list.MarshalJSON()
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(o.Out, "%s", text)
		return err
	}
	_, err := plan.WriteTo(o.Out)
	return err
}

// read has what there is, in files or in the cluster.
func (o *options) read(ctx context.Context) ([]unstructured.Unstructured, error) {
	if len(o.files.Filenames) == 0 {
		clients, err := o.Clients()
		if err != nil {
			return nil, err
		}
		return readCluster(ctx, clients)
	}
	return o.ReadFiles(o.files)
}
