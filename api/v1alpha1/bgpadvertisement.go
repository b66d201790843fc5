package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=bgpadv
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="Peers",type=string,JSONPath=`.spec.peers`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// BGPAdvertisement has addresses announced to routers by BGP. Without any, no address is announced that way.
type BGPAdvertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec BGPAdvertisementSpec `json:"spec,omitempty"`
	// +optional
	Status BGPAdvertisementStatus `json:"status,omitempty"`
}

// BGPAdvertisementSpec selects what is announced, from where, to whom and with which attributes. An absent list selects
// everything.
//
// Where several BGPAdvertisements announce the same prefix to the same peer, it gets the communities of all of them. Of
// localPref, med and prependAS, the oldest BGPAdvertisement that sets one decides. That one of them sets linkBandwidth is
// enough.
// +kubebuilder:validation:XValidation:rule="!has(self.serviceSelectors) || self.serviceSelectors.size() == 0 || (!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128)",message="serviceSelectors can only be used without aggregation: an aggregate attracts the traffic of all Services in it"
// +kubebuilder:validation:XValidation:rule="!has(self.linkBandwidth) || (!has(self.aggregationLength) || self.aggregationLength == 32) && (!has(self.aggregationLengthV6) || self.aggregationLengthV6 == 128)",message="linkBandwidth can only be used without aggregation: an aggregate attracts the traffic of many Services, whose endpoints are elsewhere"
type BGPAdvertisementSpec struct {
	// IPAddressPools whose addresses are announced, by name. With ipAddressPoolSelectors also given, either is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	IPAddressPools []string `json:"ipAddressPools,omitempty"`

	// IPAddressPoolSelectors are the pools whose addresses are announced, by label: one match is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	IPAddressPoolSelectors []LabelSelector `json:"ipAddressPoolSelectors,omitempty"`

	// ServiceSelectors are the Services whose addresses are announced, by label: one match is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	ServiceSelectors []LabelSelector `json:"serviceSelectors,omitempty"`

	// NodeSelectors are the nodes that announce, by label: one match is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// Peers to announce to: names of BGPPeers.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +listType=set
	Peers []string `json:"peers,omitempty"`

	// AggregationLength is the length of the IPv4 prefixes that are announced in the place of single addresses. A prefix is
	// announced for as long as any address in it is to be. It must lie within the pool of the address.
	// +optional
	// +kubebuilder:default=32
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32
	AggregationLength *int32 `json:"aggregationLength,omitempty"`

	// AggregationLengthV6 is the same for IPv6.
	// +optional
	// +kubebuilder:default=128
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=128
	AggregationLengthV6 *int32 `json:"aggregationLengthV6,omitempty"`

	// LocalPref is the local preference, for internal peers alone. Absent: 100.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	LocalPref *int64 `json:"localPref,omitempty"`

	// MED is the multi-exit discriminator: of routes from one autonomous system, routers prefer the lowest. Absent: none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=4294967295
	MED *int64 `json:"med,omitempty"`

	// PrependAS is how many more times the nodes' autonomous system is put on the path, for external peers alone: routers
	// prefer shorter paths.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=20
	PrependAS *int32 `json:"prependAS,omitempty"`

	// Communities that the routes carry: "65000:1", large ones as "large:65000:1:2", names that a Community defines, or
	// well-known ones: "no-export", "no-advertise", "no-export-subconfed" (or "local-as"), "no-peer", "blackhole",
	// "graceful-shutdown" and "no-llgr".
	// +optional
	// +kubebuilder:validation:MaxItems=63
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=63
	// +listType=set
	Communities []string `json:"communities,omitempty"`

	// LinkBandwidth has routers spread traffic over endpoints, not over nodes, by the link bandwidth community (RFC 10005):
	// with "PerEndpoint", a route has 1 Mbit/s for each endpoint on the node, if externalTrafficPolicy of the Service is
	// Local. If it is Cluster, all nodes are equal and the route has no bandwidth. Absent: none.
	// +optional
	LinkBandwidth LinkBandwidth `json:"linkBandwidth,omitempty"`
}

// LinkBandwidth is what the link bandwidth community of routes says.
// +kubebuilder:validation:Enum=PerEndpoint
type LinkBandwidth string

// LinkBandwidthPerEndpoint : how many endpoints the node has.
const LinkBandwidthPerEndpoint LinkBandwidth = "PerEndpoint"

// BGPAdvertisementStatus is written by the cloud-controller-manager alone.
type BGPAdvertisementStatus struct {
	// AppliedSpec is the spec that was last found valid, with values in the place of names that Communities define. It stays in force while the spec as it is
	// written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *BGPAdvertisementSpec `json:"appliedSpec,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// BGPAdvertisementList is a list of BGPAdvertisements.
type BGPAdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BGPAdvertisement `json:"items"`
}
