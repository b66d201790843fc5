package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

const (
	samples    = "../../manifests/samples/"
	patience   = install.Patience
	ccm        = install.CCM
	lease      = install.CCM
	ccmProcess = install.CCMProcess
)

// deployment is a cluster with Clarion, for use in one test.
type deployment struct {
	*install.Installation
	t   *testing.T
	ctx context.Context
	// namespace is where Services are.
	namespace string
}

// deploy starts a cluster, applies the manifests and waits until all of Clarion is ready.
func deploy(t *testing.T, config cluster.Config) *deployment {
	t.Helper()
	return &deployment{Installation: install.New(t, config), t: t, ctx: t.Context(), namespace: metav1.NamespaceDefault}
}

func (d *deployment) apply(paths ...string) {
	d.t.Helper()
	if err := d.Apply(d.ctx, paths...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) applyYAML(text string) {
	d.t.Helper()
	if err := d.ApplyYAML(d.ctx, text); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) kubectl(args ...string) string {
	d.t.Helper()
	out, err := d.Kubectl(d.ctx, args...)
	if err != nil {
		d.t.Fatal(err)
	}
	return out
}

// eventually waits until check returns nil.
func (d *deployment) eventually(what string, check func(ctx context.Context) error) {
	d.t.Helper()
	install.Eventually(d.t, what, check)
}

// loadBalancer creates a Service of type LoadBalancer for the pods of the sample Deployment.
func (d *deployment) loadBalancer(name string, change func(*corev1.Service)) {
	d.t.Helper()
	service := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.ServiceSpec{
			Type:     corev1.ServiceTypeLoadBalancer,
			Selector: map[string]string{"app": "myapp"},
			Ports:    []corev1.ServicePort{{Port: 80}},
		},
	}
	service.Spec.Ports[0].TargetPort.IntVal = 8080
	if change != nil {
		change(service)
	}
	if _, err := d.Kubernetes().CoreV1().Services(d.namespace).Create(d.ctx, service, metav1.CreateOptions{}); err != nil {
		d.t.Fatal(err)
	}
}

func (d *deployment) service(name string) *corev1.Service {
	d.t.Helper()
	service, err := d.Kubernetes().CoreV1().Services(d.namespace).Get(d.ctx, name, metav1.GetOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return service
}

// update changes a Service as a user with kubectl edit does.
func (d *deployment) update(name string, change func(*corev1.Service)) {
	d.t.Helper()
	d.eventually("an update of Service "+name, func(ctx context.Context) error {
		service := d.service(name)
		change(service)
		_, err := d.Kubernetes().CoreV1().Services(service.Namespace).Update(ctx, service, metav1.UpdateOptions{})
		if err != nil && !apierrors.IsConflict(err) {
			d.t.Fatal(err)
		}
		return err
	})
}

// delete deletes a Service and waits until it is gone.
func (d *deployment) delete(names ...string) {
	d.t.Helper()
	d.kubectl(append([]string{"delete", "service", "--namespace=" + d.namespace, "--timeout=60s"}, names...)...)
}

// addresses returns the addresses in the status of a Service.
func addresses(service *corev1.Service) []netip.Addr {
	var all []netip.Addr
	for _, ingress := range service.Status.LoadBalancer.Ingress {
		all = append(all, netip.MustParseAddr(ingress.IP))
	}
	return all
}

// awaitAddress waits until a Service has an address and returns it.
func (d *deployment) awaitAddress(name string) netip.Addr {
	d.t.Helper()
	var address netip.Addr
	d.eventually("Service "+name+" to have an address", func(context.Context) error {
		service := d.service(name)
		if got := addresses(service); len(got) == 1 {
			address = got[0]
			return nil
		}
		return fmt.Errorf("status %v", service.Status)
	})
	return address
}

// awaitReason waits until the AddressAssigned condition of a Service has a reason and returns the condition.
func (d *deployment) awaitReason(name, reason string) metav1.Condition {
	d.t.Helper()
	var condition *metav1.Condition
	d.eventually(fmt.Sprintf("Service %s to say %s", name, reason), func(context.Context) error {
		condition = meta.FindStatusCondition(d.service(name).Status.Conditions, v1alpha1.ConditionAddressAssigned)
		if condition == nil || condition.Reason != reason {
			return fmt.Errorf("condition %v", condition)
		}
		return nil
	})
	return *condition
}

// awaitAnswer waits until a client outside of the cluster gets an answer at an address.
func (d *deployment) awaitAnswer(address netip.Addr) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("an answer at %s", address), func(ctx context.Context) error {
		_, err := curl(ctx, d.Client, address)
		return err
	})
}

