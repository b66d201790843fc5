package chart

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// schema is what the tests know of a JSON schema.
type schema struct {
	Ref         string             `json:"$ref"`
	Description string             `json:"description"`
	Type        any                `json:"type"`
	Enum        []any              `json:"enum"`
	Properties  map[string]*schema `json:"properties"`
	Definitions map[string]*schema `json:"definitions"`
}

// value is a value that the chart takes.
type value struct {
	path    string
	schema  *schema
	byValue any // its default
}

// file reads a file of the chart.
func file(t *testing.T, name string) []byte {
	t.Helper()
	dir, err := Dir()
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// values are all that the schema knows, in the order of values.yaml, with its defaults. Those that
// only one of the two files has are errors.
func values(t *testing.T) []value {
	t.Helper()
	var root schema
	if err := json.Unmarshal(file(t, "values.schema.json"), &root); err != nil {
		t.Fatal(err)
	}
	text := file(t, "values.yaml")
	var defaults map[string]any
	if err := yaml.UnmarshalStrict(text, &defaults); err != nil {
		t.Fatal(err)
	}
	delete(root.Properties, "global") // is Helm's
	var found []value
	var walk func(path string, s *schema, defaults map[string]any)
	walk = func(path string, s *schema, defaults map[string]any) {
		for name := range defaults {
			if s.Properties[name] == nil {
				t.Errorf("values.yaml has %s%s, the schema has not", path, name)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(s.Properties)) {
			property := s.Properties[name]
			standard, ok := defaults[name]
			if !ok {
				t.Errorf("the schema has %s%s, values.yaml has not", path, name)
			}
			if within, ok := standard.(map[string]any); ok && (property.Properties != nil || len(within) > 0) {
				if property.Ref != "" {
					property = root.Definitions[strings.TrimPrefix(property.Ref, "#/definitions/")]
				}
				walk(path+name+".", property, within)
				continue
			}
			if property.Description == "" {
				t.Errorf("%s%s has no description", path, name)
			}
			found = append(found, value{path + name, property, standard})
		}
	}
	walk("", &root, defaults)
	return found
}
