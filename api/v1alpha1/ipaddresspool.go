package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConditionReady is the condition type that says whether Clarion uses an object as it is written.
const ConditionReady = "Ready"

// Reasons of an IPAddressPool's Ready condition.
const (
	// ReasonValid : the pool is in use.
	ReasonValid = "Valid"
	// ReasonInvalidAddress : an entry of spec.addresses or spec.exclude is neither a CIDR, a range nor an address.
	ReasonInvalidAddress = "InvalidAddress"
	// ReasonInvalidSelector : a label selector of spec.serviceAllocation cannot be parsed.
	ReasonInvalidSelector = "InvalidSelector"
	// ReasonOverlaps : entries overlap each other, or another pool had some of the addresses first.
	ReasonOverlaps = "Overlaps"
	// ReasonDeleting : the pool is to be deleted, but Services have addresses of it.
	ReasonDeleting = "Deleting"
	// ReasonInternalError : a fault of Clarion's keeps it from reading the object, or from deciding about
	// it. What was in force before stays so. Any of our objects can have it, and the conditions of
	// Services.
	ReasonInternalError = "InternalError"
)

// FinalizerPoolInUse is the finalizer of an IPAddressPool of which Services have addresses.
const FinalizerPoolInUse = "clarionlb.io/pool-in-use"

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=ipap
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="IPv4 assigned",type=integer,JSONPath=`.status.ipv4.assigned`
// +kubebuilder:printcolumn:name="IPv4 available",type=integer,JSONPath=`.status.ipv4.available`
// +kubebuilder:printcolumn:name="IPv6 assigned",type=integer,JSONPath=`.status.ipv6.assigned`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1

// IPAddressPool is a set of addresses that Services of type LoadBalancer may get.
type IPAddressPool struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAddressPoolSpec `json:"spec"`
	// +optional
	Status IPAddressPoolStatus `json:"status,omitempty"`
}

// IPAddressPoolSpec is what the operator wants of a pool.
type IPAddressPoolSpec struct {
	// Addresses of the pool: each entry is a CIDR ("192.168.10.0/24"), a range with both ends included
	// ("192.168.10.200-192.168.10.250") or a single address. Both families may be mixed. All addresses of a CIDR are used,
	// its first and last too.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="self.contains('-') ? self.matches('^([^:-]+-[^:-]+|[^-]*:[^-]*-[^-]*:[^-]*)$') && isIP(self.split('-')[0].trim()) && ip(self.split('-')[0].trim()).isGlobalUnicast() && isIP(self.split('-')[1].trim()) && ip(self.split('-')[1].trim()).isGlobalUnicast() : self.contains('/') ? isCIDR(self.trim()) && cidr(self.trim()).masked().ip().isGlobalUnicast() : isIP(self.trim()) && ip(self.trim()).isGlobalUnicast()",message="must be a CIDR, a range \"first-last\" of one IP family or an address, of unicast addresses that are neither loopback nor link-local"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9. ]+-[0-9. ]+$') || [self.replace(' ', '').replace('-', '.').split('.')].all(o, o.size() != 8 || ((int(o[0]) * 256 + int(o[1])) * 256 + int(o[2])) * 256 + int(o[3]) <= ((int(o[4]) * 256 + int(o[5])) * 256 + int(o[6])) * 256 + int(o[7]))",message="the first address of a range must not be after its last"
	// +listType=atomic
	Addresses []string `json:"addresses"`

	// Exclude lists addresses of the pool that are never handed out, in the same notation as addresses.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="self.contains('-') ? self.matches('^([^:-]+-[^:-]+|[^-]*:[^-]*-[^-]*:[^-]*)$') && isIP(self.split('-')[0].trim()) && ip(self.split('-')[0].trim()).isGlobalUnicast() && isIP(self.split('-')[1].trim()) && ip(self.split('-')[1].trim()).isGlobalUnicast() : self.contains('/') ? isCIDR(self.trim()) && cidr(self.trim()).masked().ip().isGlobalUnicast() : isIP(self.trim()) && ip(self.trim()).isGlobalUnicast()",message="must be a CIDR, a range \"first-last\" of one IP family or an address, of unicast addresses that are neither loopback nor link-local"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9. ]+-[0-9. ]+$') || [self.replace(' ', '').replace('-', '.').split('.')].all(o, o.size() != 8 || ((int(o[0]) * 256 + int(o[1])) * 256 + int(o[2])) * 256 + int(o[3]) <= ((int(o[4]) * 256 + int(o[5])) * 256 + int(o[6])) * 256 + int(o[7]))",message="the first address of a range must not be after its last"
	// +listType=atomic
	Exclude []string `json:"exclude,omitempty"`

	// AutoAssign false keeps the pool for Services that ask for it, or for one of its addresses, by name.
	// +optional
	// +kubebuilder:default=true
	AutoAssign *bool `json:"autoAssign,omitempty"`

	// AvoidBuggyIPs leaves out the IPv4 addresses that end in .0 or .255, which some old clients refuse to talk to.
	// +optional
	AvoidBuggyIPs bool `json:"avoidBuggyIPs,omitempty"`

	// ReuseAfter is how long a freed address is not given to another Service, so that caches of the network forget
	// its former owner. Meanwhile only Services of the namespace that had the address get it if they ask for it by name, and any
	// Service when the pool has nothing else left. Default 30s.
	// +optional
	// +kubebuilder:default="30s"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('0s')",message="must not be negative"
	ReuseAfter *metav1.Duration `json:"reuseAfter,omitempty"`

	// Sharing says who may share an address of the pool by giving the same sharing key (annotation
	// clarionlb.io/allow-shared-ip): Services of one namespace (the default), or of the whole cluster. In the whole cluster, who
	// guesses a key can join the address of another namespace on a port that is free.
	// +optional
	// +kubebuilder:default=Namespace
	Sharing SharingScope `json:"sharing,omitempty"`

	// ServiceAllocation restricts the pool to some Services and orders it among the pools that suit a Service. Without it
	// every Service may use the pool.
	// +optional
	ServiceAllocation *ServiceAllocation `json:"serviceAllocation,omitempty"`
}

