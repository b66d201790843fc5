package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// watchedPeer has a hold time that is longer than any test here takes, so that nothing but BFD can
// notice a dead path.
const watchedPeer = `
apiVersion: clarionlb.io/v1alpha1
kind: BGPPeer
metadata: {name: tor}
spec:
  myASN: 65001
  peerASN: 65000
  peerAddress: 192.168.10.1
  connectTime: 2s
  holdTime: 10m
  bfdProfile: fast
`

// watchedPaths is a deployment in which two nodes announce the address of a Service to a router,
// and both sides watch the paths between them by BFD.
type watchedPaths struct {
	*deployment
	router *router
	route  netip.Prefix
}

// watchPaths returns watched paths. Lines are added to the BGP configuration of the router.
func watchPaths(t *testing.T, lines ...string) *watchedPaths {
	d := deploy(t, cluster.Config{Nodes: 2})
	w := &watchedPaths{deployment: d, router: d.startRouter(append(lines, " neighbor nodes bfd profile fast")...)}
	d.StartApp(d.t)
	d.applyYAML(routedPool + "---" + routedAdvertisement)
	d.loadBalancer("web", nil)
	w.route = hostRoute(d.awaitAddress("web"))
	return w
}

// step runs a subtest. The steps of a test build on each other.
func (w *watchedPaths) step(name string, run func(*watchedPaths)) {
	w.t.Run(name, func(t *testing.T) {
		d := w.in(t)
		run(&watchedPaths{d, w.router.in(d), w.route})
	})
}

// withoutRouteChange does something, waits until all is well again, and expects that the router
// kept its routes throughout.
func (w *watchedPaths) withoutRouteChange(do func()) {
	w.t.Helper()
	check := w.router.unchangedRoutes(w.route)
	do()
	w.awaitBFDUp("tor")
	w.router.awaitHops(w.route, "n1", "n2")
	check()
}

// expectSameSessions expects that no session has been lost.
func (w *watchedPaths) expectSameSessions(before map[string]v1alpha1.BGPSession) {
	w.t.Helper()
	for node, session := range w.sessions("tor") {
		if session.State != v1alpha1.BGPEstablished || !session.Since.Equal(before[node].Since) {
			w.t.Errorf("%s had %+v, has %+v", node, before[node], session)
		}
	}
}

// awaitDetectionTime waits until BFD is up and takes a path for dead after a silence of this length.
func (w *watchedPaths) awaitDetectionTime(detection string) {
	w.t.Helper()
	w.eventually("BFD to be up with a detection time of "+detection, func(context.Context) error {
		for node, session := range w.sessions("tor") {
			if b := session.BFD; b == nil || b.State != v1alpha1.BFDUp || b.DetectionTime.Duration.String() != detection {
				return fmt.Errorf("%s: %+v", node, b)
			}
		}
		return nil
	})
}

