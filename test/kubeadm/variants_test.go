package kubeadm

import (
	"context"
	"flag"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/frr"
)

// variants has the tests run that "make kubeadm" runs and "make test" does not, for their time.
var variants = flag.Bool("variants", false, "run clusters of other kinds, too")

func variant(t *testing.T, config cluster.Config, kubeadm string) *installation {
	t.Helper()
	if !*variants {
		t.Skip("it takes long: make kubeadm runs it")
	}
	i := boot(t, config)
	i.found(kubeadm)
	i.samples()
	i.answers(sampleAddress)
	return i
}

// changed is the guide's configuration with other words in it.
func changed(t *testing.T, pairs ...string) string {
	t.Helper()
	config := readDocument(t, guide).block(t, newCluster, "yaml")
	for n := 0; n < len(pairs); n += 2 {
		if strings.Count(config, pairs[n]) != 1 {
			t.Fatalf("the guide's configuration does not have %q once:\n%s", pairs[n], config)
		}
		config = strings.Replace(config, pairs[n], pairs[n+1], 1)
	}
	return config
}

func TestDualStack(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3, Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}}, changed(t,
		"value: 192.168.10.11}", "value: \"192.168.10.11,fd00:10::11\"}",
		"podSubnet: 10.244.0.0/16", "podSubnet: 10.244.0.0/16,fd00:244::/48\n  serviceSubnet: 10.96.0.0/16,fd00:96::/112",
	))
	const service = `apiVersion: clarionlb.io/v1alpha1
kind: IPAddressPool
metadata: {name: public}
spec: {addresses: [192.168.10.200-192.168.10.250, "fd00:10::200-fd00:10::250"]}
---
apiVersion: v1
kind: Service
metadata: {name: both}
spec:
  type: LoadBalancer
  ipFamilyPolicy: RequireDualStack
  selector: {app: myapp}
  ports: [{port: 80, targetPort: 8080}]
`
	if err := i.ApplyYAML(i.ctx, service); err != nil {
		t.Fatal(err)
	}
	var found []string
	i.eventually("addresses of both families", func(ctx context.Context) error {
		out, err := i.Kubectl(ctx, "get", "service", "both", "--output=jsonpath={.status.loadBalancer.ingress[*].ip}")
		if found = strings.Fields(out); err == nil && len(found) != 2 {
			err = fmt.Errorf("it has %q", found)
		}
		return err
	})
	for _, address := range found {
		i.answers(address)
	}
}

func TestIptables(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, changed(t, "mode: nftables ", "mode: iptables "))
	i.replaceAnnouncers()
}

// TestKubeadmsDefaults is a cluster whose kubelets expect no cloud provider.
func TestKubeadmsDefaults(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, "apiVersion: "+cluster.KubeadmVersion+"\nkind: ClusterConfiguration\nnetworking: {podSubnet: 10.244.0.0/16}\n")
	for _, node := range i.Nodes() {
		if out := i.run("kubectl get node " + node.Name + " --output=jsonpath={.spec.providerID}"); out != "" {
			t.Errorf("%s was left as it is by nobody: it has the provider ID %s", node.Name, out)
		}
	}
	i.rebootOwner()
}

func TestBGP(t *testing.T) {
	i := variant(t, cluster.Config{Nodes: 3}, changed(t))
	router, err := frr.Start(i.ctx, i.Router, filepath.Join(i.LogDir(), "router"))
	if err != nil {
		t.Fatal(err)
	}
	defer router.Close()
	i.run("kubectl apply -f manifests/samples/bgp.yaml -f manifests/samples/service-routed.yaml")
	address := netip.MustParseAddr(i.awaitAddress("myapp-routed"))
	i.eventually("the router to know the way", func(ctx context.Context) error {
		hops, err := router.Hops(ctx, netip.PrefixFrom(address, address.BitLen()))
		if err == nil && len(hops) != 2 {
			err = fmt.Errorf("it goes by %v, want both workers", hops)
		}
		return err
	})
	meter := i.measureFrom(i.FarClient, address.String())
	i.run("kubectl --namespace clarion-system rollout restart daemonset/announcer")
	i.run("kubectl --namespace clarion-system rollout status daemonset/announcer --timeout=120s")
	i.lostNothing(t, meter)
}