func curl(ctx context.Context, host *network.Host, address netip.Addr) (string, error) {
	return host.Run(ctx, "curl", "--silent", "--show-error", "--fail", "--max-time", "2", "http://"+netip.AddrPortFrom(address, 80).String())
}

// awaitSoleOwner waits until exactly one node answers ARP requests for an address, the one that claims it.
func (d *deployment) awaitSoleOwner(address netip.Addr) *cluster.Node {
	d.t.Helper()
	var owner *cluster.Node
	d.eventually(fmt.Sprintf("one node, the owner, to answer for %s", address), func(ctx context.Context) (err error) {
		if owner, err = d.Owner(ctx, address); err != nil {
			return err
		}
		answered, err := d.whoAnswers(ctx, address)
		if err != nil {
			return err
		}
		if !slices.Equal(answered, []string{owner.Name}) {
			return fmt.Errorf("%s owns it and %v answer", owner.Name, answered)
		}
		return nil
	})
	return owner
}

// whoAnswers has the client ask for an address by ARP, several times over, so that the answer of a second node is seen
// also if it comes late, and returns the nodes that answered.
func (d *deployment) whoAnswers(ctx context.Context, address netip.Addr) ([]string, error) {
	sniffer, err := d.Client.Sniff(ctx, "eth0", "arp")
	if err != nil {
		return nil, err
	}
	defer sniffer.Stop()
	for range 10 {
		if _, err := d.Client.Run(ctx, "ip", "neigh", "flush", "to", address.String(), "dev", "eth0"); err != nil {
			return nil, err
		}
		asked := time.Now()
		conn, err := d.Client.DialContext(ctx, "udp", netip.AddrPortFrom(address, 9).String()) // discard: any packet makes the kernel ask
		if err != nil {
			return nil, err
		}
		_, err = conn.Write([]byte{0})
		conn.Close()
		if err != nil {
			return nil, err
		}
		answered, cancel := context.WithTimeout(ctx, time.Second)
		_, err = sniffer.Await(answered, func(frame network.Frame) bool { return isARPReply(frame, address) && frame.Time.After(asked) })
		cancel()
		if err != nil {
			return nil, fmt.Errorf("nobody answers for %s: %w", address, err)
		}
	}
	var names []string
	for _, node := range d.Nodes() {
		answers := func(frame network.Frame) bool {
			return isARPReply(frame, address) && bytes.Equal(frame.Data[6:12], node.MAC("eth0"))
		}
		if slices.ContainsFunc(sniffer.Frames(), answers) {
			names = append(names, node.Name)
		}
	}
	return names, nil
}

// isARPReply tells whether a frame is an ARP reply (RFC 826) that speaks for an IPv4 address.
func isARPReply(frame network.Frame, address netip.Addr) bool {
	const arp, reply = 0x0806, 2
	data := frame.Data
	return len(data) >= 42 && !frame.Outgoing &&
		int(data[12])<<8|int(data[13]) == arp && int(data[20])<<8|int(data[21]) == reply &&
		bytes.Equal(data[28:32], address.AsSlice())
}

// leader returns the node on which the cloud-controller-manager that leads runs, by the host name in its lease.
func (d *deployment) leader(ctx context.Context) (*cluster.Node, error) {
	holder, err := d.leaseHolder(ctx)
	if err != nil {
		return nil, err
	}
	for _, node := range d.Nodes() {
		if strings.HasPrefix(holder, node.Name+"_") {
			return node, nil
		}
	}
	return nil, fmt.Errorf("nobody leads: the lease is held by %q", holder)
}

func (d *deployment) leaseHolder(ctx context.Context) (string, error) {
	l, err := d.Kubernetes().CoordinationV1().Leases(metav1.NamespaceSystem).Get(ctx, lease, metav1.GetOptions{})
	if err != nil {
		return "", err
	}
	if l.Spec.HolderIdentity == nil {
		return "", errors.New("the lease has no holder")
	}
	return *l.Spec.HolderIdentity, nil
}
