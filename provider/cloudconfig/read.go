package cloudconfig

import (
	"cmp"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"
)

// Read reads a file. The error has a line for each fault, with the line and the field of it.
func Read(path string) (*Config, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, content)
}

func parse(path string, content []byte) (*Config, error) {
	d := &document{path: path}
	config := &Config{}
	if root := d.root(content); root != nil && d.isCloudConfig(root) {
		d.mapping("", root, fields{
			"apiVersion": func(string, *yaml.Node) {},
			"kind":       func(string, *yaml.Node) {},
			"nodes": func(field string, node *yaml.Node) {
				d.list(field, node, func(field string, node *yaml.Node) {
					config.Nodes = append(config.Nodes, d.entry(field, node, config.Nodes))
				})
			},
			"gone": func(field string, node *yaml.Node) {
				d.list(field, node, func(field string, node *yaml.Node) { config.Gone = append(config.Gone, d.gone(field, node)) })
			},
		})
	}
	return config, errors.Join(d.faults...)
}

// isCloudConfig tells apart a file of this version from others, of which nothing else can be said.
func (d *document) isCloudConfig(root *yaml.Node) bool {
	found := map[string]*yaml.Node{}
	if root.Kind == yaml.MappingNode {
		for i := 0; i < len(root.Content); i += 2 {
			found[root.Content[i].Value] = root.Content[i+1]
		}
	}
	for _, want := range [][2]string{{"apiVersion", APIVersion}, {"kind", Kind}} {
		if got := found[want[0]]; got == nil || got.Value != want[1] {
			d.fault(want[0], cmp.Or(got, root), "has to be %s", want[1])
		}
	}
	return len(d.faults) == 0
}

// entry reads what is said of some nodes, after other entries.
func (d *document) entry(field string, node *yaml.Node, before []Entry) Entry {
	var e Entry
	faults := len(d.faults)
	one := func(into *string, of func(Instance) string) func(string, *yaml.Node) {
		return func(field string, node *yaml.Node) {
			*into = d.text(field, node, validation.IsValidLabelValue)
			d.refuseShadowed(field, node, before, func(i Instance) bool { return of(i) != "" })
		}
	}
	d.mapping(field, node, fields{
		"names": func(field string, node *yaml.Node) {
			d.list(field, node, func(field string, node *yaml.Node) { e.Names = append(e.Names, d.text(field, node, wrongWithName)) })
		},
		"subnets": func(field string, node *yaml.Node) {
			d.list(field, node, func(field string, node *yaml.Node) {
				subnet, _ := netip.ParsePrefix(d.text(field, node, wrongWithSubnet))
				e.Subnets = append(e.Subnets, subnet)
			})
		},
		"labelSelector": func(field string, node *yaml.Node) { d.selector(field, node, &e) },
		"instanceType":  one(&e.Instance.Type, func(i Instance) string { return i.Type }),
		"zone":          one(&e.Instance.Zone, func(i Instance) string { return i.Zone }),
		"region":        one(&e.Instance.Region, func(i Instance) string { return i.Region }),
		"labels":        func(field string, node *yaml.Node) { e.Instance.Labels = d.labels(field, node, before) },
	})
	if i := e.Instance; len(d.faults) == faults && i.Type == "" && i.Zone == "" && i.Region == "" && i.Labels == nil {
		d.fault(field, node, "says nothing of its nodes: there is no instanceType, zone, region or labels")
	}
	return e
}

// refuseShadowed finds fault with a value that never counts, because an entry before is for all nodes and has one.
func (d *document) refuseShadowed(field string, node *yaml.Node, before []Entry, has func(Instance) bool) {
	for i := range before {
		if before[i].selectsAll() && has(before[i].Instance) {
			d.fault(field, node, "never counts: nodes[%d] is for all nodes, comes first, and has a value", i)
			return
		}
	}
}

