package announce

import (
	"context"
	"fmt"
	"time"

	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/kube"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/guard"
)

// start does what has to come before the gossip, in order, and returns its first key. There is an
// error if the context ends before, or the address of the node changes.
func (a *Announcer) start(ctx context.Context) (key []byte, err error) {
	if err := a.awaitState(ctx); err != nil {
		return nil, err
	}
	if err := a.awaitNode(ctx); err != nil {
		return nil, err
	}
	if err := a.createAnnouncer(ctx); err != nil {
		return nil, err
	}
	if err := a.awaitAddress(ctx); err != nil {
		return nil, err
	}
	if err := a.awaitPermission(ctx); err != nil {
		return nil, err
	}
	return a.awaitKey(ctx)
}

// awaitPermission returns if this process may answer for addresses. What it may do never changes: if it may not, the Announcer says
// so, and this waits for the end of the context. Other nodes have the addresses meanwhile, and BGP goes on.
func (a *Announcer) awaitPermission(ctx context.Context) error {
	err := a.lan.links.Permitted()
	if err == nil {
		return nil
	}
	for {
		a.reportHeldUp(v1alpha1.ReasonNotPermitted, fmt.Sprintf("The announcer may not answer for addresses, and announces none on layer 2: %s. "+
			"Does its container have the capability NET_RAW?", err))
		if err := a.awaitAPI(ctx); err != nil {
			return err
		}
	}
}

// awaitState waits for what the API and the kernel say.
func (a *Announcer) awaitState(ctx context.Context) error {
	a.logger.Info("Reading the state of the cluster", "node", a.node)
	if !a.api.layer2.Wait(ctx) {
		return ctx.Err()
	}
	a.api.layer2.Apply(a.view)
	a.view.AwaitConfirmations(a.node)
	select {
	case <-a.lan.links.Ready():
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// awaitNode waits for the Node, which owns the Announcer.
func (a *Announcer) awaitNode(ctx context.Context) error {
	for waiting := false; !a.view.HasNode(a.node); waiting = true {
		if !waiting {
			a.logger.Info("Waiting for the Node to exist", "node", a.node)
		}
		if err := a.awaitAPI(ctx); err != nil {
			return err
		}
	}
	return nil
}

// awaitAddress waits for the address by which the others know this node. Its Node may be waiting for
// what this announcer has to say of that.
func (a *Announcer) awaitAddress(ctx context.Context) error {
	for waiting := false; ; waiting = true {
		if a.others.address = a.view.NodeAddress(a.node); a.others.address.IsValid() {
			return nil
		}
		if !waiting {
			a.logger.Info("Waiting for the Node to have an InternalIP", "node", a.node)
		}
		a.reportHost()
		if err := a.awaitAPI(ctx); err != nil {
			return err
		}
	}
}

// awaitAPI waits until the API, or the links, have changed, and takes in what the API says then.
func (a *Announcer) awaitAPI(ctx context.Context) error {
	select {
	case <-a.api.layer2.Changed():
		a.api.layer2.Apply(a.view)
	case <-a.lan.links.Changed():
	case <-ctx.Done():
		return ctx.Err()
	}
	return nil
}

// createAnnouncer makes sure that there is an Announcer object, by which others know that this one
// is to be expected.
func (a *Announcer) createAnnouncer(ctx context.Context) error {
	for retry := kube.Retry(); a.ownAnnouncer() == nil; {
		err := a.api.status.Create(ctx)
		if err == nil {
			return nil
		}
		a.logger.Error(err, "Cannot introduce this node to the others, trying again", "node", a.node)
		select {
		case <-time.After(retry.Step()):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// awaitKey waits for a key of the gossip that can be used, and has the Announcer say if there is
// only another one.
func (a *Announcer) awaitKey(ctx context.Context) (key []byte, err error) {
	for waiting := false; ; waiting = true {
		key, err := a.api.keys.Key()
		a.reportKeyProblem(err)
		if key != nil {
			return key, nil
		}
		if !waiting && err == nil {
			a.logger.Info("Waiting for the key of the gossip, which the cloud-controller-manager makes", "secret", klog.KRef(gossipkey.Namespace, gossipkey.Secret))
		}
		a.reportWaiting()
		select {
		case <-a.api.keys.Changed():
		case <-a.api.layer2.Changed():
			a.api.layer2.Apply(a.view)
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// warmUp is how long a node that has begun to take part leaves addresses alone that nobody has,
// unless all the nodes are there already. The announcers of a new cluster start within this time.
const warmUp = 3 * time.Second

// join waits until the others have been met, which takes seconds if one of them is off. Meanwhile it answers the others: they see this
// node, and one that has paused takes itself for cut off if it is not answered.
func (a *Announcer) join(ctx context.Context) error {
	if err := a.applyChanges(); err != nil {
		return err
	}
	for joined := false; !joined; {
		select {
		case <-a.others.members.Joined():
			joined = true
		case <-a.others.members.Changed():
			guard.Run("loop", "", a.receive) // a message on which it panics is lost, as one in a packet may be
		case <-a.api.layer2.Changed():
			if err := a.applyChanges(); err != nil {
				return err
			}
		case <-a.api.keys.Changed():
			a.changeKey()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	a.others.gate.Address = a.others.address
	a.others.warmUpEnd = time.Now().Add(warmUp)
	a.logger.Info("Taking part", "node", a.node, "address", a.others.address, "alive", a.others.members.Alive(), "expected", len(a.others.expected))
	return nil
}

// changeKey has the gossip use another key. Without one that can be used, it goes on with the one
// before.
func (a *Announcer) changeKey() {
	key, err := a.api.keys.Key()
	if key == nil && err == nil {
		return
	}
	if err == nil {
		err = a.others.members.SetKey(key)
	}
	a.reportKeyProblem(err)
}
