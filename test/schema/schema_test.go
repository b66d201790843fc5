package schema

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	crdvalidation "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	structuralschema "k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	apimachineryvalidation "k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/json"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"pgregory.net/rapid"
	"sigs.k8s.io/yaml"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/loadbalancer"
)

// schema is that of one kind, as the API server uses it.
type schema struct {
	structural *structuralschema.Structural
	openAPI    validation.SchemaValidator
	rules      *cel.Validator
}

// manifest is the CRD of a kind, by its plural.
func manifest(t *testing.T, plural string) *apiextensionsv1.CustomResourceDefinition {
	t.Helper()
	text, err := os.ReadFile("../../manifests/crds/clarionlb.io_" + plural + ".yaml")
	if err != nil {
		t.Fatal(err)
	}
	var crd apiextensionsv1.CustomResourceDefinition
	if err := yaml.Unmarshal(text, &crd); err != nil {
		t.Fatal(err)
	}
	return &crd
}

// validated is a CRD as the API server has it, which must accept it.
func validated(t *testing.T, external *apiextensionsv1.CustomResourceDefinition) apiextensions.CustomResourceDefinition {
	t.Helper()
	apiextensionsv1.SetDefaults_CustomResourceDefinition(external)
	apiextensionsv1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
	var crd apiextensions.CustomResourceDefinition
	if err := apiextensionsv1.Convert_v1_CustomResourceDefinition_To_apiextensions_CustomResourceDefinition(external, &crd, nil); err != nil {
		t.Fatal(err)
	}
	crd.Status.StoredVersions = []string{crd.Spec.Versions[0].Name}
	if errs := crdvalidation.ValidateCustomResourceDefinition(t.Context(), &crd); len(errs) > 0 {
		t.Fatalf("the API server would refuse the CRD: %v", errs.ToAggregate())
	}
	return crd
}

