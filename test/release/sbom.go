package release

import (
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/CycloneDX/cyclonedx-go"
)

// WriteSBOM writes the bill of materials, in the JSON form of CycloneDX: every Go module that the programs link,
// and Go's own library.
func (b Build) WriteSBOM(path string) error {
	modules, goVersion, err := b.modules()
	if err != nil {
		return err
	}
	components := []cyclonedx.Component{golang(cyclonedx.ComponentTypeLibrary, "std", strings.TrimPrefix(goVersion, "go"))}
	for _, name := range slices.Sorted(maps.Keys(modules)) {
		components = append(components, golang(cyclonedx.ComponentTypeLibrary, name, modules[name].Version))
	}
	product := golang(cyclonedx.ComponentTypeApplication, module, b.Version)
	depends := cyclonedx.Dependency{Ref: product.BOMRef, Dependencies: &[]string{}}
	for _, c := range components {
		*depends.Dependencies = append(*depends.Dependencies, c.BOMRef)
	}
	bom := cyclonedx.NewBOM()
	bom.Metadata = &cyclonedx.Metadata{Timestamp: b.Created.UTC().Format(time.RFC3339), Component: &product}
	bom.Components, bom.Dependencies = &components, &[]cyclonedx.Dependency{depends}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	// Version 1.6 is what scanners read today.
	if err := cyclonedx.NewBOMEncoder(file, cyclonedx.BOMFileFormatJSON).SetPretty(true).EncodeVersion(bom, cyclonedx.SpecVersion1_6); err != nil {
		return err
	}
	return file.Close()
}

// golang is a Go module: https://github.com/package-url/purl-spec/blob/main/types-doc/golang-definition.md.
func golang(kind cyclonedx.ComponentType, path, version string) cyclonedx.Component {
	url := "pkg:golang/" + path + "@" + strings.ReplaceAll(version, "+", "%2B")
	return cyclonedx.Component{BOMRef: url, Type: kind, Name: path, Version: version, PackageURL: url}
}
