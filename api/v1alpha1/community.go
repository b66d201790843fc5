package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=comm
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Names",type=string,JSONPath=`.spec.communities[*].name`
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// Community gives names to BGP communities, for BGPAdvertisements to use.
type Community struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Spec CommunitySpec `json:"spec,omitempty"`
	// +optional
	Status CommunityStatus `json:"status,omitempty"`
}

// CommunitySpec is the names. Where several Communities define one, the oldest of them decides; that of a well-known community
// can be defined to mean something else.
type CommunitySpec struct {
	// Communities with their names.
	// +optional
	// +kubebuilder:validation:MaxItems=256
	// +listType=map
	// +listMapKey=name
	Communities []CommunityAlias `json:"communities,omitempty"`
}

// CommunityAlias is a name for a community.
type CommunityAlias struct {
	// Name that BGPAdvertisements use.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="!self.contains(':')",message="must not contain a colon"
	Name string `json:"name"`
	// Value as "65000:1", for a large community as "large:65000:1:2", or a well-known one by its name, as in BGPAdvertisements.
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:Pattern=`^(0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]):0*([0-9]{1,4}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])|large(:0*([0-9]{1,9}|[1-3][0-9]{9}|4[01][0-9]{8}|42[0-8][0-9]{7}|429[0-3][0-9]{6}|4294[0-8][0-9]{5}|42949[0-5][0-9]{4}|429496[0-6][0-9]{3}|4294967[01][0-9]{2}|42949672[0-8][0-9]|429496729[0-5])){3}|no-export|no-advertise|no-export-subconfed|local-as|no-peer|blackhole|graceful-shutdown|no-llgr)$`
	Value string `json:"value"`
}

// CommunityStatus is written by the cloud-controller-manager alone.
type CommunityStatus struct {
	// AppliedSpec is the spec that was last found valid. It stays in force while the spec as it is
	// written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *CommunitySpec `json:"appliedSpec,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// CommunityList is a list of Communities.
type CommunityList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Community `json:"items"`
}
