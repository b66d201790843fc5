// Command kubelet stands for the kubelet on a node of a test cluster, where nodes are network
// namespaces. It runs inside its node's network namespace, one process per node, and does what the
// rest of Kubernetes can see of a kubelet started with --cloud-provider=external: it registers the
// Node with the taint and the annotation that the cloud-controller-manager waits for, renews its
// lease and status, runs the pods bound to the node, probes them, reports their status and honours
// their deletion. It authenticates as system:node:NAME and lives with the Node authorizer and
// NodeRestriction.
//
// What a pod is:
//   - A pod has a network namespace named NETNS-PREFIX-SHORTID, with an eth0 that is routed by
//     the node; a pod with hostNetwork lives in the node's own.
//   - A container whose image repository is the NAME of an --image runs for real: the files in
//     DIR become a root file system of its own, and command, arguments, environment, volumes, the
//     ServiceAccount's token and the security context apply. Such an image is taken to declare USER
//     65532:65532 and, as its entry point, the file in DIR named after the last element of NAME.
//   - Every other container is an echo server (package echo) on its containerPorts: HTTP on TCP
//     ports, raw TCP on TCP ports whose name is tcp or begins with "tcp-", and UDP. Where no
//     container of the pod declares a port, the first serves HTTP on 8080. Its volumes, security
//     context and command are ignored; exec probes and hooks run with the files of the machine.
//   - Init containers of other images count as succeeded.
//
// The container ID in a pod's status is process://PID, the process to look at or to kill. Each
// container's output is in LOG-DIR/NAMESPACE_POD_CONTAINER.log.
//
// Pods live and die with this process: on SIGTERM it kills them, and if it is killed itself the
// kernel does. When it starts it removes what an earlier run left, and starts the pods of the node
// again.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/test/cluster/echo"
)

func main() {
	if len(os.Args) > 1 {
		switch os.Args[1] {
		case echoCommand:
			os.Exit(echo.Main(os.Args[2:]))
		case enterCommand:
			enterContainer()
		}
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "kubelet:", err)
		klog.FlushAndExit(klog.ExitFlushTimeout, 1)
	}
}

func run(ctx context.Context, args []string) error {
	options, err := parseOptions(args)
	if err != nil {
		return err
	}
	config, err := clientcmd.BuildConfigFromFlags("", options.Kubeconfig)
	if err != nil {
		return err
	}
	config.UserAgent = "kubelet/" + kubeletVersion
	config.ContentType = "application/vnd.kubernetes.protobuf"
	config.QPS, config.Burst = 200, 400
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return err
	}
	ctx = klog.NewContext(ctx, klog.FromContext(ctx).WithValues("node", options.NodeName))
	return newKubelet(options, client).run(ctx)
}
