package loadbalancer

import (
	"strings"
	"testing"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

func TestOrderOfPools(t *testing.T) {
	forDefault := v1alpha1.ServiceAllocation{Namespaces: []string{"default"}}
	cases := map[string]struct {
		pools []*v1alpha1.IPAddressPool
		want  string
	}{
		"by name": {
			[]*v1alpha1.IPAddressPool{newPool("b", "10.0.0.2"), newPool("a", "10.0.0.1"), newPool("c", "10.0.0.3")},
			"10.0.0.1 10.0.0.2 10.0.0.3",
		},
		"lower priority first, none last": {
			[]*v1alpha1.IPAddressPool{
				newPool("a", "10.0.0.1"),
				with(newPool("b", "10.0.0.2"), only(v1alpha1.ServiceAllocation{Priority: 20})),
				with(newPool("c", "10.0.0.3"), only(v1alpha1.ServiceAllocation{Priority: 10})),
			},
			"10.0.0.3 10.0.0.2 10.0.0.1",
		},
		"selected before general, whatever the priority": {
			[]*v1alpha1.IPAddressPool{
				with(newPool("a", "10.0.0.1"), only(v1alpha1.ServiceAllocation{Priority: 1})),
				with(newPool("b", "10.0.0.2"), only(forDefault)),
				with(newPool("c", "10.0.0.3"), only(v1alpha1.ServiceAllocation{Priority: 9, Namespaces: []string{"default"}})),
			},
			"10.0.0.3 10.0.0.2 10.0.0.1",
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, c.pools...)
			var got []string
			for _, name := range []string{"first", "second", "third"} {
				got = append(got, s.ensure(s.service(name)))
			}
			s.expect("order", strings.Join(got, " "), c.want)
		})
	}
}

func TestSelection(t *testing.T) {
	cases := map[string]struct {
		allocation v1alpha1.ServiceAllocation
		service    string
		label      string
		want       string
	}{
		"a namespace by name":                         {v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}, "other/a", "", "10.0.0.1"},
		"not another namespace":                       {v1alpha1.ServiceAllocation{Namespaces: []string{"other"}}, "a", "", "NoMatchingPool"},
		"a namespace by label":                        {v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{byLabel("name", "other")}}, "other/a", "", "10.0.0.1"},
		"not a namespace with another label":          {v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{byLabel("name", "other")}}, "a", "", "NoMatchingPool"},
		"names and labels of namespaces add up":       {v1alpha1.ServiceAllocation{Namespaces: []string{"default"}, NamespaceSelectors: []v1alpha1.LabelSelector{byLabel("name", "other")}}, "a", "", "10.0.0.1"},
		"an empty list of namespaces is nobody":       {v1alpha1.ServiceAllocation{Namespaces: []string{}}, "a", "", "NoMatchingPool"},
		"an empty list of selectors is nobody":        {v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{}}, "a", "", "NoMatchingPool"},
		"a selector that matches nothing is nobody":   {v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{byLabel("no", "such")}}, "a", "", "NoMatchingPool"},
		"an empty selector is any known namespace":    {v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{{}}}, "a", "", "10.0.0.1"},
		"an unknown namespace matches no selector":    {v1alpha1.ServiceAllocation{NamespaceSelectors: []v1alpha1.LabelSelector{{}}}, "unknown/a", "", "NoMatchingPool"},
		"a Service by label":                          {v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{byLabel("tier", "web")}}, "a", "web", "10.0.0.1"},
		"not a Service with another label":            {v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{byLabel("tier", "web")}}, "a", "db", "NoMatchingPool"},
		"one of several selectors is enough":          {v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{byLabel("no", "such"), byLabel("tier", "web")}}, "a", "web", "10.0.0.1"},
		"both the namespace and the Service must fit": {v1alpha1.ServiceAllocation{Namespaces: []string{"other"}, ServiceSelectors: []v1alpha1.LabelSelector{byLabel("tier", "web")}}, "a", "web", "NoMatchingPool"},
		"an empty list of Services is nobody":         {v1alpha1.ServiceAllocation{ServiceSelectors: []v1alpha1.LabelSelector{}}, "a", "web", "NoMatchingPool"},
		"a priority alone restricts nobody":           {v1alpha1.ServiceAllocation{Priority: 3}, "a", "", "10.0.0.1"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, with(newPool("public", "10.0.0.1"), only(c.allocation)))
			r := s.service(c.service, labelled("tier", c.label))
			s.expect("automatic", s.ensure(r), c.want)
			// A wish does not open what is closed.
			r.Pool = "public"
			s.expect("by pool", s.ensure(r), c.want)
			r.Addresses = parse([]string{"10.0.0.1"})
			s.expect("by address", s.ensure(r), c.want)
		})
	}
}
