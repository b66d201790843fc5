package main

import (
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

func TestExpandReplacesReferencesToKnownVariablesOnly(t *testing.T) {
	variables := map[string]string{"A": "one", "B": "$(A)", "E": ""}
	for text, want := range map[string]string{
		"":                "",
		"plain":           "plain",
		"$(A)":            "one",
		"x$(A)y$(A)z":     "xoneyonez",
		"$(B)":            "$(A)",
		"[$(E)]":          "[]",
		"$(NONE)":         "$(NONE)",
		"$(NONE) $(A)":    "$(NONE) one",
		"$$(A)":           "$(A)",
		"$$$(A)":          "$one",
		"$A ${A} $":       "$A ${A} $",
		"$(A":             "$(A",
		"--node=$(A),$$x": "--node=one,$x",
	} {
		if got := expand(text, variables); got != want {
			t.Errorf("expand(%q) = %q, want %q", text, got, want)
		}
	}
}

func TestResourceFieldsAreCountedInDivisorsRoundedUp(t *testing.T) {
	container := &v1.Container{Resources: v1.ResourceRequirements{
		Limits:   v1.ResourceList{v1.ResourceMemory: resource.MustParse("64Mi")},
		Requests: v1.ResourceList{v1.ResourceCPU: resource.MustParse("250m")},
	}}
	for _, test := range []struct{ resource, divisor, want string }{
		{"limits.memory", "", "67108864"},
		{"limits.memory", "1Mi", "64"},
		{"requests.cpu", "1", "1"},
		{"requests.cpu", "1m", "250"},
		{"limits.cpu", "", "32"},
		{"requests.memory", "", "0"},
	} {
		ref := &v1.ResourceFieldSelector{Resource: test.resource}
		if test.divisor != "" {
			ref.Divisor = resource.MustParse(test.divisor)
		}
		if got, err := resourceField(ref, container); err != nil || got != test.want {
			t.Errorf("%s by %q: got %q, %v, want %q", test.resource, test.divisor, got, err, test.want)
		}
	}
}