// SharingScope is how far apart Services that share an address may be.
// +kubebuilder:validation:Enum=Namespace;Cluster
type SharingScope string

const (
	// SharingNamespace : only Services of one namespace may share an address.
	SharingNamespace SharingScope = "Namespace"
	// SharingCluster : Services of any namespace may share an address.
	SharingCluster SharingScope = "Cluster"
)

// ServiceAllocation says which Services may use a pool, and how much of it. Namespaces and namespaceSelectors together are the
// namespaces that may (any, if both are absent), without excludedNamespaces; serviceSelectors are the Services in them that may
// (any, if absent). A list that is present but matches nothing admits nobody. All this decides who is given an address, and takes
// none away.
type ServiceAllocation struct {
	// Priority orders the pools that suit a Service: lower is tried first, 0 or absent last.
	// +optional
	// +kubebuilder:validation:Minimum=0
	Priority int32 `json:"priority,omitempty"`

	// Namespaces that may use the pool, by name.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	Namespaces []string `json:"namespaces,omitempty"`

	// NamespaceSelectors are the namespaces that may use the pool, by label: one match is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	NamespaceSelectors []LabelSelector `json:"namespaceSelectors,omitempty"`

	// ExcludedNamespaces may not use the pool, whatever else admits them.
	// +optional
	// +kubebuilder:validation:MaxItems=1024
	// +kubebuilder:validation:items:MaxLength=63
	// +kubebuilder:validation:items:Pattern=`^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`
	// +listType=set
	ExcludedNamespaces []string `json:"excludedNamespaces,omitempty"`

	// MaxAddressesPerNamespace is how many addresses of each family the Services of one namespace are given at most. An address
	// that several of them share counts once. One that a reservation keeps for a Service counts, but is given to it in any case.
	// Absent: any number.
	// +optional
	// +kubebuilder:validation:Minimum=1
	MaxAddressesPerNamespace int32 `json:"maxAddressesPerNamespace,omitempty"`

	// ServiceSelectors are the Services that may use the pool, by label: one match is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`
}

// IPAddressPoolStatus is written by the cloud-controller-manager alone.
type IPAddressPoolStatus struct {
	// IPv4 counts the IPv4 addresses of the pool; absent if it has none.
	// +optional
	IPv4 *AddressCounts `json:"ipv4,omitempty"`
	// IPv6 counts the IPv6 addresses of the pool; absent if it has none.
	// +optional
	IPv6 *AddressCounts `json:"ipv6,omitempty"`

	// AppliedSpec is the spec that was last found valid. It stays in force while the spec as it is written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *IPAddressPoolSpec `json:"appliedSpec,omitempty"`

	// Contested are addresses of this pool that another pool had first. They are that pool's; this one hands out the rest.
	// +optional
	// +listType=atomic
	Contested []ContestedAddresses `json:"contested,omitempty"`

	// AwaitingReuse are the addresses that were freed less than spec.reuseAfter ago, the last 256 of them, so that a restart of the
	// cloud-controller-manager gives none of them away.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +listType=atomic
	AwaitingReuse []AddressAwaitingReuse `json:"awaitingReuse,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// ContestedAddresses are addresses that two pools have.
type ContestedAddresses struct {
	// Addresses are a range "first-last", or a single address.
	Addresses string `json:"addresses"`
	// Pool is the IPAddressPool that had them first.
	Pool string `json:"pool"`
}

// AddressAwaitingReuse is an address that was freed a short while ago.
type AddressAwaitingReuse struct {
	// Address is free.
	Address string `json:"address"`
	// Namespace had it: until then, only its Services may ask for the address by name.
	Namespace string `json:"namespace"`
	// Service of the namespace that had it, and has it back when it is created again; absent if it has given back another one
	// since.
	// +optional
	Service string `json:"service,omitempty"`
	// Until is when the address is like any other.
	Until metav1.Time `json:"until"`
}

// AddressCounts counts the addresses of one family. A number that does not fit is reported as the largest that does.
type AddressCounts struct {
	// Total is how many addresses the pool can hand out.
	Total int64 `json:"total"`
	// Assigned is how many of them Services have; a shared address counts once.
	Assigned int64 `json:"assigned"`
	// Available is how many are free, those that rest after use (reuseAfter) included.
	Available int64 `json:"available"`
}

// +kubebuilder:object:root=true

// IPAddressPoolList is a list of IPAddressPools.
type IPAddressPoolList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IPAddressPool `json:"items"`
}
