// Package chart reads both forms of the manifests: those for kustomize, and the Helm chart that is made
// of them. Its tests hold the two equal, and the values of the chart against its schema and its
// documentation.
package chart

import (
	"fmt"
	"path/filepath"

	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// Dir returns the folder of the chart in this checkout.
func Dir() (string, error) {
	root, err := setup.Checkout()
	return filepath.Join(root, chartFolder), err
}

// Load reads the chart.
func Load() (*chartv2.Chart, error) {
	dir, err := Dir()
	if err != nil {
		return nil, err
	}
	return loader.LoadDir(dir)
}

// LoadOf reads the chart of another version of the product, from the root of its files.
func LoadOf(source string) (*chartv2.Chart, error) {
	return loader.LoadDir(filepath.Join(source, chartFolder))
}

const chartFolder = "manifests/chart"

// Kustomize builds what kubectl apply -k would apply, as YAML. The path of the folder with the
// kustomization is relative to the manifests.
func Kustomize(path string) ([]byte, error) {
	root, err := setup.Checkout()
	if err != nil {
		return nil, err
	}
	return build(filepath.Join(root, "manifests", path))
}

func build(dir string) ([]byte, error) {
	objects, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return nil, fmt.Errorf("build %s: %w", dir, err)
	}
	return objects.AsYaml()
}
