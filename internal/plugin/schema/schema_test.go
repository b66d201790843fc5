package schema

import (
	"context"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"
)

func TestObjectsAreJudgedAsByTheAPIServer(t *testing.T) {
	schemas, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		object  string
		want    string // of what is wrong; "" if nothing is
		unknown []string
	}{
		"valid":             {"kind: IPAddressPool\nmetadata: {name: a, namespace: dropped}\nspec: {addresses: [192.0.2.0/28]}", "", nil},
		"required":          {"kind: IPAddressPool\nmetadata: {name: a}\nspec: {}", "spec.addresses: Required value", nil},
		"type":              {"kind: IPAddressPool\nmetadata: {name: a}\nspec: {addresses: 192.0.2.0/28}", "spec.addresses: Invalid value", nil},
		"enum":              {"kind: IPAddressPool\nmetadata: {name: a}\nspec: {addresses: [192.0.2.0/28], sharing: All}", "spec.sharing: Unsupported value", nil},
		"name":              {"kind: IPAddressPool\nmetadata: {name: A_b}\nspec: {addresses: [192.0.2.0/28]}", "metadata.name: Invalid value", nil},
		"no name":           {"kind: IPAddressPool\nmetadata: {}\nspec: {addresses: [192.0.2.0/28]}", "metadata.name: Required value", nil},
		"no metadata":       {"kind: IPAddressPool\nspec: {addresses: [192.0.2.0/28]}", "metadata.name: Required value", nil},
		"label":             {"kind: IPAddressPool\nmetadata: {name: a, labels: {a: b c}}\nspec: {addresses: [192.0.2.0/28]}", "metadata.labels: Invalid value", nil},
		"unknown":           {"kind: IPAddressPool\nmetadata: {name: a, label: {}}\nspec: {addresses: [192.0.2.0/28], autoasign: false}", "", []string{"metadata.label", "spec.autoasign"}},
		"default, and null": {"kind: IPAddressPool\nmetadata: {name: a}\nspec: {addresses: [192.0.2.0/28], sharing: null, serviceAllocation: null}", "", nil},
		"CEL":               {"kind: BGPPeer\nmetadata: {name: a}\nspec: {myASN: 1, peerASN: 2}", "spec: Invalid value", nil},
	} {
		var content map[string]any
		if err := yaml.Unmarshal([]byte("apiVersion: clarionlb.io/v1alpha1\n"+test.object), &content); err != nil {
			t.Fatal(err)
		}
		object := &unstructured.Unstructured{Object: content}
		if unknown := schemas.Unknown(object); !slices.Equal(unknown, test.unknown) {
			t.Errorf("%s: unknown are %v", name, unknown)
		}
		schemas.Default(object)
		problems := schemas.Validate(context.Background(), object)
		if test.want == "" && len(problems) > 0 || test.want != "" && (len(problems) == 0 || !strings.Contains(problems.ToAggregate().Error(), test.want)) {
			t.Errorf("%s: %v", name, problems)
		}
	}
}

func TestDefaultsAreThoseOfTheDefinitions(t *testing.T) {
	schemas, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "clarionlb.io/v1alpha1", "kind": "IPAddressPool", "spec": map[string]any{"addresses": []any{"192.0.2.1"}, "sharing": nil},
	}}
	schemas.Default(object)
	for _, field := range []string{"autoAssign", "sharing"} {
		if value, found, _ := unstructured.NestedFieldNoCopy(object.Object, "spec", field); !found || value == nil {
			t.Errorf("spec.%s has no default: %v", field, object.Object)
		}
	}
}
