package e2e

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
)

// testRebalance drains nodes until one has all addresses, and then asks for a rebalance.
func testRebalance(o *observation) {
	o.overlaps = true
	clients := o.connect(o.addresses[:1])
	nodes := o.Nodes()
	last := nodes[len(nodes)-1]
	for _, node := range nodes[:len(nodes)-1] {
		o.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"=")
	}
	o.awaitOwner(last, o.addresses...)
	for _, node := range nodes[:len(nodes)-1] {
		o.kubectl("annotate", "node", node.Name, v1alpha1.AnnotationDrain+"-")
		o.awaitReadyReason(node, v1alpha1.ReasonRunning)
	}
	o.awaitOwner(last, o.addresses...)

	o.spread()
	o.answeredThroughout(o.addresses)
	clients.lostNothing()
}

// testPreferredNodes has an L2Advertisement prefer a node.
func testPreferredNodes(o *observation) {
	o.overlaps = true
	o.spread()
	clients := o.connect(o.addresses[:1])
	preferred := o.Nodes()[1]
	o.applyYAML(fmt.Sprintf(`
apiVersion: clarionlb.io/v1alpha1
kind: L2Advertisement
metadata: {name: public}
spec:
  ipAddressPools: [public]
  preferredNodeSelectors:
  - {weight: 100, preference: {matchLabels: {kubernetes.io/hostname: %s}}}
`, preferred.Name))
	o.t.Cleanup(func() { o.Apply(context.Background(), samples+"l2advertisement.yaml") })

	// A new address goes to the preferred node, although it has as many as the others. The old ones
	// stay.
	o.loadBalancer("choosy", nil)
	choosy := o.awaitAddress("choosy")
	if owner := o.awaitSoleOwner(choosy); owner != preferred {
		o.t.Errorf("%s announces a new address, want %s", owner.Name, preferred.Name)
	}
	o.undisturbed(o.addresses)

	// When the node is drained the address moves. It does not come back by itself.
	o.kubectl("annotate", "node", preferred.Name, v1alpha1.AnnotationDrain+"=")
	o.awaitOtherOwner(choosy, preferred)
	o.kubectl("annotate", "node", preferred.Name, v1alpha1.AnnotationDrain+"-")
	o.awaitReadyReason(preferred, v1alpha1.ReasonRunning)
	if owner := o.awaitSoleOwner(choosy); owner == preferred {
		o.t.Errorf("%s has taken the address back unasked", owner.Name)
	}

	o.rebalanceUntil("everything to be on the preferred node", func(ctx context.Context) error {
		for _, address := range append([]netip.Addr{choosy}, o.addresses...) {
			if owner, err := o.Owner(ctx, address); err != nil || owner != preferred {
				return fmt.Errorf("%s is on %v (%v)", address, owner, err)
			}
		}
		return nil
	})
	o.delete("choosy")

	o.apply(samples + "l2advertisement.yaml")
	o.spread()
	o.answeredThroughout(o.addresses)
	clients.lostNothing()
}

// rebalance asks all announcers to hand over what they have more than their share, and waits until
// all have done so once. They act on what they know then: shortly after another change there may be
// more to do.
func (o *observation) rebalance() {
	o.t.Helper()
	value := fmt.Sprint(time.Now().UnixNano())
	o.kubectl("annotate", "announcer", "--all", "--overwrite", v1alpha1.AnnotationRebalance+"="+value)
	o.eventually("the announcers to act", func(ctx context.Context) error {
		list, err := o.Clarion.ClarionV1alpha1().Announcers().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		for _, announcer := range list.Items {
			if announcer.Status.Layer2.Rebalanced != value {
				return fmt.Errorf("%s has acted on %q", announcer.Name, announcer.Status.Layer2.Rebalanced)
			}
		}
		return nil
	})
}

// rebalanceUntil asks for a rebalance again and again until check returns nil, with time for
// addresses to move in between.
func (o *observation) rebalanceUntil(what string, check func(context.Context) error) {
	o.t.Helper()
	o.eventually(what, func(ctx context.Context) (err error) {
		o.rebalance()
		wait.PollUntilContextTimeout(ctx, 50*time.Millisecond, 3*time.Second, true, func(ctx context.Context) (bool, error) {
			err = check(ctx)
			return err == nil, nil
		})
		return err
	})
}

// spread asks for rebalances until addresses are spread evenly.
func (o *observation) spread() {
	o.t.Helper()
	o.rebalanceUntil("addresses to be spread evenly", o.unevenSpread)
}

// awaitOwner waits until a node owns addresses.
func (o *observation) awaitOwner(node *cluster.Node, addresses ...netip.Addr) {
	o.t.Helper()
	for _, address := range addresses {
		o.eventually(fmt.Sprintf("%s to be on %s", address, node.Name), func(ctx context.Context) error {
			owner, err := o.Owner(ctx, address)
			if err == nil && owner != node {
				err = fmt.Errorf("it is on %s", owner.Name)
			}
			return err
		})
	}
}

// unevenSpread returns an error unless all nodes have the addresses of equally many Services, give
// or take one.
func (o *observation) unevenSpread(ctx context.Context) error {
	list, err := o.Kubernetes().CoreV1().Services(metav1.NamespaceAll).List(ctx, metav1.ListOptions{})
	if err != nil {
		return err
	}
	services := map[string]map[string]bool{}
	for _, node := range o.Nodes() {
		services[node.Name] = map[string]bool{}
	}
	for _, service := range list.Items {
		for _, address := range addresses(&service) {
			owner, err := o.Owner(ctx, address)
			if err != nil {
				return err
			}
			services[owner.Name][service.Name] = true
		}
	}
	var counts []int
	for _, has := range services {
		counts = append(counts, len(has))
	}
	if slices.Max(counts)-slices.Min(counts) > 1 {
		return fmt.Errorf("Services on the nodes: %v", services)
	}
	return nil
}
