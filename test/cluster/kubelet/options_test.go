package main

import (
	"slices"
	"strings"
	"testing"
)

func TestImageRepositoryIsTheReferenceWithoutTagAndDigest(t *testing.T) {
	for image, want := range map[string]string{
		"nginx":                               "nginx",
		"nginx:1.27":                          "nginx",
		"ghcr.io/clarionlb/clarion":           "ghcr.io/clarionlb/clarion",
		"ghcr.io/clarionlb/clarion:v1":        "ghcr.io/clarionlb/clarion",
		"ghcr.io/clarionlb/clarion:v1@sha256": "ghcr.io/clarionlb/clarion",
		"registry:5000/clarion":               "registry:5000/clarion",
		"registry:5000/clarion:v1":            "registry:5000/clarion",
	} {
		if got := imageRepository(image); got != want {
			t.Errorf("imageRepository(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestCommandLineIsCheckedAsAWhole(t *testing.T) {
	valid := []string{
		"--kubeconfig=f", "--node-name=n1", "--node-ip=192.0.2.1,2001:db8::1", "--pod-cidr=10.244.1.0/24,fd00:1::/64",
		"--image=example.org/a=/a", "--image=example.org/b=/b", "--log-dir=/l", "--netns-prefix=test-n1",
	}
	o, err := parseOptions(valid)
	if err != nil {
		t.Fatal(err)
	}
	if join(o.NodeIPs) != "192.0.2.1,2001:db8::1" || len(o.PodCIDRs) != 2 || o.Images["example.org/b"] != "/b" {
		t.Errorf("parsed %+v", o)
	}
	for _, wrong := range []string{
		"--node-ip=192.0.2.1,192.0.2.2", "--node-ip=x", "--pod-cidr=10.0.0.0/8,fd00::/64,fd01::/64", "--image=a",
		"--netns-prefix=../x", "--kubeconfig=", "surplus",
	} {
		if _, err := parseOptions(append(slices.Clone(valid), wrong)); err == nil {
			t.Errorf("%s was accepted", wrong)
		}
	}
	for i, option := range valid {
		if strings.HasPrefix(option, "--image") {
			continue
		}
		if _, err := parseOptions(slices.Delete(slices.Clone(valid), i, i+1)); err == nil {
			t.Errorf("a command line without %s was accepted", option)
		}
	}
}
