// Package rights compares what the programs may do, by the roles that are shipped, with what they do, by the audit log of an
// API server.
package rights

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
)

// Right is the smallest part of a role: one account may do one thing to one kind of objects.
type Right struct {
	// Role is "Kind name" and, of a Role, " in namespace".
	Role string
	// Account is the user name of a ServiceAccount.
	Account string
	// Namespace is where it holds; "" is everywhere.
	Namespace string
	Verb      string
	Group     string
	// Resource may have a subresource, behind a slash.
	Resource string
	// Name is that of the only object that it is for; "" is any.
	Name string
}

func (r Right) String() string {
	return strings.TrimSpace(fmt.Sprintf("%s: %s %s %s", r.Role, r.Verb, strings.Trim(r.Resource+"."+r.Group, "."), r.Name))
}

// manifest has the fields of roles and of their bindings.
type manifest struct {
	Kind     string
	Metadata struct{ Name, Namespace string }
	Rules    []rbacv1.PolicyRule
	RoleRef  rbacv1.RoleRef
	Subjects []rbacv1.Subject
}

func (m *manifest) role(kind, name string) string {
	if kind == "Role" {
		name += " in " + m.Metadata.Namespace
	}
	return kind + " " + name
}

// Shipped are the rights of some accounts by the roles in all files of a folder.
func Shipped(dir string, accounts ...string) ([]Right, error) {
	var all []manifest
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !strings.HasPrefix(entry.Name(), "rbac") {
			return err
		}
		found, err := read(path)
		all = append(all, found...)
		return err
	})
	if err != nil {
		return nil, err
	}
	roles := map[string]*manifest{}
	for i := range all {
		if kind := all[i].Kind; kind == "Role" || kind == "ClusterRole" {
			roles[all[i].role(kind, all[i].Metadata.Name)] = &all[i]
		}
	}
	var rights []Right
	for i := range all {
		binding := &all[i]
		role := roles[binding.role(binding.RoleRef.Kind, binding.RoleRef.Name)]
		if role == nil {
			continue // no binding, or the role is Kubernetes' own
		}
		for _, subject := range binding.Subjects {
			account := "system:serviceaccount:" + subject.Namespace + ":" + subject.Name
			for _, wanted := range accounts {
				if account == wanted {
					rights = append(rights, role.rights(account, binding.Metadata.Namespace)...)
				}
			}
		}
	}
	return rights, nil
}

func read(path string) ([]manifest, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var found []manifest
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(text), 4096)
	for {
		var m manifest
		if err := decoder.Decode(&m); errors.Is(err, io.EOF) {
			return found, nil
		} else if err != nil {
			return nil, fmt.Errorf("read %s: %w", path, err)
		}
		found = append(found, m)
	}
}

// rights takes a role apart.
func (m *manifest) rights(account, namespace string) []Right {
	var rights []Right
	for _, rule := range m.Rules {
		names := rule.ResourceNames
		if len(names) == 0 {
			names = []string{""}
		}
		for _, group := range rule.APIGroups {
			for _, resource := range rule.Resources {
				for _, verb := range rule.Verbs {
					for _, name := range names {
						rights = append(rights, Right{m.role(m.Kind, m.Metadata.Name), account, namespace, verb, group, resource, name})
					}
				}
			}
		}
	}
	return rights
}