func (d *document) labels(field string, node *yaml.Node, before []Entry) map[string]string {
	labels := map[string]string{}
	d.entries(field, node, func(name string, key, value *yaml.Node) {
		within := fmt.Sprintf("%s[%s]", field, name)
		for _, wrong := range wrongWithLabel(name) {
			d.fault(within, key, "%s", wrong)
		}
		if value := resolved(value); value.Kind == yaml.ScalarNode && value.ShortTag() == "!!str" && value.Value == "" {
			labels[name] = "" // which is a value that a label may have
		} else {
			labels[name] = d.text(within, value, validation.IsValidLabelValue)
		}
		d.refuseShadowed(within, key, before, func(i Instance) bool { _, has := i.Labels[name]; return has })
	})
	return labels
}

func (d *document) selector(field string, node *yaml.Node, e *Entry) {
	var selector metav1.LabelSelector
	anything := func(string) []string { return nil } // it is read as a whole
	d.mapping(field, node, fields{
		"matchLabels": func(field string, node *yaml.Node) {
			selector.MatchLabels = map[string]string{}
			d.entries(field, node, func(name string, _, value *yaml.Node) {
				selector.MatchLabels[name] = d.text(fmt.Sprintf("%s[%s]", field, name), value, anything)
			})
		},
		"matchExpressions": func(field string, node *yaml.Node) {
			d.list(field, node, func(field string, node *yaml.Node) {
				var r metav1.LabelSelectorRequirement
				d.mapping(field, node, fields{
					"key": func(field string, node *yaml.Node) { r.Key = d.text(field, node, anything) },
					"operator": func(field string, node *yaml.Node) {
						r.Operator = metav1.LabelSelectorOperator(d.text(field, node, anything))
					},
					"values": func(field string, node *yaml.Node) {
						d.list(field, node, func(field string, node *yaml.Node) { r.Values = append(r.Values, d.text(field, node, anything)) })
					},
				})
				selector.MatchExpressions = append(selector.MatchExpressions, r)
			})
		},
	})
	read, err := metav1.LabelSelectorAsSelector(&selector)
	if err != nil {
		d.fault(field, node, "%v", err)
	}
	e.Labels = read
}

func (d *document) gone(field string, node *yaml.Node) GoneNode {
	var gone GoneNode
	faults := len(d.faults)
	d.mapping(field, node, fields{
		"name": func(field string, node *yaml.Node) { gone.Name = d.text(field, node, validation.IsDNS1123Subdomain) },
		"uid": func(field string, node *yaml.Node) {
			gone.UID = types.UID(d.text(field, node, func(string) []string { return nil }))
		},
	})
	if len(d.faults) == faults && (gone.Name == "" || gone.UID == "") {
		d.fault(field, node, "needs a name and a uid, which kubectl get node NAME -o yaml shows")
	}
	return gone
}

func wrongWithName(pattern string) []string {
	if _, err := path.Match(pattern, ""); err != nil {
		return []string{"is no pattern: a [ has no ]"}
	}
	if !strings.ContainsAny(pattern, `*?[\`) {
		return validation.IsDNS1123Subdomain(pattern)
	}
	if pattern != strings.ToLower(pattern) {
		return []string{"names of nodes are in lower case"}
	}
	return nil
}

func wrongWithSubnet(text string) []string {
	subnet, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return []string{"is no subnet such as 192.168.10.0/24"}
	case subnet.Addr().Is4In6():
		return []string{"write it as IPv4"}
	case subnet != subnet.Masked():
		return []string{"is the address of a host; the subnet is " + subnet.Masked().String()}
	}
	return nil
}

// ofKubernetes are the keys of labels that the cloud-node controller takes from no provider.
var ofKubernetes = regexp.MustCompile(`(^|\.)(kubernetes|k8s)\.io/`)

func wrongWithLabel(key string) []string {
	if ofKubernetes.MatchString(key) {
		return []string{"labels of kubernetes.io and k8s.io are Kubernetes' own; for some of them there are the fields instanceType, zone and region"}
	}
	return validation.IsQualifiedName(key)
}
