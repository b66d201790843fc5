package show

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	coreinformers "k8s.io/client-go/informers/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/history"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// newEvents makes the verb events.
func newEvents(env plugin.Env) *cobra.Command {
	v := verb{
		use:   "events",
		short: "Show a timeline of what Clarion did: which address moved where and why, and what it refused",
		long: `The events of Clarion about all Services, nodes and objects, and how each address came to the node that has it, the latest last.
Kubernetes keeps events for an hour by default; of older moves, only where the address is and was is known.`,
		example: `  kubectl clarion events
  kubectl clarion events --watch`,
		view: func(s *snapshot.State, _ string) (view, error) { return timelineOf(history.Of(s)), nil },
	}
	command, follow := v.command(env), false
	command.Flags().BoolVarP(&follow, "watch", "w", false, "Go on with what happens, until the command is ended.")
	once := command.RunE
	command.RunE = func(command *cobra.Command, args []string) error {
		if !follow {
			return once(command, args)
		}
		clients, err := env.Clients()
		if err != nil {
			return err
		}
		return followEvents(command.Context(), env.Out, clients.Kube)
	}
	return command
}

type timeline struct {
	Events []happened `json:"events"`
}

// happened is one event.
type happened struct {
	Time    metav1.Time `json:"time"`
	Type    string      `json:"type"`
	Reason  string      `json:"reason"`
	Object  string      `json:"object"`
	Message string      `json:"message"`
	Count   int32       `json:"count,omitempty"`
}

func happenedIn(e history.Entry) happened {
	object := strings.ToLower(e.Kind) + "/" + e.Object.Name
	if e.Object.Namespace != "" {
		object = strings.ToLower(e.Kind) + "/" + e.Object.String()
	}
	return happened{metav1.NewTime(e.Time), e.Type, e.Reason, object, e.Message, e.Count}
}

func timelineOf(entries []history.Entry) *timeline {
	t := &timeline{}
	for _, e := range entries {
		t.Events = append(t.Events, happenedIn(e))
	}
	return t
}

func (t *timeline) well() bool { return true }

func (t *timeline) text(out io.Writer, _ plugin.Style, _ bool) error {
	var rows [][]string
	for _, e := range t.Events {
		rows = append(rows, []string{e.Time.UTC().Format(time.RFC3339), e.Type, e.Reason, e.Object, e.Message})
	}
	return table(out, []string{"TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"}, rows)
}

// followEvents writes what has happened, and then every event as it comes, until the context ends.
func followEvents(ctx context.Context, out io.Writer, kube kubernetes.Interface) error {
	// What follows tries again for ever, also if the caller may not read events.
	if _, err := kube.CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{Limit: 1}); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	news := make(chan *corev1.Event)
	tell := func(e *corev1.Event) {
		select {
		case news <- e:
		case <-ctx.Done():
		}
	}
	i := coreinformers.NewEventInformer(kube, metav1.NamespaceAll, 0, nil)
	registration, err := i.AddEventHandler(cache.ResourceEventHandlerDetailedFuncs{
		AddFunc: func(o any, initial bool) {
			if e, is := o.(*corev1.Event); is && !initial {
				tell(e)
			}
		},
		UpdateFunc: func(before, after any) {
			was, is := before.(*corev1.Event), after.(*corev1.Event)
			if !snapshot.EventTime(was).Equal(snapshot.EventTime(is)) {
				tell(is)
			}
		},
	})
	if err != nil {
		return err
	}
	go i.RunWithContext(ctx)
	if !cache.WaitForCacheSync(ctx.Done(), registration.HasSynced) {
		return nil
	}
	before := &snapshot.Snapshot{}
	for _, o := range i.GetStore().List() {
		before.Events = append(before.Events, o.(*corev1.Event))
	}
	for _, e := range timelineOf(history.Of(before.State())).Events {
		writeLine(out, e)
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case e := <-news:
			if history.Tells(e) {
				writeLine(out, happenedIn(history.EntryOf(e)))
			}
		}
	}
}

func writeLine(out io.Writer, e happened) {
	fmt.Fprintf(out, "%s  %-7s  %-18s  %s  %s\n", e.Time.UTC().Format(time.RFC3339), e.Type, e.Reason, e.Object, e.Message)
}
