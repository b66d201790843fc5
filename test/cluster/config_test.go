package cluster

import (
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestConfigDefaults(t *testing.T) {
	c, err := Config{}.complete()
	if err != nil {
		t.Fatal(err)
	}
	if c.Name != "clarion" || c.Nodes != 2 || fmt.Sprint(c.Families) != "[IPv4]" || c.ProxyMode != "nftables" || c.LogDir == "" || c.Progress == nil {
		t.Errorf("%+v", c)
	}
}

func TestConfigRefuses(t *testing.T) {
	tests := []struct {
		config Config
		reason string
	}{
		{Config{Name: "a-b"}, "a-b"},
		{Config{Name: "morethantwelve"}, "morethantwelve"},
		{Config{Nodes: -1}, "nodes"},
		{Config{Nodes: 81}, "nodes"},
		{Config{ProxyMode: "ipvs"}, "ipvs"},
		{Config{Families: []corev1.IPFamily{"IPv5"}}, "IPv5"},
		{Config{Families: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv4Protocol}}, "IPv4"},
		{Config{Flags: map[string][]string{"etcd3": nil}}, "etcd3"},
		{Config{Kubeadm: true, Flags: map[string][]string{"kube-proxy": nil}}, "kubeadm"},
	}
	for _, test := range tests {
		if _, err := test.config.complete(); err == nil || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%+v: %v, want something about %q", test.config, err, test.reason)
		}
	}
}

func TestTopologyFollowsTheOrderOfFamilies(t *testing.T) {
	v6first := topology{families: []corev1.IPFamily{corev1.IPv6Protocol, corev1.IPv4Protocol}, nodes: 2}
	for _, test := range []struct{ got, want string }{
		{v6first.apiURL(), "https://[fd00:30::1]:6443"},
		{join(v6first.serviceCIDRs()), "fd00:96::/112,10.96.0.0/16"},
		{join(v6first.podCIDRs(2)), "fd00:244:2::/64,10.244.2.0/24"},
		{join(v6first.nodeIPs(2)), "fd00:10::12,192.168.10.12"},
		{join(v6first.apiServiceIPs()), "fd00:96::1,10.96.0.1"},
	} {
		if test.got != test.want {
			t.Errorf("got %s, want %s", test.got, test.want)
		}
	}
}

func TestNodesRouteToThePodsOfOthers(t *testing.T) {
	tp := topology{families: []corev1.IPFamily{corev1.IPv4Protocol}, nodes: 3}
	var routes []string
	for _, route := range tp.nodeSpec(2).Routes {
		routes = append(routes, route.To.String()+" via "+route.Via.String())
	}
	want := "[0.0.0.0/0 via 192.168.10.1 ::/0 via fd00:10::1 10.244.1.0/24 via 192.168.10.11 10.244.3.0/24 via 192.168.10.13 10.96.0.1/32 via 172.30.0.1]"
	if got := fmt.Sprint(routes); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
