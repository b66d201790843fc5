package plan

import (
	"net/netip"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// routeChanges is what has changed in a View since the last plan of routes.
type routeChanges struct {
	addresses map[netip.Addr]struct{}
	nodes     map[string]struct{}
	// all says that everything is to be planned again; what else has changed is then not kept.
	all bool
}

func (c *routeChanges) touch(addresses []netip.Addr) {
	if c.all {
		return
	}
	if c.addresses == nil {
		c.addresses = map[netip.Addr]struct{}{}
	}
	for _, ip := range addresses {
		c.addresses[ip] = struct{}{}
	}
}

func (c *routeChanges) touchNode(name string) {
	if c.all {
		return
	}
	if c.nodes == nil {
		c.nodes = map[string]struct{}{}
	}
	c.nodes[name] = struct{}{}
}

// routeChanges returns what has changed and starts anew.
func (v *View) routeChanges() routeChanges {
	changes := v.routes
	v.routes = routeChanges{}
	return changes
}

// SetBGPPeer takes a BGPPeer as it is now; nil if it is gone. One that cannot be read is for no node, and the error says why.
func (v *View) SetBGPPeer(name string, object *v1alpha1.BGPPeer) error {
	v.routes.all = true
	delete(v.bgpPeers, name)
	if object == nil {
		return nil
	}
	r, err := newBGPPeer(object)
	if err != nil {
		return err
	}
	v.bgpPeers[name] = r
	return nil
}

// SetBGPAdvertisement takes a BGPAdvertisement as it is now; nil if it is gone. One that cannot be read selects nothing, and
// the error says why.
func (v *View) SetBGPAdvertisement(name string, object *v1alpha1.BGPAdvertisement) error {
	v.routes.all = true
	delete(v.bgpAdvertisements, name)
	if object == nil {
		return nil
	}
	a, err := newBGPAdvertisement(object)
	if err != nil {
		return err
	}
	v.bgpAdvertisements[name] = a
	return nil
}

// SetCommunity takes a Community as it is now; nil if it is gone.
func (v *View) SetCommunity(name string, object *v1alpha1.Community) {
	v.routes.all = true
	delete(v.communities, name)
	if object != nil {
		v.communities[name] = newCommunities(object)
	}
}

// SetSecret takes a Secret of type basic-auth as it is now; nil if it is gone.
func (v *View) SetSecret(name string, object *corev1.Secret) {
	before, known := v.passwords[name]
	delete(v.passwords, name)
	if object != nil {
		v.passwords[name] = string(object.Data[corev1.BasicAuthPasswordKey])
	}
	after, there := v.passwords[name]
	v.routes.all = v.routes.all || known != there || before != after
}
