package why

import (
	"net/netip"
	"strings"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/plugin"
	"github.com/clarionlb/clarion/internal/plugin/snapshot"
)

// Find makes the Report of what a user names: NAME, NAMESPACE/NAME, service/NAME, service/NAMESPACE/NAME,
// node/NAME, an address, or KIND/NAME of an object of Clarion's. A Service goes before a node of the
// same name, and a kind before a namespace, unless the namespace has the Service.
func Find(s *snapshot.State, namespace, text string) (*Report, error) {
	if ip, err := netip.ParseAddr(text); err == nil {
		return Address(s, ip.Unmap()), nil
	}
	kind, rest, found := strings.Cut(text, "/")
	if !found {
		rest = text
	}
	name := types.NamespacedName{Namespace: namespace, Name: rest}
	if ns, of, nested := strings.Cut(rest, "/"); nested {
		name = types.NamespacedName{Namespace: ns, Name: of}
	}
	switch strings.ToLower(kind) {
	case "node", "nodes", "no", "announcer", "announcers", "ann":
		return findNode(s, rest)
	case "address", "ip":
		if ip, err := netip.ParseAddr(rest); err == nil {
			return Address(s, ip.Unmap()), nil
		}
		return nil, plugin.Usagef("%q is not an IP address", rest)
	case "service", "services", "svc":
		return findService(s, name)
	}
	if k := configuredAs(kind); found && k != nil && s.Service(types.NamespacedName{Namespace: kind, Name: rest}) == nil {
		if _, there := k.find(s, rest); !there {
			return nil, notFound(s, k.names[0]+"."+v1alpha1.SchemeGroupVersion.Group, k.kind+" "+rest)
		}
		return k.report(s, rest), nil
	}
	if found {
		name = types.NamespacedName{Namespace: kind, Name: rest}
		return findService(s, name)
	}
	if s.Service(name) == nil && hasNode(s, text) {
		return Node(s, text), nil
	}
	return findService(s, name)
}

func findService(s *snapshot.State, name types.NamespacedName) (*Report, error) {
	if s.Service(name) == nil {
		return nil, notFound(s, "services", "Service "+name.String())
	}
	return Service(s, name), nil
}

func findNode(s *snapshot.State, name string) (*Report, error) {
	if !hasNode(s, name) {
		return nil, notFound(s, "nodes", "Node "+name)
	}
	return Node(s, name), nil
}

func hasNode(s *snapshot.State, name string) bool {
	return s.Node(name) != nil || s.Announcer(name) != nil
}

// notFound is the error about an object that is not there; if its kind could not be read, it says so.
func notFound(s *snapshot.State, kind, what string) error {
	for _, unread := range s.Unread {
		if unread.Kind == kind {
			return plugin.Usagef("%s cannot be found: %s", what, unread.Why)
		}
	}
	return plugin.Usagef("there is no %s", what)
}
