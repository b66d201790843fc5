package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// etcdDir is where etcd has its data.
func (c *Cluster) etcdDir() string { return filepath.Join(runDir(c.config.Name), "etcd") }

// backupDir is where the cluster keeps its backup.
func (c *Cluster) backupDir() string { return filepath.Join(diskDir(c.config.Name), "etcd") }

// Backup copies what etcd has, in place of an earlier backup. It freezes etcd meanwhile: the copy is
// what a machine has on its disk when its power goes.
func (c *Cluster) Backup() (err error) {
	processes, err := c.Control.Processes("etcd")
	if err != nil || len(processes) != 1 {
		return fmt.Errorf("look for etcd: %v, %w", processes, err)
	}
	if err := processes[0].Stop(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, processes[0].Continue()) }()
	return errors.Join(os.RemoveAll(c.backupDir()), os.CopyFS(c.backupDir(), os.DirFS(c.etcdDir())))
}

// Restore stops the control plane, puts the backup in place of what etcd has and starts the control plane
// again: the revisions since then are given out a second time, as by a restore without --bump-revision.
func (c *Cluster) Restore(ctx context.Context) error {
	return c.restartControlPlane(ctx, func() error {
		if err := os.RemoveAll(c.etcdDir()); err != nil {
			return err
		}
		if err := os.CopyFS(c.etcdDir(), os.DirFS(c.backupDir())); err != nil {
			return err
		}
		return os.Chmod(c.etcdDir(), 0o700) // etcd insists on it
	})
}

// RestartControlPlane kills everything that runs on the control plane, at once, and starts it again.
func (c *Cluster) RestartControlPlane(ctx context.Context) error {
	return c.restartControlPlane(ctx, func() error { return nil })
}

func (c *Cluster) restartControlPlane(ctx context.Context, meanwhile func() error) error {
	for _, name := range []string{"kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd"} {
		processes, err := c.Control.Processes(name)
		if err != nil {
			return err
		}
		for _, p := range processes {
			if err := errors.Join(p.Kill(), p.Wait(ctx)); err != nil {
				return err
			}
		}
	}
	if err := meanwhile(); err != nil {
		return err
	}
	if err := c.startAPI(ctx); err != nil {
		return err
	}
	return c.startControllers(ctx)
}
