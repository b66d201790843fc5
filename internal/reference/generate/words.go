package main

import (
	"cmp"
	"errors"
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// anyKind is where the reasons are that every kind of Clarion can have.
const anyKind = "every kind"

// reason is a row: a reason of a condition of a kind.
type reason struct{ kind, condition, reason, status, meaning string }

var (
	ofGroup = regexp.MustCompile(`^Reasons of an? (\w+)'s (\w+) condition\. ?(.*)$`)
	// ofItem is "BGPPeer Ready (False): meaning", or with several conditions "Announcer Ready, Gossip (Unknown): meaning".
	ofItem = regexp.MustCompile(`^(` + anyKind + `|\w+) (\w+(?:, \w+)*) \(([^)]+)\): (.+)$`)
	// ofWord is "ReasonValid (True): meaning".
	ofWord = regexp.MustCompile(`^(\w+) \(([^)]+)\): (.+)$`)
	// isCondition cuts what the comment of a condition begins with.
	isCondition = regexp.MustCompile(`^Condition\w+ is the condition type(?:, in [^,]+,)? that `)
)

// reasons are all, and what is said of the conditions that have them, as "Service Announced".
func reasons(all []constant) (rows []reason, said map[string]string, err error) {
	said = map[string]string{}
	for _, c := range all {
		if c.of != "Reason" && !strings.HasPrefix(c.name, "Reason") {
			continue
		}
		before := len(rows)
		if group := ofGroup.FindStringSubmatch(c.group); group != nil {
			word := ofWord.FindStringSubmatch(c.doc)
			if word == nil {
				return nil, nil, fmt.Errorf(`%s.%s needs a comment like "%s (False): meaning."`, path.Base(c.folder), c.name, c.name)
			}
			said[group[1]+" "+group[2]] = group[3]
			rows = append(rows, reason{group[1], group[2], c.value, word[2], word[3]})
		}
		for _, item := range c.items {
			of := ofItem.FindStringSubmatch(item)
			if of == nil {
				return nil, nil, fmt.Errorf(`%s.%s lists %q, which is not like "Kind Condition (False): meaning"`, path.Base(c.folder), c.name, item)
			}
			for condition := range strings.SplitSeq(of[2], ", ") {
				rows = append(rows, reason{of[1], condition, c.value, of[3], of[4]})
			}
		}
		if len(rows) == before {
			return nil, nil, fmt.Errorf(`%s.%s is the reason of no condition: put it into a group "Reasons of a Kind's X condition.", or list "- Kind Condition (False): meaning" in its comment`,
				path.Base(c.folder), c.name)
		}
	}
	return rows, said, nil
}

func conditionsPage(root string) (string, error) {
	all, err := constants(root, "api", "loadbalancer")
	if err != nil {
		return "", err
	}
	rows, said, err := reasons(all)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	b.WriteString("# Conditions and reasons\n\n" + notice)
	b.WriteString("What objects say of themselves in `status.conditions`. [How to see them](../reference.md#how-to-see-conditions).\n\n")
	kinds := []string{"Service", anyKind}
	for _, r := range rows {
		if !slices.Contains(kinds, r.kind) {
			kinds = append(kinds, r.kind)
		}
	}
	slices.Sort(kinds[2:])
	for _, kind := range kinds {
		title := kind
		if kind == anyKind {
			title = "Every kind of Clarion"
		}
		fmt.Fprintf(&b, "## %s\n\n", title)
		for _, c := range all {
			if !strings.HasPrefix(c.name, "Condition") || c.folder != "api/v1alpha1" {
				continue
			}
			short := c.value[strings.LastIndex(c.value, "/")+1:]
			var cells [][]string
			for _, r := range rows {
				if r.kind == kind && r.condition == short {
					cells = append(cells, []string{code(r.reason), r.status, cell(strings.TrimSuffix(r.meaning, "."))})
				}
			}
			if len(cells) == 0 {
				continue
			}
			slices.SortStableFunc(cells, func(a, b []string) int { return order(a[1]) - order(b[1]) })
			says := isCondition.ReplaceAllString(c.doc, "")
			if kind == "Pod" {
				says = "is the kubelet's. Clarion writes it in place of one that cannot."
			}
			fmt.Fprintf(&b, "### %s: `%s`\n\nThis condition %s", title, c.value, says)
			if more := said[kind+" "+short]; more != "" {
				b.WriteString(" " + more)
			}
			b.WriteString("\n\n")
			table(&b, []string{"Reason", "Status", "Meaning"}, cells)
		}
	}
	states(&b, all)
	return strings.TrimSpace(b.String()) + "\n", nil
}

// order puts conditions that are True first.
func order(status string) int {
	if status == "True" {
		return 0
	}
	return 1
}

// states are those of sessions, which Announcers have.
func states(b *strings.Builder, all []constant) {
	b.WriteString("## States of sessions\n\nThose of `status.bgp.peers[]` of an Announcer.\n\n")
	var rows [][]string
	for _, c := range all {
		if of, is := strings.CutSuffix(c.of, "State"); is && c.folder == "api/v1alpha1" {
			_, meaning, _ := strings.Cut(c.doc, " : ")
			rows = append(rows, []string{code(c.value), of, cell(strings.TrimSuffix(meaning, "."))})
		}
	}
	table(b, []string{"State", "Of", "Meaning"}, rows)
}

func eventsPage(root string) (string, error) {
	all, err := constants(root, program...)
	if err != nil {
		return "", err
	}
	var rows [][]string
	var problems []error
	known := map[string]bool{}
	for _, c := range all {
		if !strings.HasPrefix(c.name, "event") {
			continue
		}
		word := ofWord.FindStringSubmatch(c.doc)
		if word == nil || !strings.Contains(word[2], ", ") {
			problems = append(problems, fmt.Errorf(`%s.%s needs a comment like "%s (Warning, Service): meaning."`, path.Base(c.folder), c.name, c.name))
			continue
		}
		known[c.value] = true
		parts := strings.SplitN(word[2], ", ", 3)
		from := "cloud-controller-manager"
		if strings.HasPrefix(c.folder, "announce") {
			from = "announcer"
		}
		if len(parts) == 3 {
			from = parts[2]
		}
		rows = append(rows, []string{code(c.value), parts[0], parts[1], from, cell(strings.TrimSuffix(word[3], "."))})
	}
	given, err := eventsGiven(root, all)
	for _, value := range given {
		if !known[value] {
			problems = append(problems, fmt.Errorf("an event has the reason %s, which is no constant event... with a comment", value))
		}
	}
	slices.SortFunc(rows, compareEvents)
	var b strings.Builder
	b.WriteString("# Events\n\n" + notice + "`kubectl describe` and `kubectl events` show them.\n" +
		"[Events of Services](../reference.md#events-of-services) says which of them repeat conditions, and what the service controller adds.\n\n")
	table(&b, []string{"Event", "Type", "On", "From", "Meaning"}, rows)
	return strings.TrimSpace(b.String()) + "\n", errors.Join(append(problems, err)...)
}

// compareEvents puts events into the order of their objects and names. Of several with one name, the rest of the row decides: files are
// read in any order.
func compareEvents(a, b []string) int { return cmp.Or(cmp.Compare(a[2], b[2]), slices.Compare(a, b)) }

// eventsGiven are the reasons that are literally given to a recorder of events.
func eventsGiven(root string, all []constant) ([]string, error) {
	files, _, err := parse(root, program...)
	var found []string
	for _, file := range files {
		ast.Inspect(file, func(n ast.Node) bool {
			call, is := n.(*ast.CallExpr)
			if !is || len(call.Args) < 4 {
				return true
			}
			if method, is := call.Fun.(*ast.SelectorExpr); !is || method.Sel.Name != "Event" && method.Sel.Name != "Eventf" {
				return true
			}
			switch given := call.Args[2].(type) {
			case *ast.BasicLit:
				found = append(found, strings.Trim(given.Value, `"`))
			case *ast.SelectorExpr:
				for _, c := range all {
					if c.name == given.Sel.Name {
						found = append(found, c.value)
					}
				}
			}
			return true
		})
	}
	return found, err
}

func annotationsPage(root string) (string, error) {
	all, err := constants(root, "api", "loadbalancer")
	if err != nil {
		return "", err
	}
	rows := map[string][][]string{}
	for _, c := range all {
		if !strings.HasPrefix(c.name, "Annotation") {
			continue
		}
		on := "Service"
		if of := regexp.MustCompile(`^\w+ on an? (\w+)`).FindStringSubmatch(c.doc); of != nil {
			on = of[1]
		}
		rows[on] = append(rows[on], []string{code(c.value), cell(strings.TrimPrefix(c.doc, c.name+" "))})
	}
	var b strings.Builder
	b.WriteString("# Annotations\n\n" + notice)
	for _, on := range []string{"Service", "Node", "Announcer", "Lease"} {
		fmt.Fprintf(&b, "## Of a %s\n\n", on)
		if on == "Service" {
			b.WriteString("[Addresses](../addresses.md) has them with examples. Another annotation of a Service that begins with `clarionlb.io/` is\n" +
				"ignored; the message of `AddressAssigned` names it, and the one that is probably meant. It also names common annotations for other\n" +
				"load balancers.\n\n")
		}
		table(&b, []string{"Annotation", "Meaning"}, rows[on])
		delete(rows, on)
	}
	if len(rows) > 0 {
		return "", fmt.Errorf("annotations of other objects: %v", rows)
	}
	return strings.ReplaceAll(strings.TrimSpace(b.String()), "Of a Announcer", "Of an Announcer") + "\n", nil
}
