package plan

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// bgpObjects are the objects that only BGP needs.
type bgpObjects struct {
	bgpPeers          objects[v1alpha1.BGPPeer, v1alpha1.BGPPeerSpec, bgpPeer]
	bgpAdvertisements objects[v1alpha1.BGPAdvertisement, v1alpha1.BGPAdvertisementSpec, bgpAdvertisement]
	communities       objects[v1alpha1.Community, v1alpha1.CommunitySpec, communities]
	bfdProfiles       objects[v1alpha1.BFDProfile, v1alpha1.BFDProfileSpec, BFDSettings]
	// passwords are those of Secrets, by name.
	passwords map[string]password
}

// password is one of a Secret, and the version of that.
type password struct{ text, version string }

func newBGPObjects() bgpObjects {
	return bgpObjects{
		bgpPeers:          newObjects[bgpPeer]("BGPPeer", partsOfBGPPeer),
		bgpAdvertisements: newObjects[bgpAdvertisement]("BGPAdvertisement", partsOfBGPAdvertisement),
		communities:       newObjects[communities]("Community", partsOfCommunity),
		bfdProfiles:       newObjects[BFDSettings]("BFDProfile", partsOfBFDProfile),
		passwords:         map[string]password{},
	}
}

// SetBGPPeer takes a BGPPeer as it is now; nil if it is gone.
func (v *View) SetBGPPeer(name string, object *v1alpha1.BGPPeer) {
	v.bgpPeers.set(name, object)
	v.unsettled = true
}

// SetBGPAdvertisement takes a BGPAdvertisement as it is now; nil if it is gone.
func (v *View) SetBGPAdvertisement(name string, object *v1alpha1.BGPAdvertisement) {
	v.bgpAdvertisements.set(name, object)
	v.unsettled = true
}

// SetCommunity takes a Community as it is now; nil if it is gone.
func (v *View) SetCommunity(name string, object *v1alpha1.Community) {
	v.communities.set(name, object)
	v.unsettled = true
}

// SetBFDProfile takes a BFDProfile as it is now; nil if it is gone.
func (v *View) SetBFDProfile(name string, object *v1alpha1.BFDProfile) {
	v.bfdProfiles.set(name, object)
	v.unsettled = true
}

// SetSecret takes a Secret of type basic-auth as it is now; nil if it is gone.
func (v *View) SetSecret(name string, object *corev1.Secret) {
	before, known := v.passwords[name]
	delete(v.passwords, name)
	if object != nil {
		v.passwords[name] = password{string(object.Data[corev1.BasicAuthPasswordKey]), object.ResourceVersion}
	}
	after, there := v.passwords[name]
	v.routes.all = v.routes.all || known != there || before != after
}

// bfdSettings is what a BGPPeer wants of BFD that names a profile.
func (v *View) bfdSettings(profile string) BFDSettings {
	if settings := v.bfdProfiles.inForce[profile]; settings != nil {
		return *settings
	}
	return BFDSettings{Refused: noBFDProfile(profile)}
}

// settleBGP finds out which versions of the objects for BGP are in force, and reports whether they
// are others than before.
func (v *View) settleBGP() bool {
	communities := v.communities.settle(newCommunities, nil, nil)
	profiles := v.bfdProfiles.settle(newBFDSettings, nil, nil)
	peers := v.bgpPeers.settle(newBGPPeer, func(p *v1alpha1.BGPPeer) error {
		if p.Spec.BFDProfile == "" {
			return nil
		}
		return missingOf(noBFDProfile, []string{p.Spec.BFDProfile}, v.bfdProfiles.has)
	}, nil)
	named := aliasesOf(v.communities.inForce)
	advertisements := v.bgpAdvertisements.settle(named.newBGPAdvertisement, func(a *v1alpha1.BGPAdvertisement) error {
		return also(missingOf(noBGPPeer, a.Spec.Peers, v.bgpPeers.has), missingOf(noIPAddressPool, a.Spec.IPAddressPools, v.HasPool))
	}, named.lasting)
	return communities || profiles || peers || advertisements
}
