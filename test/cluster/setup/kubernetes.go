package setup

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const kubernetesRelease = "k8s.io/kubernetes"

// minorVariable asks for a Kubernetes other than the usual one, such as "1.36".
const minorVariable = "KUBERNETES"

// kubernetesModule is the folder of the module that names the versions of the components.
func kubernetesModule(root string) (string, error) {
	dir := filepath.Join(root, "test", "cluster", "binaries")
	if minor := os.Getenv(minorVariable); minor != "" {
		dir += "-" + minor
	}
	if !exists(dir) {
		return "", fmt.Errorf("%s=%s: there is no %s", minorVariable, os.Getenv(minorVariable), dir)
	}
	return dir, nil
}

var (
	kubernetes = collection{name: "kubernetes", release: kubernetesRelease, programs: []program{
		{"etcd", "go.etcd.io/etcd/server/v3"},
		{"kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"},
		{"kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"},
		{"kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"},
		{"kube-proxy", "k8s.io/kubernetes/cmd/kube-proxy"},
		{"kubectl", "k8s.io/kubernetes/cmd/kubectl"},
	}}
	kubeadm = collection{name: "kubeadm", release: kubernetesRelease, programs: []program{
		{"kubelet", "k8s.io/kubernetes/cmd/kubelet"},
		{"kubeadm", "k8s.io/kubernetes/cmd/kubeadm"},
		{"agnhost", "k8s.io/kubernetes/test/images/agnhost"},
	}}
	containerd = collection{name: "containerd", module: "containerd", release: "github.com/containerd/containerd/v2", programs: []program{
		{"containerd", "github.com/containerd/containerd/v2/cmd/containerd"},
		{"containerd-shim-runc-v2", "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"},
		{"ctr", "github.com/containerd/containerd/v2/cmd/ctr"},
	}}
	cni = collection{name: "cni", module: "cni", release: "github.com/containernetworking/plugins", programs: []program{
		{"bridge", "github.com/containernetworking/plugins/plugins/main/bridge"},
		{"host-local", "github.com/containernetworking/plugins/plugins/ipam/host-local"},
		{"portmap", "github.com/containernetworking/plugins/plugins/meta/portmap"},
	}}
	coreDNS = collection{name: "coredns", module: "coredns", release: "github.com/coredns/coredns", programs: []program{
		{"coredns", "."},
	}}
	conformance = collection{name: "conformance", module: "conformance", release: kubernetesRelease, programs: []program{
		{"conformance", "."},
	}}
)

// Kubernetes returns the folder with etcd, kube-apiserver, kube-controller-manager, kube-scheduler,
// kube-proxy and kubectl in the versions that test/cluster/binaries/go.mod names or, if the variable
// KUBERNETES has a minor version, the folder binaries of that version.
func Kubernetes(ctx context.Context, progress io.Writer) (string, error) {
	return kubernetes.dir(ctx, progress)
}

// Version returns the version of the programs in a folder that this package has returned.
func Version(dir string) string { return strings.Split(filepath.Base(dir), "-")[0] }

// NodePrograms are folders with what a node of a kubeadm cluster needs besides [Kubernetes], in the
// versions that the modules in test/cluster/binaries name.
type NodePrograms struct {
	// Kubeadm has kubelet and kubeadm, and agnhost, which the samples run.
	Kubeadm string
	// Containerd has containerd, its shim and ctr.
	Containerd string
	// CNI has the plugins bridge, host-local and portmap.
	CNI string
	// CoreDNS has coredns.
	CoreDNS string
}

// Node returns what a node of a kubeadm cluster runs.
func Node(ctx context.Context, progress io.Writer) (NodePrograms, error) {
	var p NodePrograms
	for _, part := range []struct {
		dir *string
		collection
	}{{&p.Kubeadm, kubeadm}, {&p.Containerd, containerd}, {&p.CNI, cni}, {&p.CoreDNS, coreDNS}} {
		dir, err := part.collection.dir(ctx, progress)
		if err != nil {
			return p, err
		}
		*part.dir = dir
	}
	return p, nil
}

// Conformance returns the path of Kubernetes' own tests of load balancers, which test/cluster/binaries/conformance describes.
func Conformance(ctx context.Context, progress io.Writer) (string, error) {
	dir, err := conformance.dir(ctx, progress)
	return filepath.Join(dir, "conformance"), err
}

// versionFlags stamp what the components report as their version, as the Kubernetes release does.
func versionFlags(version string) string {
	flags := []string{"-s", "-w"}
	for _, variable := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		flags = append(flags, "-X", variable+".gitVersion="+version, "-X", variable+".gitTreeState=clean")
	}
	return strings.Join(flags, " ")
}
