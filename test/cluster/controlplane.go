package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// writeCredentials makes the certificates, keys and kubeconfigs of a new cluster.
func (c *Cluster) writeCredentials() error {
	dir := c.pki("")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	ca, err := newAuthority(dir, "ca")
	if err != nil {
		return err
	}
	frontProxy, err := newAuthority(dir, "front-proxy-ca")
	if err != nil {
		return err
	}
	if err := frontProxy.writeClient(dir, "front-proxy-client", "front-proxy-client"); err != nil {
		return err
	}
	names := []string{"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc.cluster.local", "localhost"}
	ips := []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
	for _, prefix := range lanAddresses(ManagementLAN, controlNumber) {
		ips = append(ips, prefix.Addr())
	}
	if err := ca.writeServer(dir, "apiserver", names, append(ips, c.topology.apiServiceIPs()...)); err != nil {
		return err
	}
	if err := writeKeyPair(dir, "serviceaccount"); err != nil {
		return err
	}
	type user struct{ file, name, group string }
	users := []user{
		{"admin", "admin", "system:masters"},
		{"kube-controller-manager", "system:kube-controller-manager", ""},
		{"kube-scheduler", "system:kube-scheduler", ""},
		{"kube-proxy", "system:kube-proxy", ""},
	}
	for _, node := range c.nodes {
		users = append(users, user{node.Name, "system:node:" + node.Name, "system:nodes"})
	}
	for _, user := range users {
		var groups []string
		if user.group != "" {
			groups = []string{user.group}
		}
		if err := c.writeKubeconfig(ca, user.file, user.name, groups...); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) pki(file string) string {
	return filepath.Join(runDir(c.config.Name), "pki", file)
}

// startAPI starts etcd and the API server, and returns when the API is ready.
func (c *Cluster) startAPI(ctx context.Context) error {
	etcd, err := c.startComponent(c.Control, "etcd",
		"--name=control",
		"--data-dir="+c.etcdDir(),
		"--listen-client-urls=http://127.0.0.1:2379",
		"--advertise-client-urls=http://127.0.0.1:2379",
		"--listen-peer-urls=http://127.0.0.1:2380",
		"--initial-advertise-peer-urls=http://127.0.0.1:2380",
		"--initial-cluster=control=http://127.0.0.1:2380",
		"--unsafe-no-fsync",
		"--log-level=warn",
	)
	if err != nil {
		return err
	}
	audit, err := c.auditFlags()
	if err != nil {
		return err
	}
	listen := c.topology.apiAddress()
	apiserver, err := c.startComponent(c.Control, "kube-apiserver", append(audit,
		"--etcd-servers=http://127.0.0.1:2379",
		"--advertise-address="+listen.Addr().String(),
		fmt.Sprintf("--secure-port=%d", listen.Port()),
		"--service-cluster-ip-range="+join(c.topology.serviceCIDRs()),
		"--authorization-mode=Node,RBAC",
		"--enable-admission-plugins=NodeRestriction",
		"--allow-privileged=true",
		"--client-ca-file="+c.pki("ca.crt"),
		"--tls-cert-file="+c.pki("apiserver.crt"),
		"--tls-private-key-file="+c.pki("apiserver.key"),
		"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
		"--service-account-key-file="+c.pki("serviceaccount.pub"),
		"--service-account-signing-key-file="+c.pki("serviceaccount.key"),
		"--requestheader-client-ca-file="+c.pki("front-proxy-ca.crt"),
		"--requestheader-allowed-names=front-proxy-client",
		"--requestheader-extra-headers-prefix=X-Remote-Extra-",
		"--requestheader-group-headers=X-Remote-Group",
		"--requestheader-username-headers=X-Remote-User",
		"--proxy-client-cert-file="+c.pki("front-proxy-client.crt"),
		"--proxy-client-key-file="+c.pki("front-proxy-client.key"),
	)...)
	if err != nil {
		return err
	}
	return await(ctx, "the API to be ready", func(ctx context.Context) error {
		_, err := c.client.Discovery().RESTClient().Get().AbsPath("/readyz").DoRaw(ctx)
		return err
	}, etcd, apiserver)
}

// startControllers starts the scheduler and the controllers, and returns when they have begun to work.
func (c *Cluster) startControllers(ctx context.Context) error {
	manager, err := c.startComponent(c.Control, "kube-controller-manager",
		"--kubeconfig="+c.kubeconfig("kube-controller-manager"),
		"--authentication-kubeconfig="+c.kubeconfig("kube-controller-manager"),
		"--authorization-kubeconfig="+c.kubeconfig("kube-controller-manager"),
		"--cloud-provider=external",
		"--cluster-name="+c.config.Name,
		"--cluster-cidr="+join(c.topology.clusterCIDRs()),
		"--service-cluster-ip-range="+join(c.topology.serviceCIDRs()),
		"--allocate-node-cidrs=false", // nodes bring their own, which the routes between them are made for
		"--use-service-account-credentials",
		"--service-account-private-key-file="+c.pki("serviceaccount.key"),
		"--root-ca-file="+c.pki("ca.crt"),
		"--cluster-signing-cert-file="+c.pki("ca.crt"),
		"--cluster-signing-key-file="+c.pki("ca.key"),
		"--requestheader-client-ca-file="+c.pki("front-proxy-ca.crt"),
		"--leader-elect=false",
		// By default it spends most of its start waiting for its own rate limit: every controller
		// gets credentials first.
		"--kube-api-qps=1000",
		"--kube-api-burst=1000",
	)
	if err != nil {
		return err
	}
	scheduler, err := c.startComponent(c.Control, "kube-scheduler",
		"--kubeconfig="+c.kubeconfig("kube-scheduler"),
		"--authentication-kubeconfig="+c.kubeconfig("kube-scheduler"),
		"--authorization-kubeconfig="+c.kubeconfig("kube-scheduler"),
		"--leader-elect=false",
	)
	if err != nil {
		return err
	}
	return await(ctx, "the controllers to work", func(ctx context.Context) error {
		// No pod can be created in a namespace before this is there.
		_, err := c.client.CoreV1().ServiceAccounts(metav1.NamespaceDefault).Get(ctx, "default", metav1.GetOptions{})
		return err
	}, manager, scheduler)
}

// startComponent starts one of Kubernetes' components on a host, with the flags from the
// configuration after its own.
func (c *Cluster) startComponent(host *network.Host, name string, flags ...string) (*network.Process, error) {
	log := filepath.Join(c.config.LogDir, host.Name, name+".log")
	command := append([]string{filepath.Join(c.kubernetesDir, name)}, flags...)
	return host.Start(log, append(command, c.config.Flags[name]...)...)
}

// await polls until a condition holds. It fails at once when a process ends that the condition
// depends on.
func await(ctx context.Context, what string, condition func(context.Context) error, processes ...*network.Process) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		attempt, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := condition(attempt)
		cancel()
		if err == nil {
			return nil
		}
		for _, p := range processes {
			select {
			case <-p.Done():
				return fmt.Errorf("wait for %s: %s ended:\n%s", what, p.Name, tail(p.Log, 10))
			default:
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, context.Cause(ctx), err)
		case <-tick.C:
		}
	}
}
