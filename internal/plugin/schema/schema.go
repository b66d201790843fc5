// Package schema judges objects of our API as the API server does: by the CustomResourceDefinitions, with their defaults and their
// CEL rules, and without a cluster.
package schema

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	structural "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/objectmeta"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	apiservervalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/manifests"
)

// Schemas are those of our API, by kind in the one version that there is of each.
type Schemas map[schema.GroupVersionKind]*kind

// kind is how objects of a kind are judged.
type kind struct {
	structural *structural.Structural
	validator  apiservervalidation.SchemaValidator
	rules      *cel.Validator
}

// Load reads the CustomResourceDefinitions that belong to this version. They must not be modified.
var Load = sync.OnceValues(load)

func load() (Schemas, error) {
	files, err := fs.Glob(manifests.CRDs, "crds/*.yaml")
	if err != nil {
		return nil, err
	}
	schemas := Schemas{}
	for _, file := range files {
		text, err := manifests.CRDs.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if err := schemas.add(text); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return schemas, nil
}

func (s Schemas) add(text []byte) error {
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return err
	}
	for _, version := range crd.Spec.Versions {
		var in apiextensions.JSONSchemaProps
		if err := apiextensionsv1.Convert_v1_JSONSchemaProps_To_apiextensions_JSONSchemaProps(version.Schema.OpenAPIV3Schema, &in, nil); err != nil {
			return err
		}
		structure, err := structural.NewStructural(&in)
		if err != nil {
			return err
		}
		validator, _, err := apiservervalidation.NewSchemaValidator(&in)
		if err != nil {
			return err
		}
		s[schema.GroupVersionKind{Group: crd.Spec.Group, Version: version.Name, Kind: crd.Spec.Names.Kind}] = &kind{
			structural: structure,
			validator:  validator,
			rules:      cel.NewValidator(structure, true, celconfig.PerCallLimit),
		}
	}
	return nil
}

// Known says whether the API has the group of a kind, and the kind itself in this version.
func (s Schemas) Known(of schema.GroupVersionKind) (group, known bool) {
	for gvk := range s {
		group = group || gvk.Group == of.Group
	}
	return group, s[of] != nil
}

// Default sets the fields of an object that it leaves out and that have defaults, and drops those that are null. It must be of a known
// kind.
func (s Schemas) Default(object *unstructured.Unstructured) {
	k := s[object.GroupVersionKind()]
	defaulting.PruneNonNullableNullsWithoutDefaults(object.Object, k.structural)
	defaulting.Default(object.Object, k.structural)
}

// Unknown are the fields of an object that its kind does not have. kubectl refuses them, and the API server drops them.
func (s Schemas) Unknown(object *unstructured.Unstructured) (fields []string) {
	k := s[object.GroupVersionKind()]
	fields = pruning.PruneWithOptions(object.DeepCopy().Object, k.structural, true, structural.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
	_, _, inMetadata, _ := objectmeta.GetObjectMetaWithOptions(object.DeepCopy().Object, objectmeta.ObjectMetaOptions{
		DropMalformedFields: true, ReturnUnknownFieldPaths: true,
	})
	fields = append(fields, inMetadata...)
	slices.Sort(fields)
	return slices.Compact(fields)
}

// Validate says what is wrong with an object by its schema and by the rules in it. Its defaults must have been set.
func (s Schemas) Validate(ctx context.Context, object *unstructured.Unstructured) field.ErrorList {
	k := s[object.GroupVersionKind()]
	problems := validateMetadata(object)
	problems = append(problems, apiservervalidation.ValidateCustomResource(nil, object.Object, k.validator)...)
	problems = append(problems, listtype.ValidateListSetsAndMaps(nil, k.structural, object.Object)...)
	if slices.ContainsFunc(problems, hidesRules) {
		return problems
	}
	broken, _ := k.rules.Validate(ctx, nil, k.structural, object.Object, nil, celconfig.RuntimeCELCostBudget)
	return append(problems, broken...)
}

// hidesRules says whether CEL rules are not asked about an object with this problem, as they may fail on it.
func hidesRules(problem *field.Error) bool {
	return slices.Contains([]field.ErrorType{
		field.ErrorTypeNotSupported, field.ErrorTypeRequired, field.ErrorTypeTooLong, field.ErrorTypeTooMany, field.ErrorTypeTypeInvalid,
	}, problem.Type)
}

// validateMetadata says what is wrong with the metadata of an object of a kind that has no namespace. A namespace is dropped, as by
// the API server.
func validateMetadata(object *unstructured.Unstructured) field.ErrorList {
	path := field.NewPath("metadata")
	meta, found, err := objectmeta.GetObjectMeta(object.Object, false)
	if err != nil {
		return field.ErrorList{field.Invalid(path, nil, strings.TrimPrefix(err.Error(), "json: "))}
	}
	if !found {
		return field.ErrorList{field.Required(path.Child("name"), "")}
	}
	meta.Namespace = ""
	return validation.ValidateObjectMeta(meta, false, validation.NameIsDNSSubdomain, path)
}
