package whatif

import (
	"context"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/resource"

	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Source is where a Snapshot comes from: files that name what there is, or the cluster.
type Source struct{ files resource.FilenameOptions }

// AddFlags adds --from.
func (s *Source) AddFlags(flags *pflag.FlagSet) {
	flags.StringSliceVar(&s.files.Filenames, "from", nil, "Files or folders with what there is, in place of the cluster; - is the standard input.")
}

// Read reads everything once.
func (s *Source) Read(ctx context.Context, env plugin.Env) (*snapshot.Snapshot, error) {
	if len(s.files.Filenames) > 0 {
		objects, err := env.ReadFiles(s.files)
		if err != nil {
			return nil, err
		}
		return snapshot.Parse(objects)
	}
	clients, err := env.Clients()
	if err != nil {
		return nil, err
	}
	return snapshot.Read(ctx, clients.Kube, clients.Clarion)
}
