// Package drain has the verbs by which addresses leave a node and come back: drain, undrain and rebalance.
package drain

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/simulate"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/whatif"
	"github.com/clarionlb/clarion/provider/announced"
)

// pollInterval is how often an Announcer is looked at.
const pollInterval = 500 * time.Millisecond

type drainOptions struct {
	plugin.Env
	force, dryRun bool
	timeout       time.Duration
}

// NewDrain makes the verb drain.
func NewDrain(env plugin.Env) *cobra.Command {
	o := &drainOptions{Env: env}
	command := &cobra.Command{
		Use:   "drain NODE...",
		Short: "Have other nodes announce the addresses of nodes",
		Long: `Have other nodes announce the addresses of nodes, and wait until that is so. The Nodes get the annotation clarionlb.io/drain. Pods are
left alone: "kubectl drain" is for those.

If no other node can announce some of the addresses, nothing is done, and the exit code is 3. With --force the rest leaves the nodes, and
they go on with those addresses. Connections that began on a node go on there: wait for them before you shut it down.`,
		Example: `  kubectl clarion drain node-1
  kubectl clarion drain node-1 --dry-run`,
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
	flags := command.Flags()
	flags.BoolVar(&o.force, "force", false, "Drain the nodes although no other node can announce some of their addresses.")
	flags.BoolVar(&o.dryRun, "dry-run", false, "Say what would happen, and do nothing.")
	flags.DurationVar(&o.timeout, "timeout", 5*time.Minute, "How long to wait until the nodes announce nothing any more; 0 for not at all.")
	return command
}

func atLeastOneNode(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return plugin.Usagef("name nodes")
	}
	return nil
}

// rest is what a node announces that is drained: what no other node can.
type rest struct {
	addresses, routes int
}

func (o *drainOptions) run(ctx context.Context, clients *plugin.Clients, nodes []string) error {
	taken, err := snapshot.Read(ctx, clients.Kube, clients.Clarion)
	if err != nil {
		return err
	}
	report, err := simulate.New(taken, "drain", nodes)
	if err != nil {
		return err
	}
	if o.dryRun {
		if err := report.Write(o.Out); err != nil {
			return err
		}
	}
	stays, err := staying(taken, nodes)
	if err != nil {
		return err
	}
	if len(stays) > 0 && !o.force {
		return plugin.Refusef("no other node can announce %s: --force drains of everything else", strings.Join(stays, ", "))
	}
	for _, unread := range taken.Unread {
		fmt.Fprintf(o.ErrOut, "warning: nothing is known of %s: %s\n", unread.Kind, unread.Why)
	}
	if len(stays) > 0 {
		fmt.Fprintf(o.ErrOut, "warning: no other node can announce %s\n", strings.Join(stays, ", "))
	}
	if o.dryRun {
		return nil
	}
	for _, node := range nodes {
		if err := annotate(ctx, clients, node, `"true"`); err != nil {
			return err
		}
		fmt.Fprintf(o.Out, "Node %s is to be drained\n", node)
	}
	if o.timeout == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, o.timeout)
	defer cancel()
	for _, node := range nodes {
		n := report.Load[node]
		if err := o.await(ctx, clients, node, rest{n.Addresses, n.Routes}); err != nil {
			return err
		}
	}
	return nil
}

// staying are the addresses that nodes which are drained still announce, with the first of their Services.
func staying(taken *snapshot.Snapshot, nodes []string) (list []string, err error) {
	drained, err := whatif.WithDrained(taken, nodes...)
	if err != nil {
		return nil, err
	}
	for name, service := range whatif.Of(drained.State()).Services {
		for _, a := range service.Addresses {
			stays := slices.Contains(nodes, a.Owner) || slices.ContainsFunc(a.Routes, func(r announced.Route) bool { return slices.Contains(nodes, r.Node) })
			if stays {
				list = append(list, fmt.Sprintf("%s of Service %s", a.Address, name))
			}
		}
	}
	slices.Sort(list)
	return list, nil
}

// annotate sets or, with null, removes the annotation of a Node. value is JSON.
func annotate(ctx context.Context, clients *plugin.Clients, node, value string) error {
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, v1alpha1.AnnotationDrain, value)
	_, err := clients.Kube.CoreV1().Nodes().Patch(ctx, node, types.MergePatchType, []byte(patch), metav1.PatchOptions{})
	if err != nil {
		return fmt.Errorf("annotate Node %s: %w", node, err)
	}
	return nil
}

// await waits until a node announces no more than what stays, and tells of each change.
func (o *drainOptions) await(ctx context.Context, clients *plugin.Clients, node string, stays rest) error {
	told := ""
	err := wait.PollUntilContextCancel(ctx, pollInterval, true, func(ctx context.Context) (bool, error) {
		announcer, err := clients.Clarion.ClarionV1alpha1().Announcers().Get(ctx, node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			told = fmt.Sprintf("Node %s has no Announcer, and so announces nothing", node)
			fmt.Fprintln(o.Out, told)
			return true, nil
		}
		if err != nil {
			return false, err
		}
		slices, err := clients.Clarion.ClarionV1alpha1().ClaimSlices().List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelAnnouncer + "=" + node})
		if err != nil && !apierrors.IsNotFound(err) {
			return false, err
		}
		announcer.Status.Layer2.Addresses = claims.OfList(announcer, slices)
		sentence, done := progress(announcer, stays)
		if sentence != told {
			told = sentence
			fmt.Fprintf(o.Out, "Node %s %s\n", node, told)
		}
		return done, nil
	})
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("after %s Node %s %s; it stays drained until \"kubectl clarion undrain %s\"", o.timeout, node, told, node)
	}
	return err
}

// progress says what the node of an Announcer announces, and whether that is no more than what stays.
func progress(announcer *v1alpha1.Announcer, stays rest) (sentence string, done bool) {
	ready := meta.FindStatusCondition(announcer.Status.Conditions, v1alpha1.ConditionReady)
	addresses, routes := len(announcer.Status.Layer2.Addresses), 0
	for _, session := range announcer.Status.BGP.Peers {
		routes = max(routes, int(session.Prefixes))
	}
	what := fmt.Sprintf("%s and %s", counted(addresses, "address", "addresses"), counted(routes, "route", "routes"))
	switch {
	case ready != nil && (ready.Reason == v1alpha1.ReasonAnnouncerDown || ready.Reason == v1alpha1.ReasonNodeUnreachable):
		return "cannot say what it announces: " + ready.Message, false
	case ready == nil || ready.Reason != v1alpha1.ReasonDraining && ready.Reason != v1alpha1.ReasonStopped:
		return "has not noticed yet", false
	case addresses > stays.addresses || routes > stays.routes:
		return "still announces " + what, false
	case addresses+routes > 0:
		return "announces " + what + ", which no other node can", true
	}
	return "announces nothing any more", true
}

func counted(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
