package cluster

import (
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Config says what a cluster is like. The zero value is a cluster of two nodes with IPv4.
type Config struct {
	// Name names the cluster and is the prefix of its namespaces: lower case letters and digits, at
	// most 12. Two clusters cannot have the same. The default is "clarion".
	Name string `json:"name"`
	// Kubeadm makes the nodes real ones, on which kubeadm is to be run: see [Cluster.Init].
	Kubeadm bool `json:"kubeadm,omitempty"`
	// Nodes is the number of nodes, n1, n2 and so on, at most 80; default 2. Those of a kubeadm
	// cluster include the one of the control plane, n1.
	Nodes int `json:"nodes"`
	// Families are the IP families of Pods and Services, the primary one first; default IPv4. The
	// LANs always have both.
	Families []corev1.IPFamily `json:"families"`
	// ProxyMode is the mode of kube-proxy, "nftables" (default) or "iptables".
	ProxyMode string `json:"proxyMode"`
	// Flags are additional flags for components, by their names, such as
	// {"kube-controller-manager": {"--node-monitor-grace-period=10s"}}.
	Flags map[string][]string `json:"flags,omitempty"`
	// Images are further images that containers run for real, each a folder with its files by the
	// repository. The product's own is there anyway.
	Images map[string]string `json:"images,omitempty"`
	// Audited are the names of users of whom the API server logs every request: see Cluster.Audit.
	Audited []string `json:"audited,omitempty"`
	// LogDir is the folder for the logs of all components and containers. It is emptied at the
	// start. The default is a folder named after the cluster in $TMPDIR.
	LogDir string `json:"logDir"`
	// Detached makes the cluster outlive the process that starts it.
	Detached bool `json:"detached"`
	// Progress is told what happens, one line each; default nobody.
	Progress io.Writer `json:"-"`
}

var validName = regexp.MustCompile(`^[a-z][a-z0-9]{0,11}$`)

// complete fills in the defaults and refuses what cannot be built.
func (c Config) complete() (Config, error) {
	if c.Name == "" {
		c.Name = "clarion"
	}
	if c.Nodes == 0 {
		c.Nodes = 2
	}
	if len(c.Families) == 0 {
		c.Families = []corev1.IPFamily{corev1.IPv4Protocol}
	}
	if c.ProxyMode == "" {
		c.ProxyMode = "nftables"
	}
	if c.LogDir == "" {
		c.LogDir = defaultLogDir(c.Name)
	}
	if c.Progress == nil {
		c.Progress = io.Discard
	}
	switch {
	case !validName.MatchString(c.Name):
		return c, fmt.Errorf("cluster name %q: use up to 12 lower case letters and digits, a letter first", c.Name)
	case c.Nodes < 1 || c.Nodes > maxNodes:
		return c, fmt.Errorf("%d nodes: choose 1 to %d", c.Nodes, maxNodes)
	case c.ProxyMode != "nftables" && c.ProxyMode != "iptables":
		return c, fmt.Errorf("kube-proxy mode %q: choose nftables or iptables", c.ProxyMode)
	case len(c.Families) > 2 || len(c.Families) == 2 && c.Families[0] == c.Families[1]:
		return c, fmt.Errorf("IP families %v: choose one or both", c.Families)
	case c.Kubeadm && len(c.Flags) > 0:
		return c, errors.New("the flags of a kubeadm cluster belong into the configuration of kubeadm")
	case os.Geteuid() != 0:
		return c, fmt.Errorf("network namespaces need root")
	}
	for _, family := range c.Families {
		if family != corev1.IPv4Protocol && family != corev1.IPv6Protocol {
			return c, fmt.Errorf("IP family %q: choose %s or %s", family, corev1.IPv4Protocol, corev1.IPv6Protocol)
		}
	}
	for component := range c.Flags {
		if !slices.Contains([]string{"kube-apiserver", "kube-controller-manager", "kube-scheduler", "kube-proxy"}, component) {
			return c, fmt.Errorf("flags for %q, which is no component", component)
		}
	}
	return c, nil
}
