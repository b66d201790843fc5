package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/clarionlb/clarion/test/frr"
)

// route is the second part: the router between the nodes and a far client learns of an address by
// BGP.
func (d *demo) route() {
	d.say("The second act: the router, which is FRR, speaks BGP. Every node speaks it with the router of its default route, and they watch each other by BFD.")
	if d.err != nil {
		return
	}
	router, err := frr.Start(d.ctx, d.Router, filepath.Join(d.LogDir(), "router"), " neighbor nodes bfd profile fast")
	if err != nil {
		d.err = err
		return
	}
	if !d.keep {
		defer router.Close()
	}
	d.kubectl("apply --filename " + samples + "bgp.yaml --filename " + samples + "bfd.yaml --filename " + samples + "service-routed.yaml")
	d.kubectl(`patch bgppeer gateway --type=merge --patch={"spec":{"bfdProfile":"fast"}}`)
	d.kubectl("wait service/myapp-routed --for=condition=clarionlb.io/Announced --timeout=60s")
	d.kubectl("wait bgppeer/gateway --for=jsonpath={.status.established}=3 --timeout=60s")
	d.kubectl("wait bgppeer/gateway --for=jsonpath={.status.bfdUp}=3 --timeout=60s")
	d.kubectl("get bgppeers")
	routed := d.output("get svc myapp-routed --output=jsonpath={.status.loadBalancer.ingress[0].ip}")
	d.await(d.FarClient, routed)

	d.say("The router has a way to the address by each node, and spreads the far client's connections over them.")
	show := func() {
		d.show(d.Router.Name, `vtysh -c "show ip route `+routed+`/32"`, d.Router, router.Command("show ip route "+routed+"/32"))
	}
	show()
	for range 5 {
		d.on(d.FarClient, "curl --silent --show-error --fail http://"+routed+"/")
	}

	const lost = "n2"
	d.say(fmt.Sprintf("The far client opens connections, and %s loses its power. The router notices as soon as three packets of BFD are missing.", lost))
	report, _, _ := d.lose(lost, d.FarClient, routed)
	show()
	if d.err == nil {
		fmt.Printf("\nof %d connections of the far client, %d failed: those that the router sent to %s until it had noticed\n",
			len(report.Attempts), report.Failures, lost)
	}
}

// powerOn boots a node and waits until all is ready again.
func (d *demo) powerOn(name string) {
	if d.err != nil {
		return
	}
	d.say(name + " comes back, and takes nothing back.")
	ctx, cancel := context.WithTimeout(d.ctx, time.Minute)
	defer cancel()
	if d.err = d.Node(name).PowerOn(); d.err != nil {
		return
	}
	if d.err = d.Node(name).AwaitReady(ctx); d.err != nil {
		return
	}
	d.kubectl("--namespace clarion-system rollout status daemonset/announcer --timeout=120s")
	d.kubectl("rollout status deployment/myapp --timeout=120s")
}