// read takes the schema of a kind, by its plural, from the manifests. The API server must accept it, too.
func read(t *testing.T, plural string) schema {
	t.Helper()
	crd := validated(t, manifest(t, plural))
	openAPI := crd.Spec.Validation
	if openAPI == nil {
		openAPI = crd.Spec.Versions[0].Schema
	}
	var s schema
	var err error
	if s.structural, err = structuralschema.NewStructural(openAPI.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	if s.openAPI, _, err = validation.NewSchemaValidator(openAPI.OpenAPIV3Schema); err != nil {
		t.Fatal(err)
	}
	s.rules = cel.NewValidator(s.structural, true, celconfig.PerCallLimit)
	return s
}

// refuse is what the API server says about an object with this spec; "" if it takes it.
func (s schema) refuse(t interface {
	Helper()
	Fatal(...any)
}, spec string) string {
	t.Helper()
	text, err := yaml.YAMLToJSON([]byte("spec: " + spec))
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	errs := validation.ValidateCustomResource(nil, object, s.openAPI)
	if len(errs) == 0 { // as in the API server: rules come after the rest
		errs, _ = s.rules.Validate(context.Background(), nil, s.structural, object, nil, celconfig.RuntimeCELCostBudget)
	}
	if len(errs) == 0 {
		return ""
	}
	return errs.ToAggregate().Error()
}

func TestTheAPIServerRefusesWhatItCanSeeToBeWrong(t *testing.T) {
	const notAnEntry, backwards = "must be a CIDR", "must not be after its last"
	for plural, cases := range map[string]map[string]string{
		"ipaddresspools": {
			`{addresses: [192.0.2.0/24, 192.0.2.1-192.0.2.9, 192.0.2.200, "2001:db8::/64", "2001:db8::1-2001:db8::9", "2001:db8::1"]}`: "",
			`{addresses: ["192.0.2.1 - 192.0.2.9"], exclude: [192.0.2.5]}`:                                                             "",
			`{addresses: [192.168.10.239-192.168.10.230]}`:                                                                             backwards,
			`{addresses: [10.1.0.0-10.0.255.255]}`:                                                                                     backwards,
			`{addresses: [10.0.0.9-10.0.0.10]}`:                                                                                        "",
			`{addresses: [10.0.0.1], exclude: [10.0.0.300]}`:                                                                           "spec.exclude[0]",
			`{addresses: [10.0.0.1, nonsense]}`:                                                                                        "spec.addresses[1]",
			`{addresses: [10.0.0.0/33]}`:                                                                                               notAnEntry,
			`{addresses: ["192.0.2.200-2001:db8::1"]}`:                                                                                 notAnEntry,
			`{addresses: [192.0.2.1-]}`:                                                                                                notAnEntry,
			`{addresses: [192.0.2.1-192.0.2.2-192.0.2.3]}`:                                                                             notAnEntry,
			`{addresses: [127.0.0.0/8]}`:                                                                                               notAnEntry,
			`{addresses: [169.254.1.1]}`:                                                                                               notAnEntry,
			`{addresses: [224.0.0.5]}`:                                                                                                 notAnEntry,
			`{addresses: [255.255.255.255]}`:                                                                                           notAnEntry,
			`{addresses: ["fe80::1"]}`:                                                                                                 notAnEntry,
			`{addresses: ["::ffff:192.0.2.1"]}`:                                                                                        notAnEntry,
			`{addresses: [192.0.2.1], serviceAllocation: {excludedNamespaces: [a, b], maxAddressesPerNamespace: 1}}`: "",
			`{addresses: [192.0.2.1], serviceAllocation: {maxAddressesPerNamespace: 0}}`:                             "greater than or equal to 1",
			`{addresses: [192.0.2.1], serviceAllocation: {maxAddressesPerNamespace: -1}}`:                            "greater than or equal to 1",
			`{addresses: [192.0.2.1], serviceAllocation: {excludedNamespaces: [Dev]}}`:                               "spec.serviceAllocation.excludedNamespaces[0]",
			`{addresses: [192.0.2.1], serviceAllocation: {namespaces: [dev, "a b"]}}`:                                "spec.serviceAllocation.namespaces[1]",
			`{addresses: []}`: "at least 1",
		},
		"ipaddressreservations": {
			`{addresses: [192.0.2.1]}`:                        "",
			`{addresses: [192.0.2.1, 192.0.2.73-192.0.2.67]}`: backwards,
			`{addresses: [192.0.2.1, nonsense]}`:              notAnEntry,
		},
		"l2advertisements": {
			`{interfaces: [eth0, "bond*", "eth[0-3]", "en?s[^0]", 'a\[b']}`: "",
			`{interfaces: ["eth[0"]}`:   "spec.interfaces[0]",
			`{interfaces: ["eth[]"]}`:   "spec.interfaces[0]",
			`{interfaces: ["eth[3-]"]}`: "spec.interfaces[0]",
			`{interfaces: ['eth\']}`:    "spec.interfaces[0]",
			`{nodeSelectors: [{}, {matchLabels: {example.com/rack: a, zone: ""}}]}`:                                                   "",
			`{nodeSelectors: [{matchExpressions: [{key: rack, operator: In, values: [a, b]}, {key: zone, operator: DoesNotExist}]}]}`: "",
			`{nodeSelectors: [{matchExpressions: [{key: rack, operator: Inn, values: [a]}]}]}`:                                        "spec.nodeSelectors[0].matchExpressions[0].operator",
			`{nodeSelectors: [{matchExpressions: [{key: rack, operator: In}]}]}`:                                                      "need values",
			`{nodeSelectors: [{matchExpressions: [{key: rack, operator: NotIn, values: []}]}]}`:                                       "need values",
			`{nodeSelectors: [{matchExpressions: [{key: rack, operator: Exists, values: [a]}]}]}`:                                     "must have none",
			`{nodeSelectors: [{matchExpressions: [{key: "ra ck", operator: Exists}]}]}`:                                               "spec.nodeSelectors[0].matchExpressions[0].key",
			`{serviceSelectors: [{matchLabels: {app: "a b"}}]}`:                                                                       "spec.serviceSelectors[0].matchLabels.app",
			`{ipAddressPoolSelectors: [{matchLabels: {"a b": a}}]}`:                                                                   "every key must be",
			`{preferredNodeSelectors: [{weight: 1, preference: {matchExpressions: [{key: rack, operator: Near, values: [a]}]}}]}`:     "spec.preferredNodeSelectors[0].preference",
		},
		"communities": {
			`{communities: [{name: a, value: "65535:65535"}, {name: b, value: "large:4294967295:0:1"}, {name: c, value: no-export}]}`: "",
			`{communities: [{name: a, value: "65536:1"}]}`:              "spec.communities[0].value",
			`{communities: [{name: a, value: "large:1:2:4294967296"}]}`: "spec.communities[0].value",
			`{communities: [{name: a, value: no-exprt}]}`:               "spec.communities[0].value",
		},
		"bgppeers": {
			`{myASN: 65000, peerASN: 65001, peerAddress: 192.0.2.1, holdTime: 90s, keepaliveTime: 30s}`: "",
			`{myASN: 65000, peerASN: 65001, peerAddress: 192.0.2.1, holdTime: 90s, keepaliveTime: 31s}`: "a third of holdTime",
			`{myASN: 23456, peerASN: 65001, peerAddress: 192.0.2.1}`:                                    "reserved",
			`{myASN: 65000, peerASN: 65535, peerAddress: 192.0.2.1}`:                                    "reserved",
			`{myASN: 4294967295, peerASN: 65001, peerAddress: 192.0.2.1}`:                               "less than or equal to 4294967294",
			`{myASN: 0, peerASN: 65001, peerAddress: 192.0.2.1}`:                                        "greater than or equal to 1",
		},
	} {
		s := read(t, plural)
		for spec, want := range cases {
			if got := s.refuse(t, spec); (got == "") != (want == "") || !strings.Contains(got, want) {
				t.Errorf("%s %s: %q, want %q", plural, spec, got, want)
			}
		}
	}
}

var plurals = []string{"announcers", "bfdprofiles", "bgpadvertisements", "bgppeers", "claimslices", "communities", "ipaddresspools", "ipaddressreservations", "l2advertisements"}

func TestEveryCRDIsOneThatTheAPIServerTakes(t *testing.T) {
	for _, plural := range plurals {
		read(t, plural)
	}
}

// TestEveryCRDHasRoomForAnotherVersion because all versions have one schema (docs/decisions/0014). kubectl keeps what it applies in an
// annotation, which has a limit.
func TestEveryCRDHasRoomForAnotherVersion(t *testing.T) {
	for _, plural := range plurals {
		crd := manifest(t, plural)
		if conversion := crd.Spec.Conversion; conversion != nil {
			t.Errorf("%s converts by %s", plural, conversion.Strategy)
		}
		next := crd.Spec.Versions[0].DeepCopy()
		next.Name, next.Storage = "v1beta1", false
		crd.Spec.Versions = append(crd.Spec.Versions, *next)
		text, err := json.Marshal(crd)
		if err != nil {
			t.Fatal(err)
		}
		if limit := apimachineryvalidation.TotalAnnotationSizeLimitB; len(text) > limit/2 {
			t.Errorf("%s has %d bytes with two versions, of %d that are possible", plural, len(text), limit)
		}
		validated(t, crd)
	}
}

// address draws one of few addresses, as text.
func address() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.Custom(func(t *rapid.T) string {
			return netip.AddrFrom4([4]byte{rapid.SampledFrom([]byte{0, 9, 10, 100, 127, 192, 223, 224, 255}).Draw(t, "first"),
				rapid.Byte().Draw(t, "second"), rapid.Byte().Draw(t, "third"), rapid.Byte().Draw(t, "fourth")}).String()
		}),
		rapid.Custom(func(t *rapid.T) string {
			return fmt.Sprintf("%s::%x", rapid.SampledFrom([]string{"2001:db8", "fe80", "ff02", "fd00:1", ""}).Draw(t, "prefix"), rapid.IntRange(0, 1<<16-1).Draw(t, "host"))
		}),
		rapid.StringMatching(`[0-9a-f.:]{1,8}`),
	)
}

