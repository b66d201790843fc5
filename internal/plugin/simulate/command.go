// Package simulate is the verb that says what becomes of addresses if nodes fail or are drained, before they do.
package simulate

import (
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
	"github.com/clarionlb/clarion/internal/plugin/whatif"
)

// happenings are what can be simulated.
var happenings = map[string]func(*snapshot.Snapshot, ...string) (*snapshot.Snapshot, error){
	"fail":  whatif.WithFailed,
	"drain": whatif.WithDrained,
}

type options struct {
	plugin.Source
	output plugin.Output
}

// NewCommand makes the verb.
func NewCommand(env plugin.Env) *cobra.Command {
	o := &options{Source: plugin.Source{Env: env}}
	command := &cobra.Command{
		Use:   "simulate fail|drain NODE...",
		Short: "Say what becomes of addresses if nodes fail or are drained",
		Long: `Say what becomes of addresses if nodes fail or are drained, all at once. Nothing is changed.

The code that decides on the nodes is asked, with the objects as they are: who takes which address, which routes are withdrawn, which
sessions remain, how much each node carries then, and which Services nobody would answer for any more. Nodes that fail have no endpoints;
those that are drained keep theirs.

Exit code 1 means that a Service would not be answered any more which is now.`,
		Example: `  kubectl clarion simulate fail node-1
  kubectl clarion simulate drain node-1 node-2 -o json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 2 || happenings[args[0]] == nil {
				return plugin.Usagef("say fail or drain, and name nodes")
			}
			return nil
		},
		ValidArgsFunction: func(command *cobra.Command, args []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
			if len(args) == 0 {
				return slices.Sorted(maps.Keys(happenings)), cobra.ShellCompDirectiveNoFileComp
			}
			return env.Complete(plugin.Nodes)(command, nil, typed)
		},
		RunE: func(command *cobra.Command, args []string) error {
			return o.run(command.Context(), args[0], args[1:])
		},
	}
	flags := command.Flags()
	o.AddFlags(flags)
	o.output.AddFlag(flags)
	return command
}

// Report is what would happen.
type Report struct {
	Happening string                 `json:"happening"`
	Nodes     []string               `json:"nodes"`
	Services  []whatif.Change        `json:"services"`
	Sessions  map[string][]string    `json:"sessions"`
	Load      map[string]whatif.Node `json:"load"`
	Remarks   []string               `json:"remarks,omitempty"`
}

func (o *options) run(ctx context.Context, happening string, nodes []string) error {
	if err := o.output.Check(); err != nil {
		return err
	}
	taken, err := o.Snapshot(ctx)
	if err != nil {
		return err
	}
	report, err := New(taken, happening, nodes)
	if err != nil {
		return err
	}
	if err := o.output.Print(o.Out, report, func() error { return report.Write(o.Out) }); err != nil {
		return err
	}
	if n := len(report.Unanswered()); n > 0 {
		return fmt.Errorf("nobody would answer for %d of the Services that are answered now", n)
	}
	return nil
}

// New finds out what would happen.
func New(taken *snapshot.Snapshot, happening string, nodes []string) (*Report, error) {
	changed, err := happenings[happening](taken, nodes...)
	if err != nil {
		return nil, err
	}
	before, after := whatif.Of(taken.State()), whatif.Of(changed.State())
	r := &Report{Happening: happening, Nodes: nodes, Sessions: after.Sessions, Load: after.Nodes}
	r.Services = whatif.Compare(before, after, whatif.Service.Answered)
	alive := func(o *whatif.Outlook) (n int) {
		for _, node := range o.Nodes {
			if node.Alive {
				n++
			}
		}
		return n
	}
	if happening == "fail" && 2*alive(after) <= alive(before) {
		r.Remarks = append(r.Remarks, "No majority of the announcers remains: the others take addresses of layer 2 over only if a default "+
			"gateway answers them, or once the Nodes are not Ready.")
	}
	return r, nil
}

// Unanswered are the Services that nobody would answer for any more.
func (r *Report) Unanswered() (list []whatif.Change) {
	for _, c := range r.Services {
		if c.Unanswered != "" {
			list = append(list, c)
		}
	}
	return list
}

// Write writes the report as a text for people.
func (r *Report) Write(out io.Writer) error {
	var b strings.Builder
	verb := map[string]string{"fail": "failed", "drain": "drained"}[r.Happening]
	fmt.Fprintf(&b, "If %s %s:\n", strings.Join(r.Nodes, ", "), verb)
	r.writeServices(&b)
	r.writeLoad(&b)
	for _, remark := range r.Remarks {
		fmt.Fprintf(&b, "\n%s\n", remark)
	}
	_, err := io.WriteString(out, b.String())
	return err
}

func (r *Report) writeServices(b *strings.Builder) {
	if len(r.Services) == 0 {
		fmt.Fprint(b, "\nNothing changes for any Service.\n")
		return
	}
	if unanswered := r.Unanswered(); len(unanswered) > 0 {
		fmt.Fprint(b, "\nNobody would answer for:\n")
		for _, c := range unanswered {
			fmt.Fprintf(b, "  %s: %s\n", c.Name, c.Unanswered)
		}
	}
	fmt.Fprint(b, "\nServices that change:\n")
	for _, c := range r.Services {
		whatif.WriteChange(b, c)
	}
}

func (r *Report) writeLoad(b *strings.Builder) {
	fmt.Fprint(b, "\nAfterwards:\n")
	w := tabwriter.NewWriter(b, 0, 0, 3, ' ', 0)
	fmt.Fprint(w, "  NODE\tANNOUNCER\tADDRESSES\tROUTES\n")
	for _, name := range slices.Sorted(maps.Keys(r.Load)) {
		n, state := r.Load[name], "alive"
		if !n.Alive {
			state = "not in sight"
		}
		fmt.Fprintf(w, "  %s\t%s\t%d\t%d\n", name, state, n.Addresses, n.Routes)
	}
	_ = w.Flush() // a strings.Builder takes everything
	for i, peer := range slices.Sorted(maps.Keys(r.Sessions)) {
		if i == 0 {
			fmt.Fprint(b, "\nSessions that remain:\n")
		}
		fmt.Fprintf(b, "  %s: %s\n", peer, strings.Join(r.Sessions[peer], ", "))
	}
}
