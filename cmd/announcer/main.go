// The announcer runs on every node and makes the addresses of Services reachable from it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/component-base/cli"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/component-base/metrics/legacyregistry"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	"k8s.io/component-base/version/verflag"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce"
	"github.com/clarionlb/clarion/announce/heartbeat"
	"github.com/clarionlb/clarion/announce/membership"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/apiserver"
	"github.com/clarionlb/clarion/internal/liblog"
	"github.com/clarionlb/clarion/internal/rollback"
	"github.com/clarionlb/clarion/internal/selfsigned"
	"github.com/clarionlb/clarion/internal/timerslack"
	"github.com/clarionlb/clarion/internal/versionflag"
)

func main() {
	timerslack.Relax()
	os.Exit(cli.Run(newCommand()))
}

type options struct {
	kubeconfig         string
	node               string
	gossipPort         int
	heartbeatPort      int
	heartbeatInterval  time.Duration
	bindAddress        string
	metricsBindAddress string
	class              string
	drainTaints        []string
	ignoreExcludeLabel bool
	recordDeadNodes    bool
	refresh            time.Duration
}

func newCommand() *cobra.Command {
	var o options
	logs := logsapi.NewLoggingConfiguration()
	gate := featuregate.NewFeatureGate()
	utilruntime.Must(logsapi.AddFeatureGates(gate))
	command := &cobra.Command{
		Use:   "announcer",
		Short: "Announces the addresses of Services from this node",
		Long: `The announcer runs on every node. It announces addresses of Services of type LoadBalancer on the networks of its
node, each from one node at a time, and takes over from nodes that go out of sight. With BGPPeers it also announces them to
routers, from all nodes at once.`,
		Args:         cobra.NoArgs,
		SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			if versionflag.Print(command.OutOrStdout(), command.Name(), command.Flags()) {
				return nil
			}
			verflag.PrintAndExitIfRequested()
			if err := liblog.Apply(logs, gate); err != nil {
				return err
			}
			ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
			context.AfterFunc(ctx, stop) // a second signal ends the process at once
			return run(ctx, o)
		},
	}
	o.addFlags(command.Flags())
	logsapi.AddFlags(logs, command.Flags())
	verflag.AddFlags(command.Flags())
	return command
}

func (o *options) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&o.kubeconfig, "kubeconfig", "", "Path to a kubeconfig file. Empty: the pod's service account.")
	flags.StringVar(&o.node, "node-name", os.Getenv("NODE_NAME"),
		"Name of the Node that this runs on. Default: $NODE_NAME or else the host's name in lower case.")
	flags.IntVar(&o.gossipPort, "gossip-port", membership.DefaultPort,
		"TCP and UDP port on which announcers watch each other, the same on all nodes.")
	flags.IntVar(&o.heartbeatPort, "heartbeat-port", heartbeat.DefaultPort,
		"UDP port on which announcers send each other heartbeats, the same on all nodes.")
	flags.DurationVar(&o.heartbeatInterval, "heartbeat-interval", heartbeat.DefaultInterval,
		"Time between two heartbeats to each of four other announcers, from 20ms to 200ms. A node is asked for when one is missing, "+
			"and is dead if it does not answer and three are missing. Of two announcers the longer interval counts.")
	flags.DurationVar(&o.refresh, "refresh", time.Minute,
		"How often addresses are announced again although nothing has changed, for switches that forget. 0: never.")
	flags.StringVar(&o.class, "load-balancer-class", v1alpha1.LoadBalancerClass,
		"The spec.loadBalancerClass of Services that are Clarion's, the same as the cloud-controller-manager has.")
	flags.StringSliceVar(&o.drainTaints, "drain-taints", []string{corev1.TaintNodeOutOfService},
		"Keys of the taints that have a node drained: its addresses are announced from others, if others can.")
	flags.BoolVar(&o.ignoreExcludeLabel, "ignore-exclude-label", false,
		"Announce from nodes with the label "+corev1.LabelNodeExcludeBalancers+" too, as clusters need that have no other nodes. "+
			"The cloud-controller-manager needs the same flag.")
	flags.BoolVar(&o.recordDeadNodes, "record-dead-nodes", false,
		"Record which nodes are silent, as the cloud-controller-manager needs with --withdraw-endpoints-of-dead-nodes.")
	flags.StringVar(&o.bindAddress, "bind-address", "127.0.0.1:7948",
		"Address and port of /healthz, /readyz and /metrics, over HTTP.")
	flags.StringVar(&o.metricsBindAddress, "metrics-bind-address", "",
		"Address and port of /metrics over HTTPS, for those whom the API server lets read it. Empty: none.")
}

