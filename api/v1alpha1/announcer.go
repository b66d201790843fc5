package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// +genclient
// +genclient:nonNamespaced
// +kubebuilder:object:root=true
// +kubebuilder:resource:scope=Cluster,categories=clarion
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Alive",type=integer,JSONPath=`.status.members.alive`
// +kubebuilder:printcolumn:name="Expected",type=integer,JSONPath=`.status.members.expected`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`

// Announcer reports what the announcer of one node does. It is named after the node, created by that node's announcer and
// written by it alone.
type Announcer struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// +optional
	Status AnnouncerStatus `json:"status,omitempty"`
}

// AnnouncerStatus is what an announcer sees and does.
type AnnouncerStatus struct {
	// +optional
	Layer2 Layer2Status `json:"layer2,omitempty"`
	// +optional
	Members MembersStatus `json:"members,omitempty"`

	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Reasons of an Announcer's Ready condition.
const (
	// ReasonRunning : the announcer takes part: it announces what falls to it.
	ReasonRunning = "Running"
	// ReasonNoInterface : the announcer takes part, but no interface of the node can carry an address.
	ReasonNoInterface = "NoInterface"
	// ReasonStopped : the announcer was stopped and announces nothing.
	ReasonStopped = "Stopped"
)

// Layer2Status is what the node announces by ARP and NDP.
type Layer2Status struct {
	// Interfaces of the node that can carry addresses: those that are up and have a network or a default route, or that an
	// L2Advertisement matches by name. The announcers of other nodes leave addresses to this node that suit them, and none
	// without.
	// +optional
	// +listType=map
	// +listMapKey=name
	Interfaces []Layer2Interface `json:"interfaces,omitempty"`

	// Addresses that this node claims: it answers for them.
	// +optional
	// +listType=map
	// +listMapKey=ip
	Addresses []Layer2Address `json:"addresses,omitempty"`
}

// Layer2Interface is a network interface of the node.
type Layer2Interface struct {
	// Name of the interface.
	// +kubebuilder:validation:MaxLength=15
	Name string `json:"name"`
	// Prefixes are the networks that the interface's own addresses are in, as CIDRs.
	// +optional
	// +listType=atomic
	Prefixes []string `json:"prefixes,omitempty"`
	// DefaultRoutes are the IP families whose default route leads out of the interface.
	// +optional
	// +listType=atomic
	DefaultRoutes []corev1.IPFamily `json:"defaultRoutes,omitempty"`
}

// Layer2Address is a claim: this node answers for an address. Of several claims the one with the highest epoch holds, then
// the one of the node whose name sorts first.
type Layer2Address struct {
	// IP is the address, in its canonical text form.
	// +kubebuilder:validation:MaxLength=45
	IP string `json:"ip"`
	// Interfaces on which the node answers.
	// +listType=atomic
	Interfaces []string `json:"interfaces"`
	// Epoch is one more than that of the claim which this one followed, and 1 for the first claim of an address.
	Epoch int64 `json:"epoch"`
	// Since is when the node took the address.
	Since metav1.Time `json:"since"`
}

// MembersStatus is which announcers this one sees.
type MembersStatus struct {
	// Alive is how many announcers are in sight, this one included.
	Alive int32 `json:"alive"`
	// Expected is how many there should be, this one included.
	Expected int32 `json:"expected"`
}

// +kubebuilder:object:root=true

// AnnouncerList is a list of Announcers.
type AnnouncerList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`

	Items []Announcer `json:"items"`
}
