package routertest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// daemons are those of a router, and their files.
type daemons struct {
	on Machine
	// dir is for configurations and sockets. Those of daemons that do not stay root can be there
	// too, and its name is short because sockets have short ones.
	dir string
	log string
	// running are in the order in which they were started.
	running []Process
}

func newDaemons(on Machine, log string) (daemons, error) {
	dir, err := os.MkdirTemp("", "router")
	if err != nil {
		return daemons{}, err
	}
	if err := os.Chmod(dir, 0o777); err != nil {
		return daemons{}, errors.Join(err, os.RemoveAll(dir))
	}
	return daemons{on: on, dir: dir, log: log}, nil
}

// at is the path of a file of the router.
func (d *daemons) at(name string) string { return filepath.Join(d.dir, name) }

// write writes a configuration.
func (d *daemons) write(name, text string) error {
	return os.WriteFile(d.at(name), []byte(text), 0o644)
}

// start starts a daemon and waits until it answers.
func (d *daemons) start(ctx context.Context, name string, answers func() error, command ...string) error {
	p, err := d.on.start(filepath.Join(d.log, name+".log"), command...)
	if err != nil {
		return err
	}
	d.running = append(d.running, p)
	for {
		err := answers()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-p.Done():
			said, _ := os.ReadFile(filepath.Join(d.log, name+".log"))
			return fmt.Errorf("%s ended: %w\n%s", name, err, said)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Stop asks the daemons to end, the last one first.
func (d *daemons) Stop(ctx context.Context) error {
	for _, p := range slices.Backward(d.running) {
		p.Terminate() // it may have ended
		select {
		case <-p.Done():
		case <-ctx.Done():
			return fmt.Errorf("a daemon does not end: %w", ctx.Err())
		}
	}
	d.running = nil
	return nil
}

// Kill kills the daemons.
func (d *daemons) Kill() {
	for _, p := range slices.Backward(d.running) {
		p.Kill() // it may have ended
		<-p.Done()
	}
	d.running = nil
}

// KillLast kills the daemon that was started last.
func (d *daemons) KillLast() {
	last := len(d.running) - 1
	d.running[last].Kill() // it may have ended
	<-d.running[last].Done()
	d.running = d.running[:last]
}

// Close kills the daemons and removes their files.
func (d *daemons) Close() error {
	d.Kill()
	return os.RemoveAll(d.dir)
}
