// The cloud-controller-manager of clusters that have no cloud: the standard controllers of
// k8s.io/cloud-provider over Clarion's provider. It needs no flag to run in a cluster.
//
//	newCloud ──► leadership.start: stands for election ──► elected
//	         ──► provider.New: follows the API from now on     │
//	controllers ──► leadership.gate: wait ◄────────────────────┴──► the provider acts
package main

import (
	"context"
	"fmt"
	"os"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/record"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	"k8s.io/cloud-provider/names"
	"k8s.io/cloud-provider/options"
	"k8s.io/component-base/cli"
	cliflag "k8s.io/component-base/cli/flag"
	_ "k8s.io/component-base/logs/json/register" // --logging-format=json
	"k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/clientgo" // client-go's metrics
	_ "k8s.io/component-base/metrics/prometheus/version"  // kubernetes_build_info
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/apiserver"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/rollback"
	"github.com/clarionlb/clarion/internal/scope"
	"github.com/clarionlb/clarion/internal/timerslack"
	"github.com/clarionlb/clarion/provider"
	"github.com/clarionlb/clarion/provider/cloudconfig"
)

func main() {
	timerslack.Relax()
	opts, err := options.NewCloudControllerManagerOptions()
	utilruntime.Must(err)
	opts.KubeCloudShared.CloudProvider.Name = provider.ProviderName
	// A lease of our own: with the default name, a second cloud-controller-manager in the cluster
	// and this one would silently keep each other from running.
	opts.Generic.LeaderElection.ResourceName = v1alpha1.ControllerLease
	// How soon a replica notices that the lease was released.
	opts.Generic.LeaderElection.RetryPeriod = metav1.Duration{Duration: time.Second}
	// No more requests at once than workers, and no limit on their rate: the API server has one, by
	// priority and fairness.
	opts.Generic.ClientConnection.QPS = -1
	opts.ServiceController.ConcurrentServiceSyncs = 20
	utilruntime.ErrorHandlers[0] = quietRefusals(utilruntime.ErrorHandlers[0])
	// No webhooks are served.
	opts.Webhook, opts.WebhookServing = nil, nil

	// No route controller: routes between pods are the network plugin's business. The lifecycle
	// controller deletes Nodes and so runs only when asked for.
	leader := newLeadership()
	controllers := map[string]app.ControllerInitFuncConstructor{
		names.ServiceLBController: withProblem(leader.gate(app.ControllerInitFuncConstructor{
			InitContext: app.ControllerInitContext{ClientName: "service-controller"},
			Constructor: provider.StartServiceController,
		}), func(cloud cloudprovider.Interface) error { return cloud.(*provider.Cloud).Problem() }),
		names.CloudNodeController: leader.gate(app.ControllerInitFuncConstructor{
			InitContext: app.ControllerInitContext{ClientName: "node-controller"},
			Constructor: provider.StartNodeController,
		}),
		names.CloudNodeLifecycleController: leader.gate(app.DefaultInitFuncConstructors[names.CloudNodeLifecycleController]),
	}
	app.ControllersDisabledByDefault.Insert(names.CloudNodeLifecycleController)

	var clarion clarionFlags
	var flags cliflag.NamedFlagSets
	flags.FlagSet("clarion").StringVar(&clarion.served.Class, "load-balancer-class", v1alpha1.LoadBalancerClass,
		"The spec.loadBalancerClass of Services to serve. The announcers need the same flag.")
	flags.FlagSet("clarion").BoolVar(&clarion.served.RequireClass, "require-load-balancer-class", false,
		"Serve only Services that have the class of --load-balancer-class, and leave those without a class to others.")
	flags.FlagSet("clarion").BoolVar(&clarion.ignoreExcludeLabel, "ignore-exclude-label", false,
		"Take nodes with the label "+corev1.LabelNodeExcludeBalancers+" for such as announce. The announcers need the same flag.")
	flags.FlagSet("clarion").BoolVar(&clarion.withdrawEndpoints, "withdraw-endpoints-of-dead-nodes", false,
		"Mark the pods of a node not ready once a majority of the announcers takes it for dead, long before Kubernetes does. "+
			"The announcers need --record-dead-nodes.")

	ctx := genericapiserver.SetupSignalContext()
	var machines *cloudconfig.Config
	newCloud := func(completed *config.CompletedConfig) cloudprovider.Interface {
		return newCloud(ctx, completed, leader, clarion, machines)
	}
	command := app.NewCloudControllerManagerCommand(opts, newCloud, controllers, names.CCMControllerAliases(), flags, ctx.Done())
	adapt(command, func() error {
		// First of all, as whoever has made a mistake in it waits for the answer.
		var err error
		if machines, err = readMachines(opts.KubeCloudShared.CloudProvider.CloudConfigFile); err != nil {
			return err
		}
		kubeconfig, err := apiserver.Config(opts.Master, opts.Generic.ClientConnection.Kubeconfig)
		if err != nil {
			return err
		}
		return waitForCluster(ctx, kubeconfig, opts.SecureServing.BindAddress, opts.SecureServing.BindPort)
	})
	code := cli.Run(command)
	if ctx.Err() != nil {
		leader.leave() // told to stop
	}
	os.Exit(code)
}

