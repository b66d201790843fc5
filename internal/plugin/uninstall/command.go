// Package uninstall is the verb that removes Clarion from a cluster and leaves nothing of it: no finalizer, no rule in a kernel, no
// object. What would take an address from a Service it does only when it is told to.
//
//	the cloud-controller-manager ends ──► Services are given up ──► announcers withdraw, and end ──► pools, CRDs, all else
//	so that nobody writes                 one write for each        so that they leave no rule
package uninstall

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/clarionlb/clarion/internal/plugin"
)

type options struct {
	plugin.Env
	handOver bool
	release  bool
	dryRun   bool
	timeout  time.Duration
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Env: env}
	command := &cobra.Command{
		Use:   "uninstall",
		Short: "Remove Clarion, its objects and everything that it has put on others",
		Long: `Remove Clarion, its objects and everything that it has put on others: finalizers, conditions, rules on the nodes.

While Services have addresses of Clarion, nothing is done (exit code 3). With --hand-over the addresses stay in their status,
for another load balancer to take over; with --release they go. In both cases nobody announces them any more. The pools, the
advertisements, the peers and the Secrets in clarion-bgp go in every case: save what you need.`,
		Example: `  # What would be removed?
  kubectl clarion uninstall --dry-run
  # Another load balancer takes over
  kubectl clarion uninstall --hand-over`,
		Args: plugin.NoArgs,
		RunE: func(command *cobra.Command, _ []string) error { return o.run(command.Context()) },
	}
	flags := command.Flags()
	flags.BoolVar(&o.handOver, "hand-over", false, "Leave Services their addresses in their status, for another load balancer.")
	flags.BoolVar(&o.release, "release", false, "Take their addresses from Services.")
	flags.BoolVar(&o.dryRun, "dry-run", false, "Say what would be removed, and remove nothing.")
	flags.DurationVar(&o.timeout, "timeout", 2*time.Minute, "How long to wait for each step.")
	return command
}

func (o *options) run(ctx context.Context) error {
	if o.handOver && o.release {
		return plugin.Usagef("--hand-over and --release exclude each other")
	}
	clients, err := o.Clients()
	if err != nil {
		return err
	}
	r := &remover{Clients: clients, timeout: o.timeout, out: o.Out}
	services, err := r.services(ctx)
	if err != nil {
		return err
	}
	alive := withAddresses(services)
	if o.dryRun {
		return r.tell(ctx, services)
	}
	if len(alive) > 0 && !o.handOver && !o.release {
		var list strings.Builder
		for _, service := range alive {
			fmt.Fprintf(&list, "  %s/%s has %s\n", service.Namespace, service.Name, strings.Join(addressesOf(&service), ", "))
		}
		return plugin.Refusef("%d Services have addresses of Clarion:\n%sdelete them first, or say --hand-over or --release", len(alive), &list)
	}
	return r.remove(ctx, o.release)
}
