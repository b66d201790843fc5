package bench

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
)

// batch is how many new Services a run has.
const batch = 1000

// workers is how many writers the shipped cloud-controller-manager has.
const workers = 20

// names returns that many names.
func names(prefix string, n int) []string {
	all := make([]string, n)
	for i := range all {
		all[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return all
}

// forEach calls f for every name, for some at a time.
func forEach(b *testing.B, names []string, f func(name string) error) {
	b.Helper()
	var g errgroup.Group
	g.SetLimit(workers)
	for _, name := range names {
		g.Go(func() error { return f(name) })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
