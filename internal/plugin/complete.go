package plugin

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// completionPatience is how long the completion of a shell waits for the API server.
const completionPatience = 3 * time.Second

// Names has the names of objects that begin with what is typed.
type Names func(ctx context.Context, clients *Clients, namespace string) ([]string, error)

// Complete completes one argument by names. What cannot be read is left out.
func (e Env) Complete(names ...Names) cobra.CompletionFunc {
	return func(command *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		clients, err := e.Clients()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(command.Context(), completionPatience)
		defer cancel()
		var found []string
		for _, of := range names {
			list, err := of(ctx, clients, e.Namespace())
			if err != nil {
				continue
			}
			for _, name := range list {
				if strings.HasPrefix(name, typed) {
					found = append(found, name)
				}
			}
		}
		return found, cobra.ShellCompDirectiveNoFileComp
	}
}

// Namespace is the one that the flags or the kubeconfig name.
func (e Env) Namespace() string {
	namespace, _, err := e.Flags.ToRawKubeConfigLoader().Namespace()
	if err != nil || namespace == "" {
		return metav1.NamespaceDefault
	}
	return namespace
}

// Services are the load balancers of a namespace.
func Services(ctx context.Context, clients *Clients, namespace string) (names []string, err error) {
	list, err := clients.Kube.CoreV1().Services(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, service := range list.Items {
		if service.Spec.Type == "LoadBalancer" {
			names = append(names, service.Name)
		}
	}
	return names, nil
}

// Nodes are all nodes.
func Nodes(ctx context.Context, clients *Clients, _ string) (names []string, err error) {
	list, err := clients.Kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, node := range list.Items {
		names = append(names, node.Name)
	}
	return names, nil
}

// BGPPeers are all BGPPeers.
func BGPPeers(ctx context.Context, clients *Clients, _ string) (names []string, err error) {
	list, err := clients.Clarion.ClarionV1alpha1().BGPPeers().List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, err
	}
	for _, peer := range list.Items {
		names = append(names, peer.Name)
	}
	return names, nil
}
