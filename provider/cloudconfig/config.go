// Package cloudconfig reads the file of --cloud-config. It says of machines what a cloud would say: their type, their zone and
// region, further labels, and which of them are gone for good. docs/cloud-config.yaml has every field.
package cloudconfig

import (
	"net/netip"
	"path"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// The file says of which version and kind it is.
const (
	APIVersion = "config.clarionlb.io/v1alpha1"
	Kind       = "CloudConfig"
)

// Config is what a file says. The zero value says nothing.
type Config struct {
	// Nodes come in their order: each value of a node is that of the first entry which selects the node and has the value.
	Nodes []Entry
	// Gone are the nodes whose machines do not come back.
	Gone []GoneNode
}

// Entry is what the file says of some nodes.
type Entry struct {
	// Names are patterns of the names of nodes, as path.Match reads them. Nil: any name.
	Names []string
	// Labels selects nodes by the labels that they have. Nil: any.
	Labels labels.Selector
	// Subnets have an address of the node. Nil: any address, or none.
	Subnets []netip.Prefix
	// Instance has the values.
	Instance Instance
}

// Instance is what is known of a machine. What is empty is not known.
type Instance struct {
	Type, Zone, Region string
	// Labels are further ones. Their keys are none of Kubernetes' own.
	Labels map[string]string
}

// GoneNode is one Node. A machine that registers with the same name later has another UID.
type GoneNode struct {
	Name string
	UID  types.UID
}

// Instance is what the file says of a node that has these addresses.
func (c *Config) Instance(node *corev1.Node, addresses []netip.Addr) Instance {
	var known Instance
	for i := range c.Nodes {
		if c.Nodes[i].selects(node, addresses) {
			known.add(c.Nodes[i].Instance)
		}
	}
	return known
}

// IsGone says whether the file declares a node gone.
func (c *Config) IsGone(node *corev1.Node) bool {
	return slices.Contains(c.Gone, GoneNode{node.Name, node.UID})
}

func (e *Entry) selects(node *corev1.Node, addresses []netip.Addr) bool {
	named := func(pattern string) bool {
		matches, _ := path.Match(pattern, node.Name) // it was read
		return matches
	}
	within := func(subnet netip.Prefix) bool { return slices.ContainsFunc(addresses, subnet.Contains) }
	return (e.Names == nil || slices.ContainsFunc(e.Names, named)) &&
		(e.Labels == nil || e.Labels.Matches(labels.Set(node.Labels))) &&
		(e.Subnets == nil || slices.ContainsFunc(e.Subnets, within))
}

func (e *Entry) selectsAll() bool { return e.Names == nil && e.Labels == nil && e.Subnets == nil }

// add takes over what is not known yet.
func (i *Instance) add(other Instance) {
	if i.Type == "" {
		i.Type = other.Type
	}
	if i.Zone == "" {
		i.Zone = other.Zone
	}
	if i.Region == "" {
		i.Region = other.Region
	}
	for key, value := range other.Labels {
		if _, known := i.Labels[key]; known {
			continue
		}
		if i.Labels == nil {
			i.Labels = map[string]string{}
		}
		i.Labels[key] = value
	}
}
