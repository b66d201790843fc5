package causes

import (
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

const web = "service/web"

// allocation are the causes of a Service without an address, or without the one that it asks for.
var allocation = []Cause{
	{
		Name: "There is no pool", Symptom: Pending,
		Break: func(c *Cluster) { remove[*v1alpha1.IPAddressPool](c) },
		Shown: []Shown{on(web, "NoMatchingPool", "there is no IPAddressPool", "create one")},
		Fix:   "Create an IPAddressPool.",
	},
	{
		Name: "All addresses are in use", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"192.0.2.200/32"} })
			c.add(first())
		},
		Shown: []Shown{
			on(web, "PoolExhausted", `pool "public" has no free IPv4 address`, "add addresses or a pool"),
			inColumn("ipaddresspool/public", "IPv4 available", "0"),
		},
		Fix: "Add addresses to the pool, or add a pool.",
	},
	{
		Name: "No pool is for the namespace", Symptom: Pending,
		Break: func(c *Cluster) { restrict(c, &v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}) },
		Shown: []Shown{on(web, "NoMatchingPool", `pool "public" is not for Services in namespace "default"`, "change spec.serviceAllocation")},
		Fix:   "Add the namespace to `spec.serviceAllocation` of a pool, or add a pool.",
	},
	{
		Name: "The pool excludes the namespace", Symptom: Pending,
		Break: func(c *Cluster) { restrict(c, &v1alpha1.ServiceAllocation{ExcludedNamespaces: []string{"default"}}) },
		Shown: []Shown{on(web, "NoMatchingPool", `pool "public" excludes namespace "default"`, "change spec.serviceAllocation")},
		Fix:   "Remove the namespace from `spec.serviceAllocation.excludedNamespaces`, or add a pool.",
	},
	{
		Name: "No pool selects the Service by its labels", Symptom: Pending,
		Break: func(c *Cluster) {
			restrict(c, &v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{{MatchLabels: map[string]v1alpha1.LabelValue{"tier": "front"}}}})
		},
		Shown: []Shown{on(web, "NoMatchingPool", `pool "public" does not select the Service by its labels`, "change spec.serviceAllocation")},
		Fix:   "Give the Service the labels, or change `spec.serviceAllocation.serviceSelectors` of a pool.",
	},
	{
		Name: "Every pool is only for Services that ask for it", Symptom: Pending,
		Break: func(c *Cluster) { change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.AutoAssign = new(false) }) },
		Shown: []Shown{on(web, "NoMatchingPool", `pool "public" is only for Services that ask for it (autoAssign: false)`, "annotation clarionlb.io/address-pool")},
		Fix:   "Name the pool in the annotation `clarionlb.io/address-pool` of the Service, or add a pool.",
	},
	{
		Name: "The Service names a pool that does not exist", Symptom: Pending,
		Break: asking(loadbalancer.AnnotationPool, "publik"),
		Shown: []Shown{on(web, "NoMatchingPool", `pool "publik" does not exist`, "create it, or have the Service name another one")},
		Fix:   "Correct the annotation `clarionlb.io/address-pool`.",
	},
	{
		Name: "The pool that the Service names cannot be used", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"192.0.2.200-192.0.2.299"} })
			asking(loadbalancer.AnnotationPool, "public")(c)
		},
		Shown: []Shown{
			on(web, "NoMatchingPool", `pool "public" cannot be used`, "192.0.2.299", "correct the pool"),
			on("ipaddresspool/public", "Ready=False", "InvalidAddress", "192.0.2.299"),
		},
		Fix: "Correct the pool: its `Ready` condition says what cannot be read.",
	},
	{
		Name: "The only pool cannot be used", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"192.0.2.200/33"} })
		},
		Shown: []Shown{
			on(web, "NoMatchingPool", `pool "public" cannot be used`, "192.0.2.200/33", "correct the pool"),
			on("ipaddresspool/public", "Ready=False", "InvalidAddress", "192.0.2.200/33"),
		},
		Fix: "Correct the pool: its `Ready` condition says what cannot be read.",
	},
	{
		Name: "The pool is being deleted", Symptom: Pending,
		Break: func(c *Cluster) {
			c.add(first())
			change(c, func(p *v1alpha1.IPAddressPool) {
				p.DeletionTimestamp, p.Finalizers = new(metav1.Now()), []string{v1alpha1.FinalizerPoolInUse}
			})
		},
		Shown: []Shown{
			on(web, "NoMatchingPool", `pool "public" is being deleted`, "create another pool"),
			on("ipaddresspool/public", "Ready=False", "Deleting", "hands out nothing", "waits for Services", "default/first"),
		},
		Fix: "Add another pool. A pool that is being deleted goes when no Service has an address of it.",
	},
	{
		Name: "The pools have no addresses of the family", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Spec.IPFamilies = []corev1.IPFamily{corev1.IPv6Protocol} })
		},
		Shown: []Shown{on(web, "FamilyUnavailable", `pool "public" has no IPv6 addresses`, "add some, or have the Service do without IPv6")},
		Fix:   "Add addresses of that family to a pool, or use `ipFamilyPolicy: PreferDualStack`.",
	},
	{
		Name: "The Service requires two families of a cluster that has one", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Spec.IPFamilyPolicy = new(corev1.IPFamilyPolicyRequireDualStack) })
		},
		Shown: []Shown{on(web, "FamilyUnavailable", "requires both families", "gives it only IPv4", "PreferDualStack")},
		Fix:   "Use `ipFamilyPolicy: PreferDualStack`, or make the cluster dual-stack.",
	},
	{
		Name: "The namespace has as many addresses as it may", Symptom: Pending,
		Break: func(c *Cluster) {
			restrict(c, &v1alpha1.ServiceAllocation{MaxAddressesPerNamespace: 1})
			c.add(first())
		},
		Shown: []Shown{
			on(web, "NamespaceLimitReached", `namespace "default" has 1 IPv4 address`, "1 at most (maxAddressesPerNamespace)", "delete or share"),
			on("ipaddresspool/public", `namespace "default" has 1 IPv4 address`),
		},
		Fix: "Delete a Service of the namespace, share an address, or raise `maxAddressesPerNamespace` of the pool.",
	},
	{
		Name: "The address that the Service asks for is in no pool", Symptom: Pending,
		Break: asking(loadbalancer.AnnotationAddresses, "192.0.2.100"),
		Shown: []Shown{on(web, "AddressNotInPool", "192.0.2.100 is in no pool", "ask for another address or none, or add it to a pool")},
		Fix:   "Ask for another address, or add it to a pool.",
	},
	{
		Name: "The address that the Service asks for is excluded from its pool", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Exclude = []string{address} })
			asking(loadbalancer.AnnotationAddresses, address)(c)
		},
		Shown: []Shown{on(web, "AddressNotInPool", address+` is excluded from pool "public"`, "ask for another address")},
		Fix:   "Ask for another address, or remove it from `spec.exclude`.",
	},
	{
		Name: "The address that the Service asks for is not in the pool that it names", Symptom: Pending,
		Break: func(c *Cluster) {
			c.add(pool("inner", "192.0.2.210-192.0.2.219"))
			asking(loadbalancer.AnnotationAddresses, "192.0.2.210")(c)
			asking(loadbalancer.AnnotationPool, "public")(c)
		},
		Shown: []Shown{on(web, "AddressNotInPool", `192.0.2.210 is not in pool "public" but in pool "inner"`, "name that pool")},
		Fix:   "Name the pool of the address, or none.",
	},
	{
		Name: "Another Service has the address that the Service asks for", Symptom: Pending,
		Break: func(c *Cluster) {
			c.add(first())
			asking(loadbalancer.AnnotationAddresses, address)(c)
		},
		Shown: []Shown{on(web, "AddressInUse", "in use by Service default/first", "ask for another address or none, or share it (clarionlb.io/allow-shared-ip on both)")},
		Fix:   "Ask for another address, or give both Services the same sharing key.",
	},
	{
		Name: "A node has the address that the Service asks for", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.Addresses = []string{"192.0.2.0/24"} })
			asking(loadbalancer.AnnotationAddresses, "192.0.2.11")(c)
		},
		Shown: []Shown{on(web, "AddressReserved", `192.0.2.11 is never handed out: it is the address of node "n1"`, "ask for another address")},
		Fix:   "Ask for another address.",
	},
	{
		Name: "An IPAddressReservation keeps the address that the Service asks for", Symptom: Pending,
		Break: func(c *Cluster) {
			c.add(&v1alpha1.IPAddressReservation{ObjectMeta: named("printers"), Spec: v1alpha1.IPAddressReservationSpec{Addresses: []string{address}}})
			asking(loadbalancer.AnnotationAddresses, address)(c)
		},
		Shown: []Shown{on(web, "AddressReserved", `kept out of use by reservation "printers"`, "ask for another address or none, or change the reservation")},
		Fix:   "Ask for another address, or change the IPAddressReservation.",
	},
	{
		Name: "Another namespace had the address that the Service asks for until a short while ago", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.ReuseAfter = &metav1.Duration{Duration: time.Hour} })
			s := first()
			s.Namespace = "other"
			c.add(s)
			asking(loadbalancer.AnnotationAddresses, address)(c)
		},
		Then: func(w *World) { drop[*corev1.Service](w, "first") },
		Shown: []Shown{
			on(web, "AddressAwaitingReuse", `only Services of namespace "other", which had it`, "wait, or keep it for this Service by an IPAddressReservation"),
		},
		Fix: "Wait until the time in the message, or make an IPAddressReservation for the Service.",
	},
	{
		Name: "Two Services that are to share an address use the same port", Symptom: Pending,
		Break: func(c *Cluster) {
			asking(loadbalancer.AnnotationSharing, "key")(c)
			asking(loadbalancer.AnnotationAddresses, address)(c)
			s := first()
			s.Annotations = map[string]string{string(loadbalancer.AnnotationSharing): "key"}
			c.add(s)
		},
		Shown: []Shown{on(web, "SharingConflict", "cannot be shared with Service default/first: both use port TCP/80", "use another port")},
		Fix:   "Use another port, or another address.",
	},
	{
		Name: "Two Services that are to share an address have different keys", Symptom: Pending,
		Break: func(c *Cluster) {
			asking(loadbalancer.AnnotationSharing, "key")(c)
			asking(loadbalancer.AnnotationAddresses, address)(c)
			s := first()
			s.Annotations, s.Spec.Ports[0].Port = map[string]string{string(loadbalancer.AnnotationSharing): "other"}, 81
			c.add(s)
		},
		Shown: []Shown{on(web, "SharingConflict", "shared under another key: Service default/first has it", "use the same key")},
		Fix:   "Use the same key, or another address.",
	},
	{
		Name: "A host on the network has the address that the Service asks for", Symptom: Pending,
		Break: func(c *Cluster) {
			asking(loadbalancer.AnnotationAddresses, address)(c)
			change(c, heardHost(false), "n1")
		},
		Shown: []Shown{
			on(web, "AddressConflict", address+" is not handed out", "the host 02:00:00:00:00:99 on the network answers for it", "take it from that host, or ask for another address"),
		},
		Fix: "Take the address from that host, or ask for another one.",
	},
	{
		Name: "An annotation of the Service cannot be read", Symptom: Pending,
		Break: asking(loadbalancer.AnnotationAddresses, "192.0.2.2OO"),
		Shown: []Shown{on(web, "InvalidRequest", "annotation clarionlb.io/addresses", `"192.0.2.2OO" is not an IP address`, "correct or remove it")},
		Fix:   "Correct the annotation or field that the message names.",
	},
	{
		Name: "Two annotations of the Service contradict each other", Symptom: Pending,
		Break: func(c *Cluster) {
			asking(loadbalancer.AnnotationPool, "public")(c)
			asking(loadbalancer.AnnotationMetalLBPool, "other")(c)
		},
		Shown: []Shown{on(web, "InvalidRequest", "clarionlb.io/address-pool and metallb.io/address-pool contradict each other", "remove one of them")},
		Fix:   "Remove one of the annotations.",
	},
	{
		Name: "An annotation of the Service is misspelt", Symptom: WrongAnswer,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Annotations = map[string]string{"clarionlb.io/address-pools": "inner"} })
		},
		Shown: []Shown{on(web, "AddressAssigned", "annotation clarionlb.io/address-pools is ignored", "clarionlb.io/address-pool is probably meant")},
		Fix:   "Correct the annotation.",
	},
	{
		Name: "spec.loadBalancerClass is misspelt", Symptom: Pending,
		Break: func(c *Cluster) {
			change(c, func(s *corev1.Service) { s.Spec.LoadBalancerClass = new("clarionlb.io/clarrion") })
		},
		Shown: []Shown{on(web, "ClassNotServed", `spec.loadBalancerClass "clarionlb.io/clarrion" is not served`, `whose class is "clarionlb.io/clarion"`, "make the Service anew")},
		Fix:   "Make the Service anew with the class `clarionlb.io/clarion`, or without one.",
	},
}

// first returns a Service that has an address already.
func first() *corev1.Service {
	return with("first", func(s *corev1.Service) {
		s.Status.LoadBalancer.Ingress = []corev1.LoadBalancerIngress{{IP: address, IPMode: new(corev1.LoadBalancerIPModeVIP)}}
	})
}

// restrict restricts the pool to some Services.
func restrict(c *Cluster, allocation *v1alpha1.ServiceAllocation) {
	change(c, func(p *v1alpha1.IPAddressPool) { p.Spec.ServiceAllocation = allocation })
}

// asking gives the Service an annotation.
func asking(annotation loadbalancer.Annotation, value string) func(*Cluster) {
	return func(c *Cluster) {
		change(c, func(s *corev1.Service) { metav1.SetMetaDataAnnotation(&s.ObjectMeta, string(annotation), value) }, "web")
	}
}

// heardHost has an announcer have heard a host that has the address.
func heardHost(inUse bool) func(*v1alpha1.Announcer) {
	return func(a *v1alpha1.Announcer) {
		a.Status.Layer2.Conflicts = []v1alpha1.Layer2Conflict{{IP: address, Interface: "eth0", MAC: "02:00:00:00:00:99", Since: metav1.Now(), InUse: inUse}}
	}
}
