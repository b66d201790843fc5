package plugin

import (
	"context"
	"fmt"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Source is where a verb that looks at a state has that from: the cluster, or the files of -f.
type Source struct {
	Env
	files resource.FilenameOptions
}

// AddFlags adds -f and -R to a verb.
func (s *Source) AddFlags(flags *pflag.FlagSet) {
	flags.StringSliceVarP(&s.files.Filenames, "filename", "f", nil,
		"Files, folders or URLs with the objects, in place of the cluster; - is the standard input.")
	flags.BoolVarP(&s.files.Recursive, "recursive", "R", false, "Read the folders of -f with all that is below them.")
}

// AddFrom adds --from to a verb whose -f is for other files.
func (s *Source) AddFrom(flags *pflag.FlagSet) {
	flags.StringSliceVar(&s.files.Filenames, "from", nil,
		"Files, folders or URLs with what there is, in place of the cluster.")
}

// Snapshot reads everything once. Kinds that the caller may not read are named on the standard error.
func (s *Source) Snapshot(ctx context.Context) (*snapshot.Snapshot, error) {
	taken, err := s.take(ctx)
	if err != nil {
		return nil, err
	}
	for _, unread := range taken.Unread {
		fmt.Fprintf(s.ErrOut, "warning: without %s: %s\n", unread.Kind, unread.Why)
	}
	return taken, nil
}

func (s *Source) take(ctx context.Context) (*snapshot.Snapshot, error) {
	if len(s.files.Filenames) > 0 {
		objects, err := s.ReadFiles(s.files)
		if err != nil {
			return nil, err
		}
		return snapshot.Parse(objects)
	}
	clients, err := s.Clients()
	if err != nil {
		return nil, err
	}
	return snapshot.Read(ctx, clients.Kube, clients.Clarion)
}