// clarionFlags are the flags that are not the framework's.
type clarionFlags struct {
	served             scope.Scope
	ignoreExcludeLabel bool
	withdrawEndpoints  bool
}

// readMachines reads the file of --cloud-config, if there is one.
func readMachines(path string) (*cloudconfig.Config, error) {
	if path == "" {
		return &cloudconfig.Config{}, nil
	}
	machines, err := cloudconfig.Read(path)
	if err != nil {
		return nil, fmt.Errorf("--cloud-config: %w", err)
	}
	return machines, nil
}

// newCloud makes the provider and stands for election. What is wrong here is wrong with the flags:
// the process exits.
func newCloud(ctx context.Context, completed *config.CompletedConfig, leader *leadership, clarion clarionFlags, machines *cloudconfig.Config) cloudprovider.Interface {
	logger := klog.FromContext(ctx)
	if name := completed.ComponentConfig.KubeCloudShared.CloudProvider.Name; name != provider.ProviderName {
		err := fmt.Errorf("--cloud-provider=%s: this cloud-controller-manager has one provider, %s", name, provider.ProviderName)
		exit(logger, err, "Cannot make the cloud provider")
	}
	recordEvents(ctx, completed)
	if err := leader.start(ctx, completed); err != nil {
		exit(logger, err, "Cannot stand for election")
	}
	guard := rollback.NewGuard(func(path string) {
		leader.wentBack(logger, "path", path)
	})
	if err := guardInformers(ctx, completed, guard); err != nil {
		exit(logger, err, "Cannot make a client")
	}
	cloud := provider.New(provider.Config{
		Informers:          completed.SharedInformers,
		WrapTransport:      guard.Wrap,
		Elected:            leader.elected,
		Scope:              clarion.served,
		IgnoreExcludeLabel: clarion.ignoreExcludeLabel,
		WithdrawEndpoints:  clarion.withdrawEndpoints,
		Machines:           machines,
		Events:             completed.EventRecorder,
		Metrics:            processMetrics{},
		Logger:             logger,
	})
	problem := cloud.Problem
	leader.problem.Store(&problem)
	return cloud
}

// eventsPerObject is how many events there are in a second about one object, after a burst. client-go's default, one in five
// minutes, would drop the last event about a Service that went to and fro.
const eventsPerObject = 1.0 / 20

// recordEvents has the events that the provider writes come from Clarion. The framework starts the broadcaster.
func recordEvents(ctx context.Context, completed *config.CompletedConfig) {
	completed.EventBroadcaster = record.NewBroadcaster(record.WithContext(liblog.Errors(ctx)),
		record.WithCorrelatorOptions(record.CorrelatorOptions{QPS: eventsPerObject}))
	completed.EventRecorder = completed.EventBroadcaster.NewRecorder(scheme.Scheme, corev1.EventSource{Component: v1alpha1.EventSource})
}

// guardInformers has the informers that the controllers share, of which none is used yet, watch through
// a guard.
func guardInformers(ctx context.Context, completed *config.CompletedConfig, guard *rollback.Guard) error {
	kubeconfig := rest.AddUserAgent(rest.CopyConfig(completed.Kubeconfig), "shared-informers")
	kubeconfig.Wrap(apiserver.NewMonitor(klog.FromContext(ctx)).Wrap)
	kubeconfig.Wrap(guard.Wrap)
	client, err := kubernetes.NewForConfig(kubeconfig)
	if err != nil {
		return err
	}
	completed.SharedInformers = quietInformers{informers.NewSharedInformerFactory(client, app.ResyncPeriod(completed)()), ctx}
	return nil
}

// quietInformers are informers that leave it to the apiserver.Monitor to log that the API server is away.
type quietInformers struct {
	informers.SharedInformerFactory
	ctx context.Context // has the logger
}

// Start is called by the framework.
func (i quietInformers) Start(stop <-chan struct{}) {
	ctx := klog.NewContext(wait.ContextForChannel(stop), klog.FromContext(i.ctx))
	i.StartWithContext(liblog.Informers(ctx))
}

// processMetrics is the registry that the framework serves at /metrics.
type processMetrics struct{}

func (processMetrics) MustRegister(m ...metrics.Registerable) { legacyregistry.MustRegister(m...) }

func (processMetrics) CustomMustRegister(c ...metrics.StableCollector) {
	legacyregistry.CustomMustRegister(c...)
}

// exit ends the process with an error.
func exit(logger klog.Logger, err error, message string, keysAndValues ...any) {
	logger.WithCallDepth(1).Error(err, message, keysAndValues...)
	klog.FlushAndExit(klog.ExitFlushTimeout, 1)
}
