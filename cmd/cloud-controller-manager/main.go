// The cloud-controller-manager of clusters that have no cloud: the standard controllers of k8s.io/cloud-provider over
// Clarion's provider. It needs no flag to run in a cluster.
package main

import (
	"os"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericapiserver "k8s.io/apiserver/pkg/server"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	_ "k8s.io/component-base/logs/json/register"          // --logging-format=json
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/provider"
)

func main() {
	opts, err := options.NewCloudControllerManagerOptions()
	utilruntime.Must(err)
	opts.KubeCloudShared.CloudProvider.Name = provider.ProviderName
	// A lease of our own: with the default name, a second cloud-controller-manager in the cluster and this one would
	// silently keep each other from running.
	opts.Generic.LeaderElection.ResourceName = "clarion-cloud-controller-manager"
	// Enough to serve about a hundred new Services a second, each with four calls.
	opts.Generic.ClientConnection.QPS, opts.Generic.ClientConnection.Burst = 200, 400
	opts.ServiceController.ConcurrentServiceSyncs = 20
	// No webhooks are served.
	opts.Webhook, opts.WebhookServing = nil, nil

	// No route controller: routes between pods are the network plugin's business. The lifecycle controller deletes Nodes
	// and so runs only when asked for.
	controllers := map[string]app.ControllerInitFuncConstructor{
		names.ServiceLBController: {
			InitContext: app.ControllerInitContext{ClientName: "service-controller"},
			Constructor: provider.StartServiceController,
		},
		names.CloudNodeController:          app.DefaultInitFuncConstructors[names.CloudNodeController],
		names.CloudNodeLifecycleController: app.DefaultInitFuncConstructors[names.CloudNodeLifecycleController],
	}
	app.ControllersDisabledByDefault.Insert(names.CloudNodeLifecycleController)

	command := app.NewCloudControllerManagerCommand(opts, newCloud, controllers, names.CCMControllerAliases(), cliflag.NamedFlagSets{}, genericapiserver.SetupSignalHandler())
	// This flag's default is a literal, whatever the options say.
	routes := command.Flags().Lookup("configure-cloud-routes")
	utilruntime.Must(routes.Value.Set("false"))
	routes.DefValue = "false"
	os.Exit(cli.Run(command))
}

func newCloud(completed *config.CompletedConfig) cloudprovider.Interface {
	if name := completed.ComponentConfig.KubeCloudShared.CloudProvider.Name; name != provider.ProviderName {
		klog.ErrorS(nil, "This cloud-controller-manager has one cloud provider", "cloudProvider", name, "supported", provider.ProviderName)
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	cloud, err := provider.New(completed.SharedInformers, completed.EventRecorder)
	if err != nil {
		klog.ErrorS(err, "Cannot make the cloud provider")
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
	return cloud
}
