// Package manifests has the files that are applied to a cluster, as far as programs need them.
package manifests

import "embed"

// CRDs are the CustomResourceDefinitions of our API: clarionlb.io_*.yaml in the folder crds.
//
//go:embed crds/clarionlb.io_*.yaml
var CRDs embed.FS
