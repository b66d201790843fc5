package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// MaxClaimsPerSlice is how many changes of claims a ClaimSlice has at most.
const MaxClaimsPerSlice = 20

// LabelAnnouncer on a ClaimSlice is the name of the Announcer that it is of.
const LabelAnnouncer = "clarionlb.io/announcer"

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion
// +kubebuilder:printcolumn:name="Announcer",type=string,JSONPath=`.announcer`
// +kubebuilder:printcolumn:name="Revision",type=integer,JSONPath=`.revision`
// +kubebuilder:printcolumn:name="Number",type=integer,JSONPath=`.number`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// ClaimSlice says which claims of an announcer have changed since it wrote its Announcer. Everybody who watches gets an object as a
// whole each time, so that a change is recorded in a small one. The announcer writes it, and uses it again for later changes. It is
// deleted with the Announcer, which owns it.
type ClaimSlice struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// Announcer is the name of the Announcer that this is of. It does not change.
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed"
	Announcer string `json:"announcer"`
	// Revision is that of the Announcer's list of addresses which the changes are of. Those of an earlier one are in the list.
	// It is at most 2^53, the year 2255, so that the list can have a later one whatever a slice says.
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=9007199254740992
	Revision int64 `json:"revision"`
	// Number of the slice. Of what several of the same revision say of an address, that with the highest number holds. It does not change.
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="cannot be changed"
	Number int32 `json:"number"`
	// Addresses are the claims that are new, or have changed.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	Addresses []Layer2Address `json:"addresses,omitempty"`
	// Released are the addresses that the node does not claim any more, in their canonical text form.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=20
	// +kubebuilder:validation:items:MaxLength=45
	Released []string `json:"released,omitempty"`
}

// +kubebuilder:object:root=true

// ClaimSliceList is a list of ClaimSlices.
type ClaimSliceList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []ClaimSlice `json:"items"`
}
