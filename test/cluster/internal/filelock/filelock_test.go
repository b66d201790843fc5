package filelock

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestOneHoldsALockAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "lock")
	first, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path); !errors.Is(err, ErrHeld) {
		t.Errorf("a second lock: %v", err)
	}
	if err := first.Release(); err != nil {
		t.Fatal(err)
	}
	second, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestWaitGetsTheLockWhenItIsFree(t *testing.T) {
	for name, free := range map[string]func(*Lock) error{"released": (*Lock).Release, "removed": (*Lock).Remove} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "lock")
			first, err := Try(path)
			if err != nil {
				t.Fatal(err)
			}
			second, err := Wait(t.Context(), path, func() {
				if err := free(first); err != nil {
					t.Error(err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			// It is a lock on the file that is there now.
			if _, err := Try(path); !errors.Is(err, ErrHeld) {
				t.Errorf("a third lock: %v", err)
			}
			if err := second.Remove(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWaitGivesUpWithItsContext(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	if _, err := Try(path); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := Wait(ctx, path, cancel); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestChildrenDoNotInheritALock(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	lock, err := Try(path)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("sleep", "1000")
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer child.Process.Kill()
	if err := lock.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := Try(path); err != nil {
		t.Error(err)
	}
}
