package why

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/clarionlb/clarion/internal/plugin"
)

type options struct {
	plugin.Source
	output plugin.Output
	all    bool
	probe  bool
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Source: plugin.Source{Env: env}}
	command := &cobra.Command{
		Use:   "why SERVICE|ADDRESS|NODE|KIND/NAME",
		Short: "Say why a Service, an address or a node is announced or not, and what to do",
		Long: `Say why a Service, an address or a node is announced or not, and what to do.

The whole chain is shown, each link with a tick or the reason why it fails: whose Service it is, which pools were tried, the
address, the endpoints, the advertisements, each node, the sessions with routers and who announces it. What is said follows from
the objects by the code that the components run. Of a pool, an advertisement or a BGPPeer, it is said whether it is in force as it is
written, and who uses it. With --probe the network is asked too, from where this command runs: a connection to each TCP port, and, as root
on a Linux host in a network of the address, which hosts answer for it by ARP or NDP. What is not asked is said.

The exit code is 1 if a link is broken.`,
		Example: `  # A Service of the namespace of the context, or of another one
  kubectl clarion why web
  kubectl clarion why shop/front
  # An address, a node
  kubectl clarion why 192.0.2.10
  kubectl clarion why node/worker-1
  # Is it in force as it is written?
  kubectl clarion why bgppeer/tor
  # Does it answer, from here? As root: which hosts answer for it on the LAN?
  kubectl clarion why shop/front --probe
  sudo env "PATH=$PATH" "KUBECONFIG=$HOME/.kube/config" kubectl clarion why shop/front --probe
  # For scripts, and from files
  kubectl clarion why shop/front -o json
  kubectl clarion why shop/front -f bundle/objects.yaml`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return plugin.Usagef("name one Service, address, node or KIND/NAME")
			}
			return o.output.Check()
		},
		ValidArgsFunction: env.Complete(plugin.Services, plugin.Nodes),
		RunE:              func(command *cobra.Command, args []string) error { return o.run(command.Context(), args[0]) },
	}
	flags := command.Flags()
	o.AddFlags(flags)
	o.output.AddFlag(flags)
	flags.BoolVar(&o.all, "all", false, "Show all nodes and sessions of links that hold, however many; -o wide does the same.")
	flags.BoolVar(&o.probe, "probe", false, "Connect to the Service's TCP ports, and ask by ARP or NDP who answers for its addresses in a network of this host, which takes root.")
	return command
}

func (o *options) run(ctx context.Context, subject string) error {
	taken, err := o.Snapshot(ctx)
	if err != nil {
		return err
	}
	state := taken.State()
	report, err := Find(state, o.Namespace(), subject)
	if err != nil {
		return err
	}
	if o.probe {
		report.Probe(ctx, state, network{})
	}
	err = o.output.Print(o.Out, report, func() error {
		report.Print(o.Out, plugin.StyleFor(o.Out), o.all || o.output == plugin.Wide)
		return nil
	})
	if err == nil && !report.OK {
		return plugin.ErrFound
	}
	return err
}
