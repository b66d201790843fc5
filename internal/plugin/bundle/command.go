package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

type options struct {
	plugin.Env
	file    string
	metrics scraper
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Env: env}
	command := &cobra.Command{
		Use:   "support-bundle",
		Short: "Make an archive for those who help, without secrets",
		Long: `Make an archive for those who help: all objects of Clarion, the Services of type LoadBalancer with their EndpointSlices, Nodes, events,
what "kubectl clarion status" says, and "why" of each Service in trouble, and the logs, metrics and versions of both programs.

No Secret is read. Values of annotations that Clarion does not know, the environment of pods and everything that looks like a password, a
token or a key are left out. What you may not read is left out, too, and named in the file "missing". Metrics are read as "kubectl port-forward" does;
the cloud-controller-manager gives them to a client certificate alone that may get /metrics.`,
		Example: `  kubectl clarion support-bundle
  kubectl clarion support-bundle --file=/tmp/case-17.tar.gz`,
		Args: plugin.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error {
			clients, err := env.Clients()
			if err != nil {
				return err
			}
			config, err := env.Flags.ToRESTConfig()
			if err != nil {
				return err
			}
			o.metrics = forwarder{config, clients.Kube}
			return o.run(command.Context(), clients)
		},
	}
	command.Flags().StringVar(&o.file, "file", "", `The file to write; - is the standard output. Default: clarion-support-TIME.tar.gz in this folder.`)
	return command
}

func (o *options) run(ctx context.Context, clients *plugin.Clients) error {
	taken, err := snapshot.Read(ctx, clients.Kube, clients.Clarion)
	if err != nil {
		return err
	}
	if o.file == "-" {
		return write(ctx, o.Out, taken, clients.Kube, o.metrics)
	}
	name := o.file
	if name == "" {
		name = "clarion-support-" + taken.Time.UTC().Format("20060102-150405") + ".tar.gz"
	}
	if err := create(name, func(w io.Writer) error { return write(ctx, w, taken, clients.Kube, o.metrics) }); err != nil {
		return err
	}
	fmt.Fprintf(o.Out, "%s is written. Look at it before you hand it on: it has addresses, and names of Services and of nodes.\n", name)
	return nil
}

// create writes a new file that only its owner may read. There is none if that fails.
func create(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := errors.Join(write(file), file.Close()); err != nil {
		return errors.Join(err, os.Remove(name))
	}
	return nil
}
