package reference

import (
	"go/ast"
	"maps"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

const page = "../../docs/reference.md"

// TestTheReferenceHasTheWordsOfTheCodeAndNoOthers compares each kind of words. A table of the page
// has the kind in its first heading, and the words in the cells below.
func TestTheReferenceHasTheWordsOfTheCodeAndNoOthers(t *testing.T) {
	tables := readTables(t)
	api, constants := sources(t, "api/v1alpha1"), map[string]string{}
	for _, name := range packages(t) {
		maps.Copy(constants, stringConstants(sources(t, name), "", ""))
	}
	assigned := stringConstants(sources(t, "loadbalancer"), "", "Reason")
	annotations := stringConstants(api, "Annotation", "")
	maps.Copy(annotations, stringConstants(sources(t, "loadbalancer"), "", "Annotation"))
	states := stringConstants(api, "", "BGPState")
	maps.Copy(states, stringConstants(api, "", "BFDState"))
	reasons := stringConstants(api, "Reason", "")
	maps.Copy(reasons, assigned)
	for kind, words := range map[string][]string{
		"Condition":  values(stringConstants(api, "Condition", "")),
		"Reason":     values(reasons),
		"Annotation": values(annotations),
		"State":      values(states),
		"Move":       values(stringConstants(sources(t, "announce/plan"), "", "MoveReason")),
		"Event":      eventReasons(t, constants),
		"Metric":     metricNames(t),
		"Label":      metricLabels(t),
		"Flag":       flags(t),
	} {
		compare(t, kind, tables[""][kind], words)
	}
	compare(t, "Reason of AddressAssigned", tables["`clarionlb.io/AddressAssigned`"]["Reason"], values(assigned))
}

// TestTheReferenceHasTheFieldsOfEveryStatus compares the tables of fields with the types of the API.
func TestTheReferenceHasTheFieldsOfEveryStatus(t *testing.T) {
	tables := readTables(t)
	for _, object := range []any{
		v1alpha1.IPAddressPool{}, v1alpha1.IPAddressReservation{}, v1alpha1.L2Advertisement{}, v1alpha1.BGPPeer{},
		v1alpha1.BGPAdvertisement{}, v1alpha1.Community{}, v1alpha1.BFDProfile{}, v1alpha1.Announcer{},
	} {
		kind := reflect.TypeOf(object)
		status, _ := kind.FieldByName("Status")
		heading := kind.Name()
		if heading == "Announcer" {
			heading = "Status"
		}
		compare(t, "Field of "+kind.Name(), tables[heading]["Field"], fields("status", status.Type))
	}
}

// fields are the paths of the fields of a type in JSON that have none below them. Those of
// conditions are not Clarion's.
func fields(path string, of reflect.Type) []string {
	for of.Kind() == reflect.Pointer {
		of = of.Elem()
	}
	if of.Kind() == reflect.Slice && of.Elem().PkgPath() == reflect.TypeFor[v1alpha1.Announcer]().PkgPath() {
		return fields(path+"[]", of.Elem())
	}
	if of.Kind() != reflect.Struct || of.PkgPath() != reflect.TypeFor[v1alpha1.Announcer]().PkgPath() {
		return []string{path}
	}
	var paths []string
	for field := range of.Fields() {
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "appliedSpec" { // which has the fields of spec
			paths = append(paths, path+"."+name)
			continue
		}
		paths = append(paths, fields(path+"."+name, field.Type)...)
	}
	return paths
}

// eventReasons are the reasons of events: constants that are named event..., and those that are
// given to a recorder. That of an address that was assigned is the last part of the condition; that
// of a refusal is the condition's.
func eventReasons(t *testing.T, constants map[string]string) []string {
	found := map[string]bool{lastPart(v1alpha1.ConditionAddressAssigned): true}
	for name, value := range constants {
		if strings.HasPrefix(name, "event") {
			found[value] = true
		}
	}
	inspect(t, func(_ string, n ast.Node) {
		call, is := n.(*ast.CallExpr)
		if !is || len(call.Args) != 4 {
			return
		}
		if method, is := call.Fun.(*ast.SelectorExpr); !is || method.Sel.Name != "Event" && method.Sel.Name != "Eventf" {
			return
		}
		switch reason := call.Args[2].(type) {
		case *ast.BasicLit:
			found[text(reason)] = true
		case *ast.SelectorExpr:
			if value, known := constants[reason.Sel.Name]; known {
				found[value] = true
			}
		}
	})
	return slices.Collect(maps.Keys(found))
}

func lastPart(condition string) string { return condition[strings.LastIndex(condition, "/")+1:] }

// flags are those that the programs of this module add, with their dashes.
func flags(t *testing.T) []string {
	var found []string
	inspect(t, func(file string, n ast.Node) {
		call, is := n.(*ast.CallExpr)
		if !is || !strings.HasPrefix(file, root+"/cmd/") || len(call.Args) != 4 {
			return
		}
		if method, is := call.Fun.(*ast.SelectorExpr); is && strings.HasSuffix(method.Sel.Name, "Var") {
			if name, is := call.Args[1].(*ast.BasicLit); is {
				found = append(found, "--"+text(name))
			}
		}
	})
	return found
}

// readTables returns the words of the page by heading ("" is all of the page) and by the first
// heading of the table. Those of the third column of metrics are labels.
func readTables(t *testing.T) map[string]map[string][]string {
	t.Helper()
	content, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]map[string][]string{"": {}}
	heading, kind := "", ""
	for line := range strings.Lines(string(content)) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "#"):
			heading, kind = strings.TrimLeft(line, "# "), ""
			tables[heading] = map[string][]string{}
		case !strings.HasPrefix(line, "|"):
			kind = ""
		case kind == "":
			kind = strings.TrimSpace(strings.Split(line, "|")[1])
		default:
			cells := strings.Split(line, "|")
			for _, word := range inBackticks.FindAllStringSubmatch(cells[1], -1) {
				tables[""][kind] = append(tables[""][kind], word[1])
				tables[heading][kind] = append(tables[heading][kind], word[1])
			}
			if kind == "Metric" {
				for _, word := range inBackticks.FindAllStringSubmatch(cells[3], -1) {
					tables[""]["Label"] = append(tables[""]["Label"], word[1])
				}
			}
		}
	}
	return tables
}

var inBackticks = regexp.MustCompile("`([^`]+)`")

func compare(t *testing.T, kind string, documented, used []string) {
	t.Helper()
	if len(used) == 0 {
		t.Errorf("%s: found no word of the code", kind)
	}
	for _, word := range used {
		if !slices.Contains(documented, word) {
			t.Errorf("%s: docs/reference.md does not have %s", kind, word)
		}
	}
	for _, word := range documented {
		if !slices.Contains(used, word) {
			t.Errorf("%s: docs/reference.md has %s, which the code has not", kind, word)
		}
	}
}