func TestTheSchemaTakesEveryEntryThatTheAllocatorTakes(t *testing.T) {
	s := read(t, "ipaddressreservations")
	rapid.Check(t, func(t *rapid.T) {
		entry := address().Draw(t, "address")
		switch rapid.IntRange(0, 2).Draw(t, "kind") {
		case 0:
			entry += fmt.Sprintf("/%d", rapid.IntRange(0, 130).Draw(t, "bits"))
		case 1:
			entry += rapid.SampledFrom([]string{"-", " - ", "--"}).Draw(t, "dash") + address().Draw(t, "last")
		}
		_, err := loadbalancer.ParseRange(entry)
		quoted, _ := json.Marshal(entry)
		refusal := s.refuse(t, "{addresses: ["+string(quoted)+"]}")
		if err == nil && refusal != "" {
			t.Fatalf("the allocator takes %q, but not the API server: %s", entry, refusal)
		}
		// What the rules do not see: the order of IPv6 addresses, and what lies between the ends of a range.
		if err != nil && refusal == "" && !strings.Contains(err.Error(), "after its end") && !strings.Contains(err.Error(), "has ") {
			t.Fatalf("the API server takes %q, but not the allocator: %v", entry, err)
		}
	})
}

func TestTheSchemaTakesThePatternsThatArePatterns(t *testing.T) {
	s := read(t, "l2advertisements")
	rapid.Check(t, func(t *rapid.T) {
		pattern := rapid.StringMatching(`[\[\]\\^*?a0\-]{1,8}`).Draw(t, "pattern")
		_, err := path.Match(pattern, "")
		quoted, _ := json.Marshal(pattern)
		if refusal := s.refuse(t, "{interfaces: ["+string(quoted)+"]}"); (err == nil) != (refusal == "") {
			t.Fatalf("%q: %v, but the API server says %q", pattern, err, refusal)
		}
	})
}

