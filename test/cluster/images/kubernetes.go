package images

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clarionlb/clarion/test/cluster/setup"
)

// AgnhostName is the image that the product's samples run.
const AgnhostName = "registry.k8s.io/e2e-test-images/agnhost:2.53"

// Kubernetes are the images of a kubeadm cluster, under the names that kubeadm asks for.
type Kubernetes struct {
	// ControlPlane are what runs on the node of the control plane alone.
	ControlPlane []Image
	// Node are what runs on every node.
	Node []Image
	// Pause is the name of the image that holds a pod's namespaces.
	Pause string
}

// NewKubernetes makes the images of Kubernetes out of the folders of its programs, and agnhost. The
// folder product has the program pause.
func NewKubernetes(ctx context.Context, kubernetes string, node setup.NodePrograms, product string) (Kubernetes, error) {
	version := setup.Version(kubernetes)
	out, err := exec.CommandContext(ctx, filepath.Join(node.Kubeadm, "kubeadm"), "config", "images", "list", "--kubernetes-version="+version).Output()
	if err != nil {
		return Kubernetes{}, fmt.Errorf("kubeadm config images list: %w", err)
	}
	names := strings.Fields(string(out))
	find := func(repository string) (name string) {
		i := slices.IndexFunc(names, func(name string) bool { return path.Base(strings.Split(name, ":")[0]) == repository })
		if i < 0 {
			err = errors.Join(err, fmt.Errorf("kubeadm asks for no image %s", repository))
			return ""
		}
		return names[i]
	}
	k := Kubernetes{Pause: find("pause")}
	for _, name := range []string{"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"} {
		k.ControlPlane = append(k.ControlPlane, Image{Name: find(name), Files: []File{program(kubernetes, name)}})
	}
	tables, tablesErr := packetFilters(ctx)
	k.Node = []Image{
		{Name: k.Pause, Files: []File{{Path: "/pause", Source: filepath.Join(product, "pause")}}, Entrypoint: []string{"/pause"}},
		{Name: find("kube-proxy"), Files: append(tables, program(kubernetes, "kube-proxy"))},
		{Name: find("coredns"), Files: []File{{Path: "/coredns", Source: filepath.Join(node.CoreDNS, "coredns")}}, Entrypoint: []string{"/coredns"}},
		{Name: AgnhostName, Files: []File{{Path: "/agnhost", Source: filepath.Join(node.Kubeadm, "agnhost")}}, Entrypoint: []string{"/agnhost"}},
	}
	return k, errors.Join(err, tablesErr)
}

func program(dir, name string) File {
	return File{Path: "/usr/local/bin/" + name, Source: filepath.Join(dir, name)}
}
