package migrate

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// WriteTo writes what a person has to know of a Plan: what is made, what happens to the Services, what is not carried over, and the
// order. No password is in it.
func (p *Plan) WriteTo(w io.Writer) (int64, error) {
	var text strings.Builder
	section := func(title string) { fmt.Fprintf(&text, "\n%s\n", title) }
	fmt.Fprintf(&text, "From %s to Clarion.\n", p.Source)
	if len(p.Objects) > 0 {
		section("Made for Clarion:")
		for _, object := range p.Objects {
			fmt.Fprintf(&text, "  %s %s\n", object.GetKind(), object.GetName())
		}
		for _, secret := range p.Secrets {
			fmt.Fprintf(&text, "  Secret %s/%s\n", secret.Namespace, secret.Name)
		}
	}
	if len(p.Moves) > 0 {
		section("Services:")
		for _, move := range p.Moves {
			fmt.Fprintf(&text, "  %-40s %s\n", move.Service, move.sentence())
			for _, name := range slices.Sorted(maps.Keys(move.Annotations)) {
				fmt.Fprintf(&text, "  %-40s   %s: %s\n", "", name, move.Annotations[name])
			}
		}
	}
	titles := map[Severity]string{Blocking: "To be settled first, or addresses would be lost:", Lost: "Not carried over:", Note: "Good to know:"}
	for _, severity := range []Severity{Blocking, Lost, Note} {
		for i, remark := range slices.DeleteFunc(slices.Clone(p.Remarks), func(r Remark) bool { return r.Severity != severity }) {
			if i == 0 {
				section(titles[severity])
			}
			fmt.Fprintf(&text, "  %s\n", strings.TrimSpace(remark.Object.String()+" "+remark.Text))
		}
	}
	section("Order:")
	for i, step := range p.Steps {
		by := "you"
		if step.ByTool {
			by = "--apply"
		}
		fmt.Fprintf(&text, "  %d. %s (%s)\n", i+1, step.Title, by)
		for _, command := range step.Commands {
			fmt.Fprintf(&text, "       %s\n", command)
		}
	}
	n, err := io.WriteString(w, text.String())
	return int64(n), err
}

// sentence says in a few words what happens to a Service.
func (m *Move) sentence() string {
	with := " and gets an address of the pool"
	if len(m.Addresses) > 0 {
		with = " and keeps " + strings.Join(m.Addresses, ", ")
	}
	switch m.How {
	case Adopt:
		return "is taken up as it is" + with
	case ByFlag:
		return "stays as it is, served by flag," + with
	case Recreate:
		return "becomes one of class " + m.Class + " by way of type ClusterIP" + with
	}
	return "becomes one of type LoadBalancer" + with
}

// YAML are the objects as documents of YAML. Secrets are not among them.
func (p *Plan) YAML() ([]byte, error) {
	var all []byte
	for _, object := range p.Objects {
		text, err := yaml.Marshal(object.Object)
		if err != nil {
			return nil, fmt.Errorf("write %s: %w", refOf(&object), err)
		}
		all = append(append(all, "---\n"...), text...)
	}
	return all, nil
}
