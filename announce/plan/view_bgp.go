package plan

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// bgpObjects are the objects that only BGP needs, by name.
type bgpObjects struct {
	bgpPeers          map[string]*bgpPeer
	bgpAdvertisements map[string]*bgpAdvertisement
	communities       map[string]*communities
	bfdProfiles       map[string]BFDSettings
	// passwords are those of Secrets.
	passwords map[string]string
}

// SetBGPPeer takes a BGPPeer as it is now; nil if it is gone. One that cannot be read is for no
// node, and the error says why.
func (v *View) SetBGPPeer(name string, object *v1alpha1.BGPPeer) error {
	v.routes.all = true
	delete(v.bgpPeers, name)
	if object == nil {
		return nil
	}
	peer, err := newBGPPeer(object)
	if err != nil {
		return err
	}
	v.bgpPeers[name] = peer
	return nil
}

// SetBGPAdvertisement takes a BGPAdvertisement as it is now; nil if it is gone. One that cannot be
// read selects nothing, and the error says why.
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

// bfdSettings is what a BGPPeer wants of BFD that names a profile.
func (v *View) bfdSettings(profile string) BFDSettings {
	if d, known := v.bfdProfiles[profile]; known {
		return d
	}
	return BFDSettings{Refused: noBFDProfile(profile)}
}

// SetBFDProfile takes a BFDProfile as it is now; nil if it is gone. The error says why it cannot be
// used.
func (v *View) SetBFDProfile(name string, object *v1alpha1.BFDProfile) (err error) {
	before, known := v.bfdProfiles[name]
	delete(v.bfdProfiles, name)
	if object != nil {
		v.bfdProfiles[name], err = newBFDSettings(object)
	}
	after, there := v.bfdProfiles[name]
	v.routes.all = v.routes.all || known != there || before != after
	return err
}
