package kubeadm

import (
	"reflect"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// TestTheGuidesConfigureKubeadmAlike holds that what is tested by one guide goes for the other as well.
func TestTheGuidesConfigureKubeadmAlike(t *testing.T) {
	var configs [2][]map[string]any
	for n, text := range []string{
		readDocument(t, firstCluster).block("The control plane", "yaml"),
		readDocument(t, installing).block("A new cluster", "yaml"),
	} {
		for document := range strings.SplitSeq(text, "\n---\n") {
			var object map[string]any
			if err := yaml.UnmarshalStrict([]byte(document), &object); err != nil {
				t.Fatal(err)
			}
			configs[n] = append(configs[n], object)
		}
	}
	if !reflect.DeepEqual(configs[0], configs[1]) {
		t.Errorf("%s has\n%v\nand %s\n%v", firstCluster, configs[0], installing, configs[1])
	}
}