func run(ctx context.Context, o options) error {
	if err := heartbeat.Check(o.heartbeatInterval); err != nil {
		return err
	}
	if o.node == "" {
		name, err := os.Hostname()
		if err != nil {
			return fmt.Errorf("no --node-name given: %w", err)
		}
		o.node = strings.ToLower(name)
	}
	config, err := apiserver.Config("", o.kubeconfig)
	if err != nil {
		return fmt.Errorf("configure the API client: %w", err)
	}
	config.UserAgent = rest.DefaultKubernetesUserAgent()
	config.QPS = -1 // the API server has limits of its own, and a start is not to wait for a dozen lists
	config.Wrap(apiserver.NewMonitor(klog.Background()).Wrap)
	var announcer *announce.Announcer
	config.Wrap(rollback.NewGuard(func(path string) { // of informers that run because it does
		klog.Background().Info("The API has gone back, as if restored from a copy. Reading these objects anew", "path", path)
		announcer.APIWentBack()
	}).Wrap)
	clarion, err := versioned.NewForConfig(config)
	if err != nil {
		return fmt.Errorf("create the API client: %w", err)
	}
	// Custom resources come as JSON only; the built-in ones are cheaper as protobuf.
	builtin := rest.CopyConfig(config)
	builtin.ContentType = runtime.ContentTypeProtobuf
	builtin.AcceptContentTypes = runtime.ContentTypeProtobuf + "," + runtime.ContentTypeJSON
	kube, err := kubernetes.NewForConfig(builtin)
	if err != nil {
		return fmt.Errorf("create the API client: %w", err)
	}
	announcer = announce.New(announce.Config{
		Node:               o.node,
		Kubernetes:         kube,
		Clarion:            clarion,
		LoadBalancerClass:  o.class,
		DrainTaints:        o.drainTaints,
		IgnoreExcludeLabel: o.ignoreExcludeLabel,
		RecordDeadNodes:    o.recordDeadNodes,
		Refresh:            o.refresh,
		GossipPort:         o.gossipPort,
		HeartbeatPort:      o.heartbeatPort,
		HeartbeatInterval:  o.heartbeatInterval,
		Registry:           legacyregistry.Registerer(),
		Logger:             klog.Background(),
	})
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return serve(ctx, o.bindAddress, nil, newHandler(announcer.Healthy, announcer.Unready)) })
	if o.metricsBindAddress != "" {
		certificate, err := selfsigned.New()
		if err != nil {
			return err
		}
		group.Go(func() error { return serve(ctx, o.metricsBindAddress, certificate, newMetricsHandler(kube)) })
	}
	group.Go(func() error {
		if err := awaitAPIServer(ctx, kube.Discovery().RESTClient()); err != nil {
			return nil // it was told to end
		}
		return announcer.Run(ctx)
	})
	return group.Wait()
}

// awaitAPIServer blocks until an API server can be reached; an error means that the context has ended before. There is nothing to
// announce without it. On a node that has just started, the Service address of the API is not there at first.
func awaitAPIServer(ctx context.Context, client rest.Interface) error {
	return apiserver.Await(ctx, client, func(err error) bool {
		var answer apierrors.APIStatus
		return err == nil || errors.As(err, &answer) // also one that is not ready may know what is to be announced
	})
}
