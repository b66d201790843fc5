package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
	"github.com/clarionlb/clarion/test/install"
)

// restartAnnouncers replaces all announcers as an upgrade does, and waits until the new ones are ready.
func (d *deployment) restartAnnouncers() {
	d.t.Helper()
	d.kubectl("rollout", "restart", "--namespace=clarion-system", "daemonset/announcer")
	d.awaitAnnouncers()
}

// awaitAnnouncers waits until there is an announcer on every node and all of them are ready.
func (d *deployment) awaitAnnouncers() {
	d.t.Helper()
	d.kubectl("rollout", "status", "--namespace=clarion-system", "daemonset/announcer", "--timeout=120s")
}

// killAnnouncer kills the announcer of a node, which gets no chance to tell others. The kubelet
// starts another one.
func (d *deployment) killAnnouncer(node *cluster.Node) (killed *network.Process) {
	d.t.Helper()
	announcer, err := node.Process("announcer")
	if err != nil {
		d.t.Fatal(err)
	}
	if err := announcer.Kill(); err != nil {
		d.t.Fatal(err)
	}
	return announcer
}

// withAnnouncerDown runs checks while the announcer of a node is killed as often as the kubelet starts
// it, before it can take part.
func (d *deployment) withAnnouncerDown(node *cluster.Node, checks func()) {
	d.t.Helper()
	ctx, cancel := context.WithCancel(d.ctx)
	var killer sync.WaitGroup
	killer.Go(func() {
		for ctx.Err() == nil {
			if announcer, err := node.Process("announcer"); err == nil {
				_ = announcer.Kill() // it may just have gone
			}
			select {
			case <-ctx.Done():
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	defer killer.Wait()
	defer cancel()
	checks()
}

// awaitAnnouncerMetrics waits until an announcer's metrics have all these lines.
func (d *deployment) awaitAnnouncerMetrics(node *cluster.Node, lines ...string) {
	d.t.Helper()
	d.eventually("the metrics of the announcer on "+node.Name, func(ctx context.Context) error {
		metrics, err := node.Run(ctx, "curl", "--silent", "--show-error", "http://127.0.0.1:7948/metrics")
		if err != nil {
			return err
		}
		for _, line := range lines {
			if !strings.Contains(metrics, "\n"+line+"\n") {
				return fmt.Errorf("there is no line %q in\n%s", line, metrics)
			}
		}
		return nil
	})
}

// awaitReadyReason waits until the Announcer of a node is ready, for this reason.
func (d *deployment) awaitReadyReason(node *cluster.Node, reason string) {
	d.t.Helper()
	d.awaitAnnouncerCondition(node, v1alpha1.ConditionReady, func(c metav1.Condition) bool {
		return c.Status == metav1.ConditionTrue && c.Reason == reason
	})
}

// awaitAnnouncerCondition waits until a condition of a node's Announcer matches.
func (d *deployment) awaitAnnouncerCondition(node *cluster.Node, kind string, match func(metav1.Condition) bool) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("condition %s of Announcer %s", kind, node.Name), func(ctx context.Context) error {
		announcer, err := d.Clarion.ClarionV1alpha1().Announcers().Get(ctx, node.Name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		condition := meta.FindStatusCondition(announcer.Status.Conditions, kind)
		if condition == nil || !match(*condition) {
			return fmt.Errorf("it is %v", condition)
		}
		return nil
	})
}

// awaitAlive waits until the announcers of these nodes each count that many announcers as alive.
func (d *deployment) awaitAlive(count int, nodes ...*cluster.Node) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("%d announcers to be alive", count), func(ctx context.Context) error {
		for _, node := range nodes {
			if alive, err := install.MembersAlive(ctx, node); err != nil || alive != count {
				return fmt.Errorf("%s sees %d (%v)", node.Name, alive, err)
			}
		}
		return nil
	})
}

// awaitAllAlive waits until the announcers of all nodes count all announcers as alive.
func (d *deployment) awaitAllAlive() {
	d.t.Helper()
	d.awaitAlive(len(d.Nodes()), d.Nodes()...)
}

// awaitAnnouncerEvent waits until a node's Announcer has an event whose message begins with a text.
func (d *deployment) awaitAnnouncerEvent(node, reason, text string) {
	d.t.Helper()
	d.eventually(fmt.Sprintf("an event of Announcer %s with the reason %s", node, reason), func(ctx context.Context) error {
		events, err := d.Kubernetes().CoreV1().Events(metav1.NamespaceAll).List(ctx, metav1.ListOptions{
			FieldSelector: "involvedObject.kind=Announcer,involvedObject.name=" + node + ",reason=" + reason,
		})
		if err != nil {
			return err
		}
		for _, event := range events.Items {
			if strings.HasPrefix(event.Message, text) {
				return nil
			}
		}
		return fmt.Errorf("there are %+v", events.Items)
	})
}
