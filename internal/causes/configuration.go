package causes

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// configuration are the causes of objects that are not in force as they are written.
var configuration = []Cause{
	{
		Name: "Two pools have the same addresses", Symptom: NotAsWritten,
		Break: func(c *Cluster) { c.add(pool("zone", "192.0.2.200-192.0.2.209")) },
		Shown: []Shown{on("ipaddresspool/zone", "Ready=False Overlaps", `is left to pool "public", which had it first`)},
		Apart: "Services get addresses of the pool that had them first, as before.",
		Fix:   "Remove the addresses from one of the pools.",
	},
	{
		Name: "An edit of a pool cannot be read", Symptom: NotAsWritten,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			edit(w, "public", func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"192.0.2.200-192.0.2"} })
		},
		Shown: []Shown{
			on("ipaddresspool/public", "Ready=False InvalidAddress", "192.0.2.200-192.0.2", "stays in force"),
			inColumn(web, "EXTERNAL-IP", address),
		},
		Asked: []Shown{on(web, "public has "+address, "192.0.2.200-192.0.2", "stays in force", "kubectl edit ipaddresspool public")},
		Fix:   "Correct the pool; until then, the version before is in force.",
	},
	{
		Name: "An edit of an L2Advertisement names a pool that does not exist", Symptom: NotAsWritten,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			edit(w, "all", func(a *v1alpha1.L2Advertisement) { a.Spec.IPAddressPools = []string{"publik"} })
		},
		Shown: []Shown{
			on("l2advertisement/all", "Ready=False UnknownName", "there is no IPAddressPool publik", "stays in force"),
			inColumn(web, "EXTERNAL-IP", address),
		},
		Asked: []Shown{on(web, "L2Advertisement all", "there is no IPAddressPool publik", "correct the L2Advertisement")},
		Fix:   "Correct the name, or create the pool; until then, the version before is in force.",
	},
	{
		Name: "A BGPAdvertisement names a community that nobody defines", Symptom: NotAsWritten, Routed: true,
		Break: func(c *Cluster) {
			change(c, func(a *v1alpha1.BGPAdvertisement) { a.Spec.Communities = []string{"cheap"} })
		},
		Shown: []Shown{on("bgpadvertisement/all", "Ready=False UnknownName", `no Community defines "cheap"`)},
		Asked: []Shown{on(web, "BGPAdvertisement all", `no Community defines "cheap"`, "correct the BGPAdvertisement")},
		Fix:   "Correct the name, or define it in a Community.",
	},
	{
		Name: "Two BGPAdvertisements contradict each other", Symptom: NotAsWritten, Routed: true,
		Break: func(c *Cluster) {
			other := &v1alpha1.BGPAdvertisement{ObjectMeta: named("other")}
			other.Spec.LocalPref = new(int64(200))
			change(c, func(a *v1alpha1.BGPAdvertisement) { a.Spec.LocalPref = new(int64(100)) })
			c.add(other)
			change(c, func(p *v1alpha1.BGPPeer) { p.Spec.PeerASN = new(p.Spec.MyASN) })
		},
		Shown: []Shown{on("bgpadvertisement/other", "Ready=False Contradicts", address+"/32 is announced with the localPref of BGPAdvertisement all, which is older")},
		Asked: []Shown{on(web, "BGPAdvertisement other", "localPref of BGPAdvertisement all, which is older", "correct the BGPAdvertisement")},
		Fix:   "Have one BGPAdvertisement say what is to hold for these prefixes and peers.",
	},
	{
		Name: "A BGPPeer names a BFDProfile that does not exist", Symptom: NotAsWritten, Routed: true,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.BGPPeer) { p.Spec.BFDProfile = "fast" })
			c.Sessions["tor"] = Session{BFD: &v1alpha1.BFDSession{State: v1alpha1.BFDRefused, LastError: "there is no BFDProfile fast"}}
		},
		Shown: []Shown{on(tor, "there is no BFDProfile fast")},
		Asked: []Shown{on(web, "n1 to tor", "the route is sent", "BFD is Refused: there is no BFDProfile fast", "correct")},
		Fix:   "Create the BFDProfile, or correct the name.",
	},
	{
		Name: "Two reservations keep one address", Symptom: NotAsWritten,
		Break: func(c *Cluster) {
			for _, name := range []string{"printers", "scanners"} {
				c.add(&v1alpha1.IPAddressReservation{ObjectMeta: named(name), Spec: v1alpha1.IPAddressReservationSpec{Addresses: []string{"192.0.2.201"}}})
			}
		},
		Shown: []Shown{on("ipaddressreservation/scanners", "Ready=False Overlaps", "192.0.2.201", "printers")},
		Apart: "The address is kept from Services all the same.",
		Fix:   "Remove the address from one of the IPAddressReservations.",
	},
	{
		Name: "A pool is to be deleted and Services have addresses of it", Symptom: NotAsWritten,
		Break: func(*Cluster) {},
		Then: func(w *World) {
			edit(w, "public", func(p *v1alpha1.IPAddressPool) { p.DeletionTimestamp = new(metav1.Now()) })
		},
		Shown: []Shown{on("ipaddresspool/public", "Ready=False Deleting", "it waits for Services that have addresses of it: default/web")},
		Asked: []Shown{on(web, "public has "+address, "it waits for Services that have addresses of it", "ask for addresses of another pool")},
		Fix:   "Delete these Services, or have them ask for addresses of another pool.",
	},
	{
		Name: "Two Services have one address in their status", Symptom: WrongAnswer,
		Break: func(c *Cluster) {
			c.add(first())
			change(c, func(s *corev1.Service) { s.Status = first().Status }, "web")
		},
		Shown: []Shown{on("service/first", "AddressClaimedTwice", address+" is claimed by Services", "keeps it")},
		Fix:   "Nothing: one of them gets another address. Find out who writes the status of Services besides Clarion.",
	},
}