// setProfile changes fields of the BFDProfile.
func (w *watchedPaths) setProfile(spec string) {
	w.t.Helper()
	_, err := w.Clarion.ClarionV1alpha1().BFDProfiles().Patch(w.ctx, "fast", types.MergePatchType, []byte(`{"spec":`+spec+`}`), metav1.PatchOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestADeadNodeIsNoticedByBFDAndARestartedAnnouncerIsNot has BFD and graceful restart on: the
// router keeps the routes of an announcer that restarts, and drops those of a node that dies.
func TestADeadNodeIsNoticedByBFDAndARestartedAnnouncerIsNot(t *testing.T) {
	t.Parallel()
	w := watchPaths(t, " bgp graceful-restart")
	w.applyYAML(watchedPeer + "  enableGracefulRestart: true\n---" + fastProfile)
	w.router.awaitHops(w.route, "n1", "n2")
	w.awaitDetectionTime("1.5s")
	w.awaitReady("bfdprofile/fast", v1alpha1.ReasonValid, "")

	w.step("an upgrade changes no route", func(w *watchedPaths) {
		before := w.sessions("tor")
		w.withoutRouteChange(func() {
			w.restartAnnouncers()
			w.awaitNewSessions("tor", before, "n1", "n2")
		})
	})

	w.step("an announcer that is killed and is back within the detection time changes no route", func(w *watchedPaths) {
		before := w.sessions("tor")
		w.withoutRouteChange(func() {
			w.setProfile(`{"transmitInterval": 2000, "receiveInterval": 2000}`)
			w.eventually("the router to know the new intervals", func(ctx context.Context) error {
				peers, err := w.router.BFDPeers(ctx)
				if err != nil || len(peers) != 2 {
					return fmt.Errorf("%+v: %v", peers, err)
				}
				for _, p := range peers {
					if p.Status != "up" || p.RemoteTransmit != 2000 {
						return fmt.Errorf("%+v", p)
					}
				}
				return nil
			})
			w.expectSameSessions(before)
			w.killAnnouncer(w.Node("n1"))
			w.awaitNewSessions("tor", before, "n1")
		})
		w.setProfile(`{"transmitInterval": 500, "receiveInterval": 500}`)
		w.awaitDetectionTime("1.5s")
	})

	w.step("a node without power loses its routes, and gets them back", func(w *watchedPaths) {
		w.powerOff(w.Node("n2"))
		w.router.awaitHops(w.route, "n1")
		w.powerOn(w.Node("n2"))
		w.router.awaitHops(w.route, "n1", "n2")
		w.awaitBFDUp("tor")
	})
}

// TestSessionsGoOnWithoutBFDAndSaySo turns BFD on and off beside sessions that go on, and cuts
// paths that BGP would take for alive.
func TestSessionsGoOnWithoutBFDAndSaySo(t *testing.T) {
	t.Parallel()
	w := watchPaths(t)
	w.applyYAML(watchedPeer)
	w.router.awaitHops(w.route, "n1", "n2")
	before := w.sessions("tor")

	w.step("a session goes on without its BFDProfile", func(w *watchedPaths) {
		w.awaitReady("bgppeer/tor", v1alpha1.ReasonNoBFD, "n1 and n2: there is no BFDProfile fast")
	})

	w.step("a session goes on while its BFDProfile asks for echo mode, which is not supported", func(w *watchedPaths) {
		w.applyYAML(strings.Replace(fastProfile, "detect", "echoMode: true, detect", 1))
		w.awaitReady("bfdprofile/fast", v1alpha1.ReasonUnsupported, "spec.echoMode is not supported")
		w.awaitReady("bgppeer/tor", v1alpha1.ReasonNoBFD, "n1 and n2: BFDProfile fast: spec.echoMode is not supported")
	})

	w.step("a session goes on while another program has the port of BFD", func(w *watchedPaths) {
		var other net.PacketConn
		if err := w.Node("n1").Do(func() (err error) {
			other, err = net.ListenPacket("udp4", ":3784")
			return err
		}); err != nil {
			w.t.Fatal(err)
		}
		defer other.Close()
		w.setProfile(`{"echoMode": false}`)
		w.awaitReady("bgppeer/tor", v1alpha1.ReasonNoBFD, "n1: another program on this node has taken the UDP port of BFD: 3784")
	})

	w.step("BFD starts beside the same session when it can", func(w *watchedPaths) {
		w.awaitBFDUp("tor")
		w.awaitReady("bgppeer/tor", v1alpha1.ReasonValid, "The nodes that are selected speak with the router.")
		w.expectSameSessions(before)
	})

	w.step("a path on which the node gets no BFD packets is given up, and comes back", func(w *watchedPaths) {
		before := w.sessions("tor")
		barrier, err := w.Node("n2").Block(w.ctx, network.Traffic{Device: "eth0", Direction: network.In, Protocol: "udp", Port: 3784})
		if err != nil {
			w.t.Fatal(err)
		}
		w.awaitAnnouncerEvent("n2", "BFDDown", "BFD with tor (192.168.10.1) went down: BFD heard nothing from the router for ")
		w.awaitNewSessions("tor", before, "n2")
		w.awaitReady("bgppeer/tor", v1alpha1.ReasonNoBFD, "n2: the router sends no BFD packets")
		w.awaitBFDMetrics("n1", `session_up{address="192.168.10.1",peer="tor"} 1`, `failures_total{address="192.168.10.1",peer="tor"} 0`,
			`detection_time_seconds{address="192.168.10.1",peer="tor"} 1.5`, `silence_seconds_count 0`)
		w.awaitBFDMetrics("n2", `session_up{address="192.168.10.1",peer="tor"} 0`, `failures_total{address="192.168.10.1",peer="tor"} 1`,
			`packets_total{address="192.168.10.1",direction="received",peer="tor"} 0`, `silence_seconds_count 1`)
		if err := barrier.Lift(); err != nil {
			w.t.Fatal(err)
		}
		w.awaitBFDUp("tor")
		w.router.awaitHops(w.route, "n1", "n2")
	})

	w.step("a node that is drained ends its session", func(w *watchedPaths) {
		w.kubectl("annotate", "node", "n2", v1alpha1.AnnotationDrain+"=true")
		w.router.awaitHops(w.route, "n1")
		w.eventually("n2 to end its session", func(context.Context) error {
			if s, there := w.sessions("tor")["n2"]; there {
				return fmt.Errorf("session %+v", s)
			}
			return nil
		})
		w.kubectl("annotate", "node", "n2", v1alpha1.AnnotationDrain+"-")
		w.awaitBFDUp("tor")
		w.router.awaitHops(w.route, "n1", "n2")
	})

	w.step("a strict session waits for BFD", func(w *watchedPaths) {
		before := w.sessions("tor")
		w.setProfile(`{"strict": true}`)
		w.awaitBFDUp("tor")
		w.expectSameSessions(before)
		// FRR starts BFD before BGP only with neighbors that are configured one by one.
		if err := w.router.Configure(w.ctx, "router bgp 65000", "no bgp listen range 192.168.10.0/24 peer-group nodes"); err != nil {
			w.t.Fatal(err)
		}
		w.eventually("the router to have no neighbor", func(ctx context.Context) error {
			neighbors, err := w.router.Neighbors(ctx)
			if err == nil && len(neighbors) > 0 {
				err = fmt.Errorf("it knows %+v", neighbors)
			}
			return err
		})
		for _, node := range w.Nodes() {
			if err := w.router.Configure(w.ctx, "router bgp 65000", fmt.Sprintf("neighbor %s peer-group nodes", node.IPs()[0])); err != nil {
				w.t.Fatal(err)
			}
		}
		w.awaitNewSessions("tor", before, "n1", "n2")
		w.awaitBFDUp("tor")
		barrier, err := w.Node("n2").Block(w.ctx, network.Traffic{Device: "eth0", Direction: network.In, Protocol: "udp", Port: 3784})
		if err != nil {
			w.t.Fatal(err)
		}
		w.router.awaitHops(w.route, "n1")
		w.awaitSession(w.Node("n2"), "tor", v1alpha1.BGPConnecting, "BFD is not up: the router sends no BFD packets")
		if err := barrier.Lift(); err != nil {
			w.t.Fatal(err)
		}
		w.awaitBFDUp("tor")
		w.router.awaitHops(w.route, "n1", "n2")
	})

	w.step("a BFDProfile that is deleted stays in force for the sessions that have it", func(w *watchedPaths) {
		before := w.sessions("tor")
		w.kubectl("delete", "bfdprofile", "fast")
		w.awaitReady("bgppeer/tor", v1alpha1.ReasonNoBFD, "n1 and n2: there is no BFDProfile fast")
		w.expectSameSessions(before)
		w.powerOff(w.Node("n2"))
		w.router.awaitHops(w.route, "n1")
	})
}

// awaitBFDMetrics waits until an announcer has these metrics, whose names are given without
// clarion_announcer_bfd_.
func (w *watchedPaths) awaitBFDMetrics(node string, lines ...string) {
	w.t.Helper()
	for i, line := range lines {
		lines[i] = "clarion_announcer_bfd_" + line
	}
	w.awaitAnnouncerMetrics(w.Node(node), lines...)
}
