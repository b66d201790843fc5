// kubectl-clarion is a plugin of kubectl: with it in the PATH, "kubectl clarion" works.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/component-base/version"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/bundle"
	"github.com/clarionlb/clarion/internal/plugin/dashboard"
	"github.com/clarionlb/clarion/internal/plugin/diff"
	"github.com/clarionlb/clarion/internal/plugin/drain"
	"github.com/clarionlb/clarion/internal/plugin/migrate"
	"github.com/clarionlb/clarion/internal/plugin/show"
	"github.com/clarionlb/clarion/internal/plugin/simulate"
	"github.com/clarionlb/clarion/internal/plugin/uninstall"
	"github.com/clarionlb/clarion/internal/plugin/validate"
	"github.com/clarionlb/clarion/internal/plugin/why"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, genericiooptions.IOStreams{In: os.Stdin, Out: os.Stdout, ErrOut: os.Stderr}, os.Args[1:]))
}

// run executes a command line and returns its exit code.
func run(ctx context.Context, streams genericiooptions.IOStreams, args []string) int {
	command := newCommand(streams)
	command.SetArgs(args)
	err := command.ExecuteContext(ctx)
	if err != nil && !errors.Is(err, plugin.ErrFound) {
		fmt.Fprintln(streams.ErrOut, "error:", err)
	}
	return plugin.ExitCode(err)
}

func newCommand(streams genericiooptions.IOStreams) *cobra.Command {
	env := plugin.Env{IOStreams: streams, Flags: genericclioptions.NewConfigFlags(true)}
	command := &cobra.Command{
		Use:   "kubectl-clarion",
		Short: "See what Clarion does and why, move a cluster to it, and remove it from one",
		Long: `See what Clarion does and why, move a cluster to it, and remove it from one.

Exit codes: 0 if all is well, 1 if something went wrong or is wrong, 2 if the command line is wrong, 3 if nothing was done because
somebody would lose something.`,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: "kubectl clarion"},
		Version:       version.Get().GitVersion,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          plugin.NoArgs,
		RunE:          func(command *cobra.Command, _ []string) error { return command.Help() },
	}
	command.SetIn(streams.In)
	command.SetOut(streams.Out)
	command.SetErr(streams.ErrOut)
	command.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &plugin.Usage{Err: err} })
	env.Flags.AddFlags(command.PersistentFlags())
	command.AddCommand(show.NewCommands(env)...)
	command.AddCommand(why.NewCommand(env), dashboard.NewCommand(env), migrate.NewCommand(env), uninstall.NewCommand(env))
	command.AddCommand(validate.NewCommand(env), diff.NewCommand(env), simulate.NewCommand(env))
	command.AddCommand(drain.NewDrain(env), drain.NewUndrain(env), drain.NewRebalance(env), bundle.NewCommand(env))
	return command
}
