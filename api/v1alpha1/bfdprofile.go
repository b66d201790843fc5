package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=bfd
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Transmit",type=integer,JSONPath=`.spec.transmitInterval`
// +kubebuilder:printcolumn:name="Receive",type=integer,JSONPath=`.spec.receiveInterval`
// +kubebuilder:printcolumn:name="Multiplier",type=integer,JSONPath=`.spec.detectMultiplier`
// +kubebuilder:printcolumn:name="Strict",type=boolean,JSONPath=`.spec.strict`,priority=1
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// BFDProfile is how quickly nodes and routers notice that the path between them is dead (RFC 5880). BGPPeers name it.
type BFDProfile struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	// +kubebuilder:default={}
	Spec BFDProfileSpec `json:"spec,omitempty"`
	// +optional
	Status BFDProfileStatus `json:"status,omitempty"`
}

// BFDProfileSpec is what a node offers its routers. What changes while a session is up is agreed on without an interruption.
type BFDProfileSpec struct {
	// TransmitInterval is how often a node sends at most, in milliseconds: the router may ask for less.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	TransmitInterval int32 `json:"transmitInterval,omitempty"`

	// ReceiveInterval is how often a node can receive, in milliseconds: the router sends no more often.
	// +optional
	// +kubebuilder:default=300
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	ReceiveInterval int32 `json:"receiveInterval,omitempty"`

	// DetectMultiplier is how many packets of a node have to be missing for the router to take the path for dead; for the node,
	// the router's own counts.
	// +optional
	// +kubebuilder:default=3
	// +kubebuilder:validation:Minimum=2
	// +kubebuilder:validation:Maximum=255
	DetectMultiplier int32 `json:"detectMultiplier,omitempty"`

	// MinimumTTL is the least TTL, or hop limit, with which packets of a router may arrive that is not on a network of the node:
	// 255 less the routers on the way, if it begins with 255. BIRD 2.0 begins with 64. On the node's own networks it is 255.
	// +optional
	// +kubebuilder:default=254
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=254
	MinimumTTL int32 `json:"minimumTtl,omitempty"`

	// PassiveMode leaves it to the router to begin. The router must not be passive too.
	// +optional
	PassiveMode bool `json:"passiveMode,omitempty"`

	// Strict keeps the BGP session closed while BFD is not up. The router must do BFD with the node when there is no BGP session:
	// FRR does with a configured neighbor, and not with one of a listen range. Otherwise BFD begins when there is a BGP session,
	// and its failure ends that one.
	// +optional
	Strict bool `json:"strict,omitempty"`

	// EchoMode is not supported: a BFDProfile that asks for it is not used.
	// +optional
	EchoMode bool `json:"echoMode,omitempty"`

	// EchoInterval means nothing without echoMode.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=60000
	EchoInterval int32 `json:"echoInterval,omitempty"`
}

// ReasonUnsupported is the reason of a BFDProfile's Ready condition if it asks for something that there is not.
const ReasonUnsupported = "Unsupported"

// BFDProfileStatus is written by the cloud-controller-manager alone.
type BFDProfileStatus struct {
	// AppliedSpec is the spec that was last found valid. It stays in force while the spec as it is
	// written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *BFDProfileSpec `json:"appliedSpec,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// BFDProfileList is a list of BFDProfiles.
type BFDProfileList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []BFDProfile `json:"items"`
}
