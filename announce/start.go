package announce

import (
	"context"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/gossipkey"
)

// awaitState waits for what the API and the kernel say; false if the context ends before.
func (a *Announcer) awaitState(ctx context.Context) bool {
	a.config.Logger.Info("Reading the state of the cluster", "node", a.config.Node)
	if !a.watcher.Layer2.Wait(ctx) {
		return false
	}
	a.watcher.Layer2.Apply(a.view)
	select {
	case <-a.links.Ready():
	case <-ctx.Done():
		return false
	}
	for waiting := false; ; waiting = true {
		if a.address = a.view.NodeAddress(a.config.Node); a.address.IsValid() {
			return true
		}
		if !waiting {
			a.config.Logger.Info("Waiting for the Node to exist and have an InternalIP", "node", a.config.Node)
		}
		select {
		case <-a.watcher.Layer2.Changed():
			a.watcher.Layer2.Apply(a.view)
		case <-ctx.Done():
			return false
		}
	}
}

// createAnnouncer makes sure that there is an Announcer object, by which others know that this one is to be expected; false if
// the context ends before.
func (a *Announcer) createAnnouncer(ctx context.Context) bool {
	retry := a.writer.Retry
	for a.watcher.Announcer(a.config.Node) == nil {
		err := a.writer.Create(ctx)
		if err == nil {
			break
		}
		a.config.Logger.Error(err, "Cannot introduce this node to the others, trying again", "node", a.config.Node)
		select {
		case <-time.After(retry.Step()):
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// awaitKey waits for the key of the gossip; false if the context ends before.
func (a *Announcer) awaitKey(ctx context.Context) bool {
	for waiting := false; ; waiting = true {
		key, err := a.keys.Key()
		if key != nil {
			return true
		}
		if err != nil {
			a.config.Logger.Error(err, "The key of the gossip cannot be used")
		}
		if !waiting {
			a.config.Logger.Info("Waiting for the key of the gossip, which the cloud-controller-manager makes", "secret", klog.KRef(gossipkey.Namespace, gossipkey.Secret))
		}
		select {
		case <-a.keys.Changed():
		case <-ctx.Done():
			return false
		}
	}
}
