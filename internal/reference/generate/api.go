package main

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// schema is what the page says of a part of a CRD.
type schema struct {
	Type, Format, Description, Pattern string
	Properties                         map[string]*schema
	AdditionalProperties               *schema
	Items                              *schema
	Default                            any
	Enum                               []any
	Required                           []string
	Minimum, Maximum                   *float64
	MinLength, MaxLength               *int64
	MinItems, MaxItems, MaxProperties  *int64
	Rules                              []struct{ Message string } `json:"x-kubernetes-validations"`
	IntOrString                        bool                       `json:"x-kubernetes-int-or-string"`
}

type crd struct {
	Spec struct {
		Names struct {
			Kind, Plural string
			ShortNames   []string
		}
		Versions []struct {
			Name   string
			Schema struct {
				OpenAPIV3Schema *schema
			}
		}
	}
}

func apiPage(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "manifests/crds/clarionlb.io_*.yaml"))
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# The API: clarionlb.io/v1alpha1\n\n" + notice)
	b.WriteString("All kinds are cluster-scoped. `kubectl explain KIND.spec` shows the same. A field may be absent unless it is required. [Conditions](conditions.md) has what stands in `status.conditions`.\n\n")
	slices.SortStableFunc(files, func(a, b string) int { return place(a) - place(b) })
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		var c crd
		if err := yaml.Unmarshal(text, &c); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
		if err := kindSection(&b, c); err != nil {
			return "", fmt.Errorf("%s: %w", file, err)
		}
	}
	return strings.TrimSpace(b.String()) + "\n", nil
}

// kinds are in the order in which one meets them; others come last.
var kinds = []string{
	"ipaddresspools", "ipaddressreservations", "l2advertisements", "bgppeers", "bgpadvertisements", "communities", "bfdprofiles", "announcers",
	"claimslices",
}

// place is where the kind of a CRD stands.
func place(file string) int {
	at := slices.Index(kinds, strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "clarionlb.io_"), ".yaml"))
	if at < 0 {
		return len(kinds)
	}
	return at
}

func kindSection(b *strings.Builder, c crd) error {
	names, top := c.Spec.Names, c.Spec.Versions[len(c.Spec.Versions)-1].Schema.OpenAPIV3Schema
	fmt.Fprintf(b, "## %s\n\n%s `kubectl get %s`", names.Kind, sentences(top.Description), names.Plural)
	if len(names.ShortNames) > 0 {
		fmt.Fprintf(b, ", or for short `%s`", strings.Join(names.ShortNames, "`, `"))
	}
	b.WriteString(".\n\n")
	if top.Properties["spec"] == nil && top.Properties["status"] == nil {
		own := *top
		own.Properties = maps.Clone(top.Properties)
		for _, every := range []string{"apiVersion", "kind", "metadata"} {
			delete(own.Properties, every)
		}
		rows, err := fieldRows("", &own)
		if err != nil {
			return err
		}
		table(b, []string{"Field", "Type", "Meaning"}, rows)
	}
	for _, part := range []string{"spec", "status"} {
		s := top.Properties[part]
		if s == nil {
			continue
		}
		fmt.Fprintf(b, "### %s: %s\n\n", names.Kind, part)
		rows, err := fieldRows(part, s)
		if err != nil {
			return err
		}
		table(b, []string{"Field", "Type", "Meaning"}, rows)
		if len(s.Rules) > 0 {
			b.WriteString("Besides:\n\n")
			for _, rule := range s.Rules {
				fmt.Fprintf(b, "- %s\n", cell(rule.Message))
			}
			b.WriteString("\n")
		}
	}
	return nil
}

// fieldRows are the fields of an object and those below.
func fieldRows(path string, of *schema) ([][]string, error) {
	var rows [][]string
	for _, name := range slices.Sorted(maps.Keys(of.Properties)) {
		field, at := of.Properties[name], strings.TrimPrefix(path+"."+name, ".")
		if field.Description == "" && len(field.Properties) == 0 {
			return nil, fmt.Errorf("%s has no description", at)
		}
		meaning := cell(field.Description)
		if strings.HasPrefix(at, "spec") { // what programs write needs no limits
			text, err := bounds(field, slices.Contains(of.Required, name))
			if err != nil {
				return nil, err
			}
			meaning += text
		}
		rows = append(rows, []string{code(at), typeOf(field), strings.TrimSpace(meaning)})
		below, is := at, field
		if field.Items != nil {
			below, is = at+"[]", field.Items
		}
		if len(is.Properties) == 0 || isSelector(is) || name == "conditions" || name == "appliedSpec" {
			continue
		}
		more, err := fieldRows(below, is)
		if err != nil {
			return nil, err
		}
		rows = append(rows, more...)
	}
	return rows, nil
}

// bounds are the default and the limits of a field, to stand behind its meaning.
func bounds(s *schema, required bool) (string, error) {
	text := ""
	if s.Default != nil {
		value, err := yaml.Marshal(s.Default)
		if err != nil {
			return "", err
		}
		text = " **Default:** " + code(strings.TrimSpace(string(value))) + "."
	}
	if of := limits(s, required); of != "" {
		text += " **Limits:** " + of + "."
	}
	return text, nil
}

func isSelector(s *schema) bool {
	return len(s.Properties) == 2 && s.Properties["matchLabels"] != nil && s.Properties["matchExpressions"] != nil
}

// typeOf is the type in words.
func typeOf(s *schema) string {
	switch {
	case isSelector(s):
		return "label selector"
	case s.Items != nil:
		one := typeOf(s.Items)
		if one == "boolean" || one == "object" || one == "string" || one == "integer" || one == "label selector" {
			one += "s"
		}
		return "list of " + one
	case s.IntOrString:
		return "integer or string"
	case s.AdditionalProperties != nil:
		return "map to " + typeOf(s.AdditionalProperties)
	case s.Format == "date-time":
		return "time"
	}
	return s.Type
}

// limits are what a value has to fulfil, in words.
func limits(s *schema, required bool) string {
	var all []string
	if required {
		all = append(all, "required")
	}
	if len(s.Enum) > 0 {
		var values []string
		for _, value := range s.Enum {
			values = append(values, code(fmt.Sprint(value)))
		}
		all = append(all, "one of "+strings.Join(values, ", "))
	}
	all = append(all, span("", s.Minimum, s.Maximum)...)
	all = append(all, span(" characters", s.MinLength, s.MaxLength)...)
	all = append(all, span(" entries", s.MinItems, s.MaxItems)...)
	all = append(all, span(" entries", nil, s.MaxProperties)...)
	if s.Pattern != "" {
		all = append(all, "matches "+code(s.Pattern))
	}
	for _, rule := range s.Rules {
		all = append(all, cell(rule.Message))
	}
	if s.Items != nil && len(s.Items.Properties) == 0 {
		if of := limits(s.Items, false); of != "" {
			all = append(all, "each: "+of)
		}
	}
	return strings.Join(all, "; ")
}

// span is from one number to another, in words.
func span[N int64 | float64](of string, from, to *N) []string {
	number := func(n *N) string { return fmt.Sprintf("%d", int64(*n)) }
	switch {
	case from != nil && to != nil && *from == *to:
		return []string{number(from) + of}
	case from != nil && to != nil:
		return []string{number(from) + " to " + number(to) + of}
	case from != nil:
		return []string{"at least " + number(from) + of}
	case to != nil:
		return []string{"at most " + number(to) + of}
	}
	return nil
}

// sentences is text on one line.
func sentences(text string) string { return strings.Join(strings.Fields(text), " ") }
