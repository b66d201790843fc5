// Package filelock gives a file to one process at a time. The kernel drops the lock when its holder
// dies, however it dies, so a lock that can be taken means that nobody is there any more.
package filelock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// ErrHeld means that somebody else holds the lock.
var ErrHeld = errors.New("locked by another process")

// Lock is a lock that is held.
type Lock struct {
	file *os.File
}

// Try takes the lock on path, or returns ErrHeld. The file and its directory are created as needed.
func Try(path string) (*Lock, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	for {
		file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|unix.O_CLOEXEC, 0o644)
		if err != nil {
			return nil, err
		}
		if err := unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			file.Close()
			if errors.Is(err, unix.EWOULDBLOCK) {
				return nil, ErrHeld
			}
			return nil, fmt.Errorf("lock %s: %w", path, err)
		}
		// The last holder may have removed the file between our open and our lock: then we hold a
		// lock on nothing.
		if same(file, path) {
			return &Lock{file: file}, nil
		}
		file.Close()
	}
}

// Wait takes the lock on path as soon as it is free. It calls waiting once if it has to wait.
func Wait(ctx context.Context, path string, waiting func()) (*Lock, error) {
	lock, err := Try(path)
	if !errors.Is(err, ErrHeld) {
		return lock, err
	}
	waiting()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", path, ctx.Err())
		case <-tick.C:
		}
		if lock, err := Try(path); !errors.Is(err, ErrHeld) {
			return lock, err
		}
	}
}

// Release gives the lock back and leaves the file.
func (l *Lock) Release() error {
	return l.file.Close()
}

// Remove gives the lock back and removes the file.
func (l *Lock) Remove() error {
	return errors.Join(os.Remove(l.file.Name()), l.file.Close())
}

func same(file *os.File, path string) bool {
	ours, err := file.Stat()
	if err != nil {
		return false
	}
	theirs, err := os.Stat(path)
	return err == nil && os.SameFile(ours, theirs)
}
