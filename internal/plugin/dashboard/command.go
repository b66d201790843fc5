package dashboard

import (
	"context"
	"fmt"
	"net"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

const long = `Show the state of Clarion in the browser: pools, nodes, BGP sessions, what has moved, and the path of each Service.

The page is served on this computer alone, at the address that is printed. It changes nothing, and shows what you may read. Who has the
address can read that too, as long as the command runs: it ends with Ctrl-C.`

const example = `  # Print the address of the page, and serve it
  kubectl clarion dashboard

  # At the same port every time
  kubectl clarion dashboard --port=8080`

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	var port uint16
	command := &cobra.Command{
		Use:     "dashboard",
		Short:   "Show the state in the browser",
		Long:    long,
		Example: example,
		Args:    plugin.NoArgs,
		RunE:    func(command *cobra.Command, _ []string) error { return run(command.Context(), env, port) },
	}
	command.Flags().Uint16Var(&port, "port", 0, "The port of 127.0.0.1 at which the page is; 0 is any that is free.")
	return command
}

func run(ctx context.Context, env plugin.Env, port uint16) error {
	clients, err := env.Clients()
	if err != nil {
		return err
	}
	name, err := clusterName(env)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(int(port))))
	if err != nil {
		return err
	}
	defer listener.Close()
	fmt.Fprintf(env.ErrOut, "reading %s\n", name)
	live, err := snapshot.Watch(ctx, clients.Kube, clients.Clarion)
	if err != nil {
		return err
	}
	d := New(name, listener)
	fmt.Fprintln(env.Out, d.URL()) // who comes early waits a moment
	return d.Follow(ctx, live)
}

// clusterName is what the user calls the cluster: the context of the kubeconfig.
func clusterName(env plugin.Env) (string, error) {
	if env.Flags.Context != nil && *env.Flags.Context != "" {
		return *env.Flags.Context, nil
	}
	config, err := env.Flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return "", err
	}
	if config.CurrentContext == "" {
		return "the cluster", nil
	}
	return config.CurrentContext, nil
}
