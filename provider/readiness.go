package provider

import (
	"errors"

	"k8s.io/client-go/tools/cache"

	"github.com/clarionlb/clarion/internal/informer"
)

// progress is how far a Cloud has come.
type progress struct {
	// reads knows what cannot be read of the API, and synced is closed when all was read once.
	reads  *informer.Reads
	synced chan struct{}
	// restored is closed when the allocator knows every address that Services have.
	restored chan struct{}
}

// Problem says why the process cannot do its work: to serve Services if it is elected, and else to
// follow whoever does. It is nil if it can.
func (c *Cloud) Problem() error {
	if err := c.reads.Err(); err != nil {
		return err
	}
	wait, what := c.synced, "not all that is needed of the API was read yet"
	select {
	case <-c.Elected:
		wait, what = c.restored, "it is not known yet which addresses Services have"
	default:
	}
	select {
	case <-wait:
		return nil
	default:
		return errors.New(what)
	}
}

// watchReads has the informers, which have not been started, say what they cannot read.
func (c *Cloud) watchReads() {
	core, ours := c.Informers.Core().V1(), c.clarion.Clarion().V1alpha1()
	for objects, i := range map[string]cache.SharedIndexInformer{
		"Services":              core.Services().Informer(),
		"Namespaces":            core.Namespaces().Informer(),
		"Nodes":                 core.Nodes().Informer(),
		"ServiceCIDRs":          c.Informers.Networking().V1().ServiceCIDRs().Informer(),
		"IPAddressPools":        ours.IPAddressPools().Informer(),
		"IPAddressReservations": ours.IPAddressReservations().Informer(),
		"Announcers":            ours.Announcers().Informer(),
		"ClaimSlices":           ours.ClaimSlices().Informer(),
		"L2Advertisements":      ours.L2Advertisements().Informer(),
		"BGPPeers":              ours.BGPPeers().Informer(),
		"BGPAdvertisements":     ours.BGPAdvertisements().Informer(),
		"BFDProfiles":           ours.BFDProfiles().Informer(),
		"Communities":           ours.Communities().Informer(),
	} {
		c.reads.Of(objects, i)
	}
}
