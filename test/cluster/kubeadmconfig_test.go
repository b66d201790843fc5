package cluster

import (
	"net/netip"
	"strings"
	"testing"
)

func TestAConfigurationIsCompletedAndNotChanged(t *testing.T) {
	config := `apiVersion: kubeadm.k8s.io/v1beta4
kind: InitConfiguration
nodeRegistration:
  kubeletExtraArgs:
  - {name: node-ip, value: 192.168.10.11} # a comment
---
apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
mode: nftables
`
	got, err := InitConfig(config, "v1.2.3", netip.MustParseAddr("192.168.10.11"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"name: node-ip", "imagePullPolicy: Never", "advertiseAddress: 192.168.10.11", "mode: nftables", "maxPerCore: 0",
		"kind: ClusterConfiguration", "kubernetesVersion: v1.2.3", "kind: KubeletConfiguration",
	} {
		if strings.Count(got, want) != 1 {
			t.Errorf("want %q once in\n%s", want, got)
		}
	}
}

func TestAConfigurationThatATestClusterCannotHaveIsRefused(t *testing.T) {
	for _, test := range []struct{ config, reason string }{
		{"kind: KubeletConfiguration\ncgroupDriver: systemd\n", "cgroupDriver"},
		{"kind: JoinConfiguration\nnodeRegistration: {imagePullPolicy: Always}\n", "imagePullPolicy"},
		{"kind: KubeProxyConfiguration\nconntrack: {maxPerCore: 32768}\n", "maxPerCore"},
		{"kind: [\n", "yaml"},
	} {
		_, err := InitConfig(test.config, "v1.2.3", netip.MustParseAddr("192.168.10.11"))
		_, joinErr := JoinConfig(test.config)
		if strings.Contains(test.config, "JoinConfiguration") {
			err = joinErr
		}
		if err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%q: %v, want something about %s", test.config, err, test.reason)
		}
	}
}
