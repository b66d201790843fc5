package drain

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
)

type undrainOptions struct {
	plugin.Env
	dryRun bool
}

// NewUndrain makes the verb undrain.
func NewUndrain(env plugin.Env) *cobra.Command {
	o := &undrainOptions{Env: env}
	command := &cobra.Command{
		Use:   "undrain NODE...",
		Short: "Have nodes announce addresses again that were drained",
		Long: `Have nodes announce addresses again that were drained: the annotation clarionlb.io/drain is removed from the Nodes. By BGP they
announce what they can at once. On layer 2 they get what comes up; "kubectl clarion rebalance" hands addresses back.`,
		Example:           `  kubectl clarion undrain node-1`,
		Args:              atLeastOneNode,
		ValidArgsFunction: env.Complete(plugin.Nodes),
		RunE: func(command *cobra.Command, nodes []string) error {
			clients, err := env.Clients()
			if err != nil {
				return err
			}
			return o.run(command.Context(), clients, nodes)
		},
	}
	command.Flags().BoolVar(&o.dryRun, "dry-run", false, "Say what would happen, and do nothing.")
	return command
}

func (o *undrainOptions) run(ctx context.Context, clients *plugin.Clients, names []string) error {
	var nodes []*corev1.Node
	for _, name := range names { // all of them exist, or nothing is done
		node, err := clients.Kube.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		nodes = append(nodes, node)
	}
	for _, node := range nodes {
		if err := o.undrain(ctx, clients, node); err != nil {
			return err
		}
	}
	return nil
}

func (o *undrainOptions) undrain(ctx context.Context, clients *plugin.Clients, node *corev1.Node) error {
	switch _, annotated := node.Annotations[v1alpha1.AnnotationDrain]; {
	case !annotated:
		fmt.Fprintf(o.Out, "Node %s has no annotation %s\n", node.Name, v1alpha1.AnnotationDrain)
	case o.dryRun:
		fmt.Fprintf(o.Out, "Node %s would not be drained any more by its annotation\n", node.Name)
	default:
		if err := annotate(ctx, clients, node.Name, "null"); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "Node %s is not drained any more by its annotation\n", node.Name)
	}
	for _, cause := range plan.DrainedBy(node, defaultDrainTaint) {
		if cause.Kind != plan.DrainAnnotation {
			fmt.Fprintf(o.ErrOut, "warning: the %s %s drains Node %s, too\n", cause.Kind, cause.Key, node.Name)
		}
	}
	return nil
}

// defaultDrainTaint is that of the flag --drain-taints of the announcers.
const defaultDrainTaint = corev1.TaintNodeOutOfService
