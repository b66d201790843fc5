package dashboard

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

const (
	// settling is how long changes are collected before the page is told.
	settling = 500 * time.Millisecond
	// refresh is how often the state is found out without a change, because it depends on the time, too.
	refresh = 10 * time.Second
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
	group, ctx := errgroup.WithContext(ctx)
	fmt.Fprintf(env.ErrOut, "reading %s\n", name)
	live, err := snapshot.Watch(ctx, clients.Kube, clients.Clarion)
	if err != nil {
		return err
	}
	d := New(name, listener)
	if err := d.Show(live.Snapshot().State(), ""); err != nil {
		return err
	}
	group.Go(func() error { return d.Serve(ctx) })
	group.Go(func() error { return d.follow(ctx, live) })
	fmt.Fprintln(env.Out, d.URL())
	return group.Wait()
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

// follow shows every state until the context ends.
func (d *Dashboard) follow(ctx context.Context, live *snapshot.Live) error {
	tick := time.NewTicker(refresh)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			live.Wait()
			return nil
		case <-live.Changed():
			select {
			case <-ctx.Done():
			case <-time.After(settling):
			}
		case <-tick.C:
		}
		stale := ""
		if err := live.Stale(); err != nil {
			stale = err.Error()
		}
		if err := d.Show(live.Snapshot().State(), stale); err != nil {
			return err
		}
	}
}
