// Package show has the verbs of kubectl clarion that show how it stands: status, pools, announcers, bgp and
// events. Each makes a view, plain values of a State, and writes it as a text or as JSON or YAML: the
// fields of views are stable.
package show

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/printers"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// view is what a verb shows.
type view interface {
	// text writes it for people, with all that it has if it is to be wide.
	text(out io.Writer, style plugin.Style, wide bool) error
	// well says that nothing is wrong that keeps anybody from anything.
	well() bool
}

// verb is one of them.
type verb struct {
	use, short, long, example string
	// one is what the argument names, if there may be one: "pool".
	one  string
	of   plugin.Names
	view func(s *snapshot.State, name string) (view, error)
}

func (v verb) command(env plugin.Env) *cobra.Command {
	source, output := plugin.Source{Env: env}, plugin.Output("")
	command := &cobra.Command{
		Use: v.use, Short: v.short, Long: v.short + ".\n\n" + v.long, Example: v.example,
		Args: func(_ *cobra.Command, args []string) error {
			if v.one == "" && len(args) > 0 || len(args) > 1 {
				return plugin.Usagef("name %s", expected(v.one))
			}
			return output.Check()
		},
		RunE: func(command *cobra.Command, args []string) error {
			return v.run(command.Context(), &source, output, strings.Join(args, ""))
		},
	}
	if v.of != nil {
		command.ValidArgsFunction = env.Complete(v.of)
	}
	source.AddFlags(command.Flags())
	output.AddFlag(command.Flags())
	return command
}

func expected(one string) string {
	if one == "" {
		return "nothing"
	}
	return "one " + one + " at most"
}

func (v verb) run(ctx context.Context, source *plugin.Source, output plugin.Output, name string) error {
	taken, err := source.Snapshot(ctx)
	if err != nil {
		return err
	}
	shown, err := v.view(taken.State(), name)
	if err != nil {
		return err
	}
	err = output.Print(source.Out, shown, func() error {
		return shown.text(source.Out, plugin.StyleFor(source.Out), output == plugin.Wide)
	})
	if err == nil && !shown.well() {
		return plugin.ErrFound
	}
	return err
}

// table writes rows in columns, with a heading.
func table(out io.Writer, heading []string, rows [][]string) error {
	w := printers.GetNewTabWriter(out)
	fmt.Fprintln(w, strings.Join(heading, "\t"))
	for _, row := range rows {
		for i, cell := range row {
			if cell == "" {
				row[i] = "-"
			}
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// bar draws how much of something is in use.
func bar(used, total int64) string {
	const width = 20
	filled := 0
	if total > 0 {
		filled = int(float64(used) / float64(total) * width)
		if used > 0 && filled == 0 {
			filled = 1
		}
	}
	return "[" + strings.Repeat("#", filled) + strings.Repeat(".", width-filled) + "]"
}

// NewCommands makes the verbs.
func NewCommands(env plugin.Env) []*cobra.Command {
	return []*cobra.Command{
		statusVerb.command(env), poolsVerb.command(env), announcersVerb.command(env), bgpVerb.command(env), newEvents(env),
	}
}
