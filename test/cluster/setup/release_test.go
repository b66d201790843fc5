package setup

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestACommitThatIsNotThereIsNamed(t *testing.T) {
	t.Setenv("XDG_CACHE_HOME", t.TempDir())
	const commit = "0000000000000000000000000000000000000000"
	if _, err := releaseOf(t.Context(), commit, io.Discard); !errors.Is(err, ErrNotInHistory) || !strings.Contains(err.Error(), commit) {
		t.Errorf("got %v", err)
	}
}

func TestAnotherKubernetesHasToBeThere(t *testing.T) {
	t.Setenv(minorVariable, "1.9")
	if _, err := Kubernetes(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "KUBERNETES=1.9") {
		t.Errorf("got %v", err)
	}
}
