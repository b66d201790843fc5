package e2e

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// awaitAnswer waits until a host gets an answer over HTTP at an address.
func (d *deployment) awaitAnswer(from *network.Host, address netip.Addr) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("an answer at %s for %s", address, from.Name), func(ctx context.Context) error {
		_, err := curl(ctx, from, address)
		return err
	})
}

func curl(ctx context.Context, host *network.Host, address netip.Addr) (string, error) {
	return host.Run(ctx, curlCommand(address)...)
}

func curlCommand(address netip.Addr) []string {
	return []string{"curl", "--silent", "--show-error", "--fail", "--max-time", "2", "http://" + netip.AddrPortFrom(address, 80).String()}
}

// awaitSuccess waits until a meter gets an answer to an attempt that begins after the call.
func (d *deployment) awaitSuccess(meter *network.Meter) {
	d.t.Helper()
	ctx, cancel := context.WithTimeout(d.ctx, patience)
	defer cancel()
	if _, err := meter.Await(ctx, network.Succeeded); err != nil {
		d.t.Fatal(err)
	}
}

// watch has the watcher ask on the nodes' LAN who has addresses, until the test ends.
func (d *deployment) watch(addresses ...netip.Addr) *network.Watch {
	d.t.Helper()
	watch, err := d.watcher.Watch(d.ctx, "eth0", network.WatchOptions{}, addresses...)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() {
		if err := watch.Stop(); err != nil {
			d.t.Error(err)
		}
	})
	return watch
}

// awaitOtherOwner waits until the owner of an address is another node than this one, and returns
// the owner.
func (d *deployment) awaitOtherOwner(address netip.Addr, than *cluster.Node) (owner *cluster.Node) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%s to move from %s", address, than.Name), func(ctx context.Context) (err error) {
		if owner, err = d.Owner(ctx, address); err == nil && owner == than {
			err = fmt.Errorf("%s still owns it", than.Name)
		}
		return err
	})
	return owner
}

// awaitSoleOwner waits until exactly one node answers for an address, by ARP or by NDP, and this
// node is the one that claims it.
func (d *deployment) awaitSoleOwner(address netip.Addr) *cluster.Node {
	d.t.Helper()
	watch := d.watch(address)
	defer watch.Stop()
	return d.awaitSoleOwnerSeenBy(watch, address)
}

// awaitSoleOwnerSeenBy is awaitSoleOwner with a watch that runs already.
func (d *deployment) awaitSoleOwnerSeenBy(watch *network.Watch, address netip.Addr) *cluster.Node {
	d.t.Helper()
	const questions = 10
	var owner *cluster.Node
	d.eventually(fmt.Sprintf("one node, the owner, to answer for %s", address), func(ctx context.Context) (err error) {
		if owner, err = d.Owner(ctx, address); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeout(ctx, 5*time.Second) // then look again who the owner is
		defer cancel()
		mac, err := watch.AwaitSole(ctx, address, questions)
		if err != nil {
			return err
		}
		if !bytes.Equal(mac, owner.MAC("eth0")) {
			return fmt.Errorf("%s owns it and %s answers", owner.Name, mac)
		}
		return nil
	})
	return owner
}