// labelText draws a text that may be, or almost be, the key or the value of a label.
func labelText() *rapid.Generator[string] {
	return rapid.OneOf(
		rapid.StringMatching(`[aA0._/-]{0,6}`),
		rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat("a", rapid.IntRange(62, 65).Draw(t, "length")) + rapid.SampledFrom([]string{"", "/a", "."}).Draw(t, "end")
		}),
		rapid.StringMatching(`[a-z]{1,3}[.][a-z]{1,3}/[A-Za-z0-9._-]{1,3}`),
	)
}

func TestTheSchemaTakesTheSelectorsThatAreSelectors(t *testing.T) {
	s := read(t, "l2advertisements")
	rapid.Check(t, func(t *rapid.T) {
		var selector v1alpha1.LabelSelector
		if rapid.Bool().Draw(t, "labels") {
			selector.MatchLabels = map[string]v1alpha1.LabelValue{labelText().Draw(t, "label"): v1alpha1.LabelValue(labelText().Draw(t, "of"))}
		} else {
			values := rapid.SliceOfN(rapid.Custom(func(t *rapid.T) v1alpha1.LabelValue { return v1alpha1.LabelValue(labelText().Draw(t, "value")) }), 0, 2)
			selector.MatchExpressions = []v1alpha1.LabelSelectorRequirement{{
				Key:      labelText().Draw(t, "key"),
				Operator: rapid.SampledFrom([]metav1.LabelSelectorOperator{"In", "NotIn", "Exists", "DoesNotExist", "Inn", ""}).Draw(t, "operator"),
				Values:   values.Draw(t, "values"),
			}}
		}
		_, err := selector.Selector()
		text, _ := json.Marshal(selector)
		if refusal := s.refuse(t, "{nodeSelectors: ["+string(text)+"]}"); (err == nil) != (refusal == "") {
			t.Fatalf("%s: %v, but the API server says %q", text, err, refusal)
		}
	})
}

func TestTheSchemaTakesTheCommunitiesThatAreCommunities(t *testing.T) {
	s := read(t, "communities")
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.OneOf(
			rapid.SampledFrom([]string{"0", "00", "065535", "65535", "65536", "99999", "4294967295", "4294967296", "9999999999", "", "x", "-1"}),
			rapid.Map(rapid.IntRange(0, 5_000_000_000), strconv.Itoa),
			rapid.Map(rapid.IntRange(0, 70_000), strconv.Itoa),
		)
		value := strings.Join(rapid.SliceOfN(number, 1, 4).Draw(t, "numbers"), ":")
		if rapid.Bool().Draw(t, "large") {
			value = "large:" + value
		}
		community := v1alpha1.Community{Spec: v1alpha1.CommunitySpec{Communities: []v1alpha1.CommunityAlias{{Name: "a", Value: value}}}}
		view := plan.NewView()
		view.SetCommunity("a", &community)
		view.Settle()
		text, _ := json.Marshal(community.Spec)
		if refusal, err := s.refuse(t, string(text)), view.Community("a").Problem; (err == nil) != (refusal == "") {
			t.Fatalf("%s: %v, but the API server says %q", value, err, refusal)
		}
	})
}

func TestWhatIsRecordedOfAnOlderVersionIsTaken(t *testing.T) {
	// Rules become stricter; what was good by older ones must still be recorded.
	for _, plural := range []string{"l2advertisements", "bgppeers", "bgpadvertisements", "communities", "bfdprofiles"} {
		object := map[string]any{"status": map[string]any{"nodes": int64(0), "established": int64(0), "appliedSpec": map[string]any{"interfaces": []any{"eth[0"}, "myASN": int64(0)}}}
		s := read(t, plural)
		if errs := validation.ValidateCustomResource(nil, object, s.openAPI); len(errs) > 0 && strings.Contains(errs.ToAggregate().Error(), "appliedSpec") {
			t.Errorf("%s: %v", plural, errs.ToAggregate())
		}
	}
}

// unknownFields are the fields of a spec that the API server would not know.
func unknownFields(t *testing.T, s schema, spec any) []string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"spec": spec})
	if err != nil {
		t.Fatal(err)
	}
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		t.Fatal(err)
	}
	return pruning.PruneWithOptions(object, s.structural, false, structuralschema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true})
}
