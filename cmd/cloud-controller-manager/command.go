package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/versionflag"
)

// idle are flags of the framework that mean nothing here. They are accepted, since they stand in many a manifest, and not shown.
var idle = []string{
	"allocate-node-cidrs", "cidr-allocator-type", "cluster-cidr", "cluster-name", "configure-cloud-routes", "enable-leader-migration",
	"external-cloud-volume-plugin", "leader-migration-config", "route-reconciliation-period",
}

// adapt makes the command of the framework that of Clarion: it says what the program is, and which version of it; flags that
// mean nothing here are not shown; and the log has those flags that were set, not all that there are. Prepare is called before
// the framework runs.
func adapt(command *cobra.Command, prepare func() error) {
	command.Short = "Gives Services of type LoadBalancer their addresses"
	command.Long = `The cloud-controller-manager of Clarion, the cloud provider for clusters that have no cloud. It gives Services of
type LoadBalancer addresses from IPAddressPools, and initialises the Nodes of a cluster that was set up with an external
cloud provider. The announcers, one on each node, make the addresses reachable.`
	// This flag's default is a literal, whatever the options say.
	routes := command.Flags().Lookup("configure-cloud-routes")
	utilruntime.Must(routes.Value.Set("false"))
	routes.DefValue = "false"
	for _, name := range idle {
		utilruntime.Must(command.Flags().MarkHidden(name))
	}
	run := command.RunE
	command.RunE = func(command *cobra.Command, args []string) error {
		if versionflag.Print(command.OutOrStdout(), command.Name(), command.Flags()) {
			return nil
		}
		applyLogging(command.Flags())
		set := &cobra.Command{} // all that the framework takes from it is which flags to log
		command.Flags().Visit(func(flag *pflag.Flag) {
			set.Flags().AddFlag(flag)
			if flag.Hidden {
				klog.Background().Info("This flag has no effect", "flag", "--"+flag.Name)
			}
		})
		if err := prepare(); err != nil {
			return err
		}
		return run(set, args)
	}
}

// applyLogging has what is logged before the framework runs have the form that the flags ask for. The framework applies the same flags
// later, to no effect. It also says what is wrong with them, when it knows the feature gates.
func applyLogging(flags *pflag.FlagSet) {
	options, ours := logs.NewOptions(), pflag.NewFlagSet("", pflag.ContinueOnError)
	logsapi.AddFlags(options, ours)
	ours.VisitAll(func(flag *pflag.Flag) {
		if given := flags.Lookup(flag.Name); given != nil && given.Changed {
			_ = ours.Set(flag.Name, given.Value.String()) // it was parsed before
		}
	})
	logsapi.ReapplyHandling = logsapi.ReapplyHandlingIgnoreUnchanged
	_ = liblog.Apply(options, utilfeature.DefaultFeatureGate)
}
