package cloudconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// document is a file of YAML that is read field by field. It gathers all that is wrong, with line and field. The decoders of
// Kubernetes do not know the line of a field that is unknown.
type document struct {
	path   string
	faults []error
}

// fields are those of a mapping, each with what reads its value.
type fields map[string]func(field string, value *yaml.Node)

// root is the one document of a file.
func (d *document) root(content []byte) *yaml.Node {
	decoder := yaml.NewDecoder(bytes.NewReader(content))
	var first, second yaml.Node
	switch err := decoder.Decode(&first); {
	case errors.Is(err, io.EOF) || err == nil && first.Content[0].ShortTag() == "!!null":
		d.faults = append(d.faults, fmt.Errorf("%s:1: there is nothing in the file", d.path))
		return nil
	case err != nil:
		d.faults = append(d.faults, fmt.Errorf("%s: %w", d.path, err))
		return nil
	}
	if err := decoder.Decode(&second); !errors.Is(err, io.EOF) {
		d.faults = append(d.faults, fmt.Errorf("%s:%d: there is a second document in the file", d.path, second.Line))
		return nil
	}
	return first.Content[0]
}

// fault notes what is wrong with a field. The document itself has the name "".
func (d *document) fault(field string, at *yaml.Node, format string, args ...any) {
	if field != "" {
		field += ": "
	}
	d.faults = append(d.faults, fmt.Errorf("%s:%d: %s%s", d.path, at.Line, field, fmt.Sprintf(format, args...)))
}

// mapping reads fields. One that is not known, or there twice, is a fault.
func (d *document) mapping(field string, node *yaml.Node, known fields) {
	d.entries(field, node, func(name string, key, value *yaml.Node) {
		within := strings.TrimPrefix(field+"."+name, ".")
		if read, ok := known[name]; ok {
			read(within, value)
			return
		}
		d.fault(within, key, "no such field; there are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	})
}

// entries reads a mapping of any keys. One that is there twice is a fault.
func (d *document) entries(field string, node *yaml.Node, read func(name string, key, value *yaml.Node)) {
	node = resolved(node)
	if node.Kind != yaml.MappingNode || len(node.Content) == 0 {
		d.fault(field, node, "has to be a mapping, with at least one key")
		return
	}
	lines := map[string]int{}
	for i := 0; i < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if line, ok := lines[key.Value]; ok {
			d.fault(strings.TrimPrefix(field+"."+key.Value, "."), key, "line %d has the same key", line)
			continue
		}
		lines[key.Value] = key.Line
		read(key.Value, key, value)
	}
}

// list reads the elements of a list, which has some.
func (d *document) list(field string, node *yaml.Node, read func(field string, element *yaml.Node)) {
	node = resolved(node)
	if node.Kind != yaml.SequenceNode || len(node.Content) == 0 {
		d.fault(field, node, "has to be a list, with at least one element")
		return
	}
	for i, element := range node.Content {
		read(fmt.Sprintf("%s[%d]", field, i), element)
	}
}

// text reads a string that is valid: what is wrong with it is a fault.
func (d *document) text(field string, node *yaml.Node, valid func(string) []string) string {
	node = resolved(node)
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!str" {
		d.fault(field, node, "has to be a string: put it in quotes")
		return ""
	}
	if node.Value == "" {
		d.fault(field, node, "is empty")
		return ""
	}
	if wrong := valid(node.Value); len(wrong) > 0 {
		d.fault(field, node, "%q: %s", node.Value, strings.Join(wrong, "; "))
	}
	return node.Value
}

// resolved is the node that an alias stands for, or the node itself.
func resolved(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		return node.Alias
	}
	return node
}
