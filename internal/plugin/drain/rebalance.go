package drain

import (
	"context"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

type rebalanceOptions struct {
	plugin.Env
	dryRun bool
}

// NewRebalance makes the verb rebalance.
func NewRebalance(env plugin.Env) *cobra.Command {
	o := &rebalanceOptions{Env: env}
	command := &cobra.Command{
		Use:   "rebalance [NODE...]",
		Short: "Have nodes carry equally many addresses on layer 2",
		Long: `Have nodes carry equally many addresses on layer 2. The nodes that carry more than their share hand addresses to others; if nodes are
named, only these do. As few addresses move as possible, and connections go on. The Announcers get the annotation clarionlb.io/rebalance.`,
		Example: `  kubectl clarion rebalance --dry-run
  kubectl clarion rebalance`,
		ValidArgsFunction: env.Complete(plugin.Nodes),
		RunE: func(command *cobra.Command, nodes []string) error {
			clients, err := env.Clients()
			if err != nil {
				return err
			}
			return o.run(command.Context(), clients, nodes, time.Now())
		},
	}
	command.Flags().BoolVar(&o.dryRun, "dry-run", false, "Say what would happen, and do nothing.")
	return command
}

func (o *rebalanceOptions) run(ctx context.Context, clients *plugin.Clients, nodes []string, now time.Time) error {
	taken, err := snapshot.Read(ctx, clients.Kube, clients.Clarion)
	if err != nil {
		return err
	}
	for _, name := range nodes {
		if snapshot.Find(taken.Announcers, "", name) == nil {
			return fmt.Errorf("there is no Announcer %s", name)
		}
	}
	state := taken.State()
	to := state.Announced.Rebalance()
	asked := map[string]bool{}
	for _, address := range slices.SortedFunc(maps.Keys(to), netip.Addr.Compare) {
		from := state.Announced.Address(taken.Time, address).Layer2.Decision.Owner
		if len(nodes) > 0 && !slices.Contains(nodes, from) {
			continue
		}
		asked[from] = true
		fmt.Fprintf(o.Out, "%s moves from %s to %s\n", address, from, to[address])
	}
	if len(asked) == 0 {
		fmt.Fprintln(o.Out, "Nothing has to move.")
	}
	if o.dryRun {
		return nil
	}
	patch := fmt.Appendf(nil, `{"metadata":{"annotations":{%q:%q}}}`, v1alpha1.AnnotationRebalance, now.UTC().Format(time.RFC3339Nano))
	for _, node := range slices.Sorted(maps.Keys(asked)) {
		_, err := clients.Clarion.ClarionV1alpha1().Announcers().Patch(ctx, node, types.MergePatchType, patch, metav1.PatchOptions{})
		if err != nil {
			return fmt.Errorf("annotate Announcer %s: %w", node, err)
		}
	}
	return nil
}
