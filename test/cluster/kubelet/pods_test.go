package main_test

import (
	"testing"

	v1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
)

func TestNodesRunPods(t *testing.T) {
	c := cluster.New(t, cluster.Config{Nodes: 2, Families: []v1.IPFamily{v1.IPv4Protocol, v1.IPv6Protocol}})
	run := func(name string, test func(*suite)) {
		t.Run(name, func(t *testing.T) {
			s := &suite{T: t, Cluster: c, ctx: t.Context()}
			s.newNamespace()
			test(s)
		})
	}
	run("a new node awaits its cloud provider", testNewNode)
	s := &suite{T: t, Cluster: c, ctx: t.Context()}
	for _, node := range c.Nodes() {
		s.untaint(node.Name)
	}
	run("pods answer in every protocol and family, across nodes", testReachability)
	run("containers of known images run as their manifest says", testRealContainer)
	run("readiness follows the probe", testReadiness)
	run("a pod that others call not ready is called ready again", testMarkedByOthers)
	run("a container that fails its liveness probe starts again", testLiveness)
	run("an ended container starts again and is counted", testRestart)
	run("a pod that is done stays done", testCompletion)
	run("a container without what it refers to waits for it", testMissingReference)
	run("a terminating pod serves until it stops", testGracefulDeletion)
	run("a pod is killed when its grace period is over", testGracePeriod)
	run("a pod removed by force is killed", testForcedDeletion)
	run("a restarted kubelet starts its pods again", testKubeletRestart)
	run("pods die with their kubelet, and deleted ones are gone when it is back", testKubeletDeath)
	run("containers start again while the API server is away", testWithoutAPIServer)
	run("a restored etcd is told again how the pods are", testRestoredEtcd)
	run("and by a kubelet that paused meanwhile", testRestoredEtcdMeanwhile)
}
