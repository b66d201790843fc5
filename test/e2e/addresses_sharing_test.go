package e2e

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func testSharing(d *deployment) {
	key := annotate("clarionlb.io/allow-shared-ip", "key")

	d.scenario("Services with the same key share an address if no two use the same port", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancer("http", key)
		d.awaitAddresses("http", "192.0.2.0")
		d.loadBalancer("https", all(annotate("metallb.io/allow-shared-ip", "key"), port(443)))
		d.awaitSharing("https", "192.0.2.0", "default/http")
		d.awaitSharing("http", "192.0.2.0", "default/https")
		d.loadBalancer("quic", all(annotate("metallb.universe.tf/allow-shared-ip", "key"), port(443), udp))
		d.awaitSharing("quic", "192.0.2.0", "default/http", "default/https")
		d.awaitCounts("pool", v1alpha1.AddressCounts{Total: 16, Assigned: 1, Available: 15})

		d.loadBalancer("http-again", key)
		d.awaitAddresses("http-again", "192.0.2.1")
		d.loadBalancer("insists", all(key, wish("192.0.2.0")))
		d.awaitRefusal("insists", "SharingConflict", "192.0.2.0 cannot be shared with Service default/http: both use port TCP/80")
		d.loadBalancer("other-key", all(annotate("clarionlb.io/allow-shared-ip", "other"), wish("192.0.2.0"), port(1)))
		d.awaitRefusal("other-key", "SharingConflict", "192.0.2.0 is shared under another key")
		d.awaitNextSecond()
		d.loadBalancer("no-key", all(wish("192.0.2.0"), port(2)))
		d.awaitRefusal("no-key", "AddressInUse", "192.0.2.0 is in use by Service default/")

		d.delete("http")
		d.awaitSharing("insists", "192.0.2.0", "default/https", "default/quic")
		d.awaitSharing("https", "192.0.2.0", "default/quic", "default/insists")
		d.delete("https", "quic", "insists")
		d.awaitAddresses("other-key", "192.0.2.0") // the older of the two that wait
		d.awaitRefusal("no-key", "AddressInUse", "192.0.2.0 is in use by Service default/other-key")
	})

	d.scenario("Services with the traffic policy Local share only if they have the same pods", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		d.loadBalancer("one", all(key, local("app")))
		d.awaitAddresses("one", "192.0.2.0")
		d.loadBalancer("same-pods", all(key, local("app"), port(81)))
		d.awaitSharing("same-pods", "192.0.2.0", "default/one")
		d.loadBalancer("other-pods", all(key, local("another"), port(82)))
		d.awaitAddresses("other-pods", "192.0.2.1")
		d.loadBalancer("any-node", all(key, port(83), wish("192.0.2.0")))
		d.awaitRefusal("any-node", "SharingConflict", ": with externalTrafficPolicy Local both must have the same pods")
		d.update("any-node", local("app"))
		d.awaitSharing("any-node", "192.0.2.0", "default/one", "default/same-pods")
	})

	d.scenario("a pool says whether Services of different namespaces may share", func(d *deployment) {
		other := d.within("team-a")
		d.provide(poolWith("pool", "sharing: Namespace", "192.0.2.0/28"))
		d.loadBalancer("one", key)
		d.awaitAddresses("one", "192.0.2.0")
		other.loadBalancer("two", all(key, port(81)))
		other.awaitAddresses("two", "192.0.2.1")
		d.awaitNextSecond()
		other.loadBalancer("insists", all(key, port(82), wish("192.0.2.0")))
		other.awaitRefusal("insists", "SharingConflict", `192.0.2.0 cannot be shared with Service default/one: pool "pool" keeps namespaces apart (sharing: Namespace)`)
		d.provide(poolWith("pool", "sharing: Cluster", "192.0.2.0/28"))
		other.awaitSharing("insists", "192.0.2.0", "default/one")
		other.awaitAddresses("two", "192.0.2.1") // it stays
		d.provide(poolWith("pool", "sharing: Namespace", "192.0.2.0/28"))
		other.awaitRefusal("insists", "SharingConflict", "keeps namespaces apart")
		d.awaitAddresses("one", "192.0.2.0") // the older one
	})

	d.scenario("of Services that share an address and cannot any more the one that was there first keeps it, until they can again", func(d *deployment) {
		d.provide(pool("pool", "192.0.2.0/28"))
		shared := all(key, wish("192.0.2.0"))
		d.loadBalancer("first", shared)
		d.awaitAddresses("first", "192.0.2.0")
		d.awaitNextSecond()
		d.loadBalancer("second", all(shared, port(81)))
		d.awaitSharing("second", "192.0.2.0", "default/first")
		d.awaitNextSecond()
		d.loadBalancer("third", all(shared, port(82)))
		d.awaitSharing("third", "192.0.2.0", "default/first", "default/second")

		d.update("first", port(82))
		d.awaitRefusal("third", "SharingConflict", "192.0.2.0 cannot be shared with Service default/first: both use port TCP/82")
		d.awaitSharing("first", "192.0.2.0", "default/second")
		d.awaitEvent("third", corev1.EventTypeWarning, "SharingEnded", "Service default/first had it first and keeps it")
		d.update("first", port(80))
		d.awaitSharing("third", "192.0.2.0", "default/first", "default/second")

		d.update("third", port(80))
		d.awaitRefusal("third", "SharingConflict", "192.0.2.0 cannot be shared with Service default/first: both use port TCP/80")
		d.update("third", port(82))
		d.awaitSharing("third", "192.0.2.0", "default/first", "default/second")

		d.update("first", annotate("clarionlb.io/allow-shared-ip", "another"))
		d.awaitRefusal("second", "SharingConflict", "192.0.2.0 is shared under another key")
		d.awaitRefusal("third", "SharingConflict", "192.0.2.0 is shared under another key")
		d.update("first", key)
		d.awaitSharing("first", "192.0.2.0", "default/second", "default/third")

		d.update("second", local("app"))
		d.awaitRefusal("second", "SharingConflict", "externalTrafficPolicy Local")
		d.awaitSharing("first", "192.0.2.0", "default/third")
		d.update("second", wish("")) // no longer insists
		d.awaitAddresses("second", "192.0.2.1")

		d.update("first", withoutAnnotations)
		d.awaitRefusal("third", "AddressInUse", "192.0.2.0 is in use by Service default/first")
		d.awaitAddresses("first", "192.0.2.0")
		d.delete("first")
		d.awaitAddresses("third", "192.0.2.0")
	})
}
