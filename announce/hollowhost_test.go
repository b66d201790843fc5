package announce

import (
	"context"
	"net"
	"net/netip"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/liveness"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/internal/notify"
)

// hollowHost is a host with one interface, whose kernel does nothing.
type hollowHost struct {
	idle
	address netip.Addr
	mac     net.HardwareAddr
	ready   chan struct{}
	never   notify.Signal
}

func (h hollowHost) Run(ctx context.Context) error {
	close(h.ready)
	return h.idle.Run(ctx)
}

func (h hollowHost) Ready() <-chan struct{}                { return h.ready }
func (h hollowHost) Changed() <-chan struct{}              { return h.never }
func (h hollowHost) KernelChanged() <-chan struct{}        { return h.never }
func (h hollowHost) KernelAnswers(layer2.Announced) string { return "" }
func (h hollowHost) NodeIPs() []netip.Addr                 { return []netip.Addr{h.address} }
func (h hollowHost) Permitted() error                      { return nil }
func (h hollowHost) Set(map[netip.Addr]layer2.Relay) error { return nil }
func (h hollowHost) Restore() error                        { return nil }
func (h hollowHost) KernelAddresses() []layer2.KernelAddress {
	return []layer2.KernelAddress{{Address: h.address, Interface: "eth0"}}
}

func (h hollowHost) Interfaces() []layer2.Interface {
	lan := netip.MustParsePrefix("10.0.0.0/8")
	return []layer2.Interface{{
		Name: "eth0", Index: 2, MAC: h.mac, Up: true, Prefixes: []netip.Prefix{lan}, Addresses: []netip.Addr{h.address},
		Routes: []layer2.Route{{Prefix: lan, OnLink: true}},
	}}
}

// hollowResponder has nobody to answer.
type hollowResponder struct{ hollowHost }

func (r hollowResponder) Run(ctx context.Context) error          { return r.idle.Run(ctx) }
func (hollowResponder) Set(map[netip.Addr][]string)              {}
func (hollowResponder) SetProxied(map[netip.Addr]layer2.Proxied) {}
func (hollowResponder) Reannounce(...netip.Addr)                 {}
func (hollowResponder) Quiesce(...netip.Addr)                    {}
func (hollowResponder) SetMembers([]net.HardwareAddr)            {}
func (r hollowResponder) Sighted() <-chan struct{}               { return r.never }
func (r hollowResponder) AnswerKept()                            {}
func (hollowResponder) Sightings() []layer2.Sighting             { return nil }

// hollowProber is on a network on which no other host is.
type hollowProber struct{ hollowHost }

func (p hollowProber) Run(ctx context.Context) error { return p.idle.Run(ctx) }

func (hollowProber) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	select {
	case <-time.After(time.Duration(q.Tries) * q.Interval):
	case <-ctx.Done():
	}
	if q.Unanswered != nil {
		q.Unanswered(ctx)
	}
	return layer2.Answer{}, false, ctx.Err()
}

type hollowRejects struct{}

func (hollowRejects) Leave()                                   {}
func (hollowRejects) Set(map[netip.Prefix]struct{}, time.Time) {}
func (hollowRejects) Step(time.Time) (wake time.Time)          { return wake }
func (hollowRejects) Sentence() string                         { return "" }

type hollowChecks struct{ hollowHost }

func (hollowChecks) Set(context.Context, map[types.NamespacedName]plan.EndpointCheck) {}
func (c hollowChecks) Changed() <-chan struct{}                                       { return c.never }
func (hollowChecks) Served() []types.NamespacedName                                   { return nil }
func (hollowChecks) Wait()                                                            {}

// hollowPauses never takes a busy machine for a pause.
type hollowPauses struct{ *liveness.PauseWatch }

func (hollowPauses) Run(ctx context.Context) error { return idle{}.Run(ctx) }
func (hollowPauses) Fit() bool                     { return true }
