// Package v1alpha1 holds the types of Clarion's API group, clarionlb.io: what an operator writes (pools of addresses and
// how to announce them) and what Clarion reports back. It knows nothing but the shape of the objects: every decision about
// them is made in the packages that read them.
//
// All kinds are cluster-scoped, because an address belongs to a network and not to a namespace. Where the meaning of a field
// is the same as in MetalLB's API, so is its name.
//
// +groupName=clarionlb.io
// +kubebuilder:object:generate=true
// +groupGoName=Clarion
package v1alpha1
