package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/install"
)

// many are Services with so many addresses that a node which has them records changes in ClaimSlices.
type many struct {
	*deployment
	// services are their names, by address.
	services map[string]string
}

// manyPool is the pool of their addresses, which nobody else gets.
const manyPool = `
apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: many}
spec: {addresses: [192.168.10.120-192.168.10.199], autoAssign: false}
`

// newMany makes Services, many at once, and waits until their addresses are claimed.
func (d *deployment) newMany() *many {
	d.t.Helper()
	m := &many{d, map[string]string{}}
	var names []string
	for i := range 50 {
		names = append(names, fmt.Sprintf("many-%d", i))
	}
	m.add(names...)
	return m
}

// add makes Services at once, and waits until their addresses are claimed.
func (m *many) add(names ...string) {
	m.t.Helper()
	for _, name := range names {
		m.loadBalancer(name, annotate("clarionlb.io/address-pool", "many"))
	}
	for _, name := range names {
		address := m.awaitAddress(name)
		m.eventually(address.String()+" to be claimed", func(ctx context.Context) error {
			_, err := m.Owner(ctx, address)
			return err
		})
		m.services[address.String()] = name
	}
}

// record makes one Service after the other until a node, the only one that may announce them, has recorded a change in a ClaimSlice.
func (m *many) record(node *cluster.Node) {
	m.t.Helper()
	for len(m.since(node)) == 0 {
		m.add(fmt.Sprintf("many-%d", len(m.services)))
	}
}

// unmoved returns a check that each address has the claim that it has now.
func (m *many) unmoved() (check func()) {
	m.t.Helper()
	claims := func() map[string]install.Claim {
		m.t.Helper()
		all, err := m.Claims(m.ctx)
		if err != nil {
			m.t.Fatal(err)
		}
		return all
	}
	before := claims()
	return func() {
		m.t.Helper()
		now := claims()
		for address := range m.services {
			if now[address] != before[address] {
				m.t.Errorf("%s: the claim of %v with epoch %d holds, it was that of %v with epoch %d", address,
					now[address].Node, now[address].Epoch, before[address].Node, before[address].Epoch)
			}
		}
	}
}

// in returns many for use in a subtest.
func (m *many) in(t *testing.T) *many { return &many{m.deployment.in(t), m.services} }

// run returns a subtest.
func (m *many) run(test func(*many)) func(*testing.T) { return func(t *testing.T) { test(m.in(t)) } }

// since returns the ClaimSlices of a node that say what is not in the list of its Announcer.
func (m *many) since(node *cluster.Node) (since []v1alpha1.ClaimSlice) {
	m.t.Helper()
	announcer, err := m.Clarion.ClarionV1alpha1().Announcers().Get(m.ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		m.t.Fatal(err)
	}
	list, err := m.Clarion.ClarionV1alpha1().ClaimSlices().List(m.ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelAnnouncer + "=" + node.Name})
	if err != nil {
		m.t.Fatal(err)
	}
	return slices.DeleteFunc(list.Items, func(s v1alpha1.ClaimSlice) bool { return s.Revision != announcer.Status.Layer2.Revision })
}

// testManyMoved waits until every one of many addresses is claimed by another node than the one that had them.
func testManyMoved(from *cluster.Node) func(*many) {
	return func(m *many) {
		m.eventually("many addresses to move", func(ctx context.Context) error {
			claims, err := m.Claims(ctx)
			for address := range m.services {
				if claim := claims[address]; claim.Node == nil || claim.Node == from {
					err = errors.Join(err, fmt.Errorf("%s has not", address))
				}
			}
			return err
		})
	}
}

// testManyStay tampers with ClaimSlices and starts everything anew. Meanwhile nothing moves.
func testManyStay(m *many) {
	before, err := m.Claims(m.ctx)
	if err != nil {
		m.t.Fatal(err)
	}
	check := m.unmoved()
	carried := map[*cluster.Node][]string{}
	for _, address := range slices.Sorted(maps.Keys(m.services)) {
		node := before[address].Node
		carried[node] = append(carried[node], address)
	}
	var watched []netip.Addr
	var node *cluster.Node
	for n, addresses := range carried {
		last := addresses[len(addresses)-3:]
		for _, address := range last {
			watched = append(watched, netip.MustParseAddr(address))
		}
		if node == nil || len(addresses) > len(carried[node]) {
			node = n
		}
	}
	watch := m.watch(watched...)
	for _, address := range watched {
		m.awaitSoleOwnerSeenBy(watch, address)
	}
	// What a node has released is in a ClaimSlice, too, as long as it has many.
	for len(m.since(node)) == 0 {
		address := carried[node][0]
		carried[node] = carried[node][1:]
		m.delete(m.services[address])
		delete(m.services, address)
		m.eventually(address+" to be released", func(ctx context.Context) error {
			_, err := m.Owner(ctx, netip.MustParseAddr(address))
			if err == nil {
				return errors.New("it is not")
			}
			return nil
		})
	}

	slice := m.since(node)[0].Name
	if out, err := m.Kubectl(m.ctx, "patch", "claimslice", slice, "--type=merge", `--patch={"announcer": "another"}`); err == nil {
		m.t.Errorf("a ClaimSlice has become one of another Announcer: %s", out)
	}
	m.kubectl("patch", "claimslice", slice, "--type=merge", `--patch={"revision": 9007199254740992}`)
	m.kubectl("delete", "claimslices", "--all")
	m.restartAnnouncers()
	m.restartCCM()
	m.awaitAllAlive()
	for _, address := range watched {
		m.awaitSoleOwnerSeenBy(watch, address)
	}
	check()
	if err := watch.Stop(); err != nil {
		m.t.Fatal(err)
	}
	for _, address := range watched {
		if answers := watch.Answers(address); answers.Moves() != 0 || answers.MostAtOnce() > 1 {
			m.t.Errorf("%s was disturbed: %s", address, m.named(answers.String()))
		}
	}
}
