package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=l2adv
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Pools",type=string,JSONPath=`.spec.ipAddressPools`
// +kubebuilder:printcolumn:name="Interfaces",type=string,JSONPath=`.spec.interfaces`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// L2Advertisement has addresses announced on the local network by ARP and NDP. Without any, no address is announced that way.
type L2Advertisement struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec L2AdvertisementSpec `json:"spec,omitempty"`
	// +optional
	Status L2AdvertisementStatus `json:"status,omitempty"`
}

// L2AdvertisementSpec selects what is announced and from where. An absent list selects everything.
type L2AdvertisementSpec struct {
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

	// NodeSelectors are the nodes that may announce, by label: one match is enough.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	NodeSelectors []LabelSelector `json:"nodeSelectors,omitempty"`

	// PreferredNodeSelectors are the nodes that announce rather than others, if they can: the weights of those that match a
	// node add up, also over several L2Advertisements, and the highest sum comes first. An address that has a node stays
	// there; it goes to a preferred one when it needs another node, or when rebalancing is asked for.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	PreferredNodeSelectors []PreferredNodeSelector `json:"preferredNodeSelectors,omitempty"`

	// Interfaces to announce on: names or shell patterns ("eth0", "bond*"). Absent: the one by which the node's kernel sends to the
	// address. In each LAN a node announces on one interface: of those named, on the one on which the address is on link and that the
	// kernel prefers.
	// +optional
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MinLength=1
	// +kubebuilder:validation:items:MaxLength=64
	// +kubebuilder:validation:items:Pattern=`^([^\\[]|\\.|\[(\^([^\\\]-]|\\.)(-([^\\\]-]|\\.))?|([^\\\]^-]|\\.)(-([^\\\]-]|\\.))?)(([^\\\]-]|\\.)(-([^\\\]-]|\\.))?)*\])+$`
	// +listType=set
	Interfaces []string `json:"interfaces,omitempty"`

	// DuplicateAddressDetection says whether the network is asked, before an address is announced for the first time, if a host has it
	// already (RFC 5227, RFC 4862). Absent: Enabled. With Disabled the address is announced whoever answers, as it has to be where a
	// router answers for every address (proxy ARP). An address that several L2Advertisements select is not asked for if one says so.
	// +optional
	DuplicateAddressDetection DuplicateAddressDetection `json:"duplicateAddressDetection,omitempty"`
}

// DuplicateAddressDetection says whether the network is asked for an address before it is announced.
// +kubebuilder:validation:Enum=Enabled;Disabled
type DuplicateAddressDetection string

const (
	// DuplicateAddressDetectionEnabled : the network is asked.
	DuplicateAddressDetectionEnabled DuplicateAddressDetection = "Enabled"
	// DuplicateAddressDetectionDisabled : it is not.
	DuplicateAddressDetectionDisabled DuplicateAddressDetection = "Disabled"
)

// PreferredNodeSelector gives weight to nodes.
type PreferredNodeSelector struct {
	// Weight that the nodes get.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=100
	Weight int32 `json:"weight"`
	// Preference matches the labels of the nodes.
	Preference LabelSelector `json:"preference"`
}

// L2AdvertisementStatus is written by the cloud-controller-manager alone.
type L2AdvertisementStatus struct {
	// AppliedSpec is the spec that was last found valid. It stays in force while the spec as it is
	// written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *L2AdvertisementSpec `json:"appliedSpec,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// L2AdvertisementList is a list of L2Advertisements.
type L2AdvertisementList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []L2Advertisement `json:"items"`
}
