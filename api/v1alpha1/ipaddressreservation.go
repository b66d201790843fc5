package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ReasonValid, ReasonInvalidAddress and ReasonOverlaps are also reasons of an IPAddressReservation's Ready condition.

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion,shortName=ipar
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Namespace",type=string,JSONPath=`.spec.service.namespace`
// +kubebuilder:printcolumn:name="Service",type=string,JSONPath=`.spec.service.name`
// +kubebuilder:printcolumn:name="Addresses",type=string,JSONPath=`.spec.addresses`
// +kubebuilder:printcolumn:name="Message",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].message`,priority=1
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// IPAddressReservation keeps addresses of the pools for one Service, before it exists and after it is deleted, or out of use
// altogether. It takes no address away from a Service that has it.
type IPAddressReservation struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec IPAddressReservationSpec `json:"spec"`
	// +optional
	Status IPAddressReservationStatus `json:"status,omitempty"`
}

// IPAddressReservationSpec says what is kept, and for whom.
type IPAddressReservationSpec struct {
	// Addresses that are kept, in the notation of an IPAddressPool: CIDRs, ranges and single addresses.
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	// +kubebuilder:validation:items:MinLength=2
	// +kubebuilder:validation:items:MaxLength=96
	// +kubebuilder:validation:items:XValidation:rule="self.contains('-') ? self.matches('^([^:-]+-[^:-]+|[^-]*:[^-]*-[^-]*:[^-]*)$') && isIP(self.split('-')[0].trim()) && ip(self.split('-')[0].trim()).isGlobalUnicast() && isIP(self.split('-')[1].trim()) && ip(self.split('-')[1].trim()).isGlobalUnicast() : self.contains('/') ? isCIDR(self.trim()) && cidr(self.trim()).masked().ip().isGlobalUnicast() : isIP(self.trim()) && ip(self.trim()).isGlobalUnicast()",message="must be a CIDR, a range \"first-last\" of one IP family or an address, of unicast addresses that are neither loopback nor link-local"
	// +kubebuilder:validation:items:XValidation:rule="!self.matches('^[0-9. ]+-[0-9. ]+$') || [self.replace(' ', '').replace('-', '.').split('.')].all(o, o.size() != 8 || ((int(o[0]) * 256 + int(o[1])) * 256 + int(o[2])) * 256 + int(o[3]) <= ((int(o[4]) * 256 + int(o[5])) * 256 + int(o[6])) * 256 + int(o[7]))",message="the first address of a range must not be after its last"
	// +listType=atomic
	Addresses []string `json:"addresses"`

	// Service that the addresses are kept for. Absent: nobody may have them.
	// +optional
	Service *ServiceReference `json:"service,omitempty"`
}

// ServiceReference names a Service, whether it exists or not.
type ServiceReference struct {
	// Namespace of the Service.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace"`
	// Name of the Service.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Name string `json:"name"`
}

// IPAddressReservationStatus is written by the cloud-controller-manager alone.
type IPAddressReservationStatus struct {
	// AppliedSpec is the spec that was last found valid. It stays in force while the spec as it is written cannot be used.
	// +optional
	// +kubebuilder:validation:Schemaless
	// +kubebuilder:validation:Type=object
	// +kubebuilder:pruning:PreserveUnknownFields
	AppliedSpec *IPAddressReservationSpec `json:"appliedSpec,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// +kubebuilder:object:root=true

// IPAddressReservationList is a list of IPAddressReservations.
type IPAddressReservationList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []IPAddressReservation `json:"items"`
}
