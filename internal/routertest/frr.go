package routertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// FRR is FRRouting on a host.
type FRR struct {
	daemons
	// Config is the configuration of bgpd. If a line of it is about BFD the host runs BFD, too, with
	// profiles "fast" of 100 ms x 3 and "faster" of 50 ms x 3.
	Config []string
	// Options are for the command line of bgpd.
	Options []string
}

// NewFRR returns FRR with a configuration of bgpd. It does not run yet.
func NewFRR(on Machine, log string, config ...string) (*FRR, error) {
	d, err := newDaemons(on, log)
	return &FRR{daemons: d, Config: config}, err
}

// frr is the configuration for FRR.
func (c Config) frr() []string {
	lines := []string{
		fmt.Sprintf("router bgp %d", c.ASN),
		fmt.Sprintf(" bgp router-id %s", c.RouterID),
		" no bgp ebgp-requires-policy",
		" no bgp default ipv4-unicast",
	}
	var activate []string
	for _, n := range c.Neighbors {
		of := fmt.Sprintf(" neighbor %s ", n.Address)
		hold := int(n.holdTime().Seconds())
		lines = append(lines, fmt.Sprintf("%sremote-as %d", of, n.ASN), of+"passive", fmt.Sprintf("%stimers %d %d", of, hold/3, hold))
		if n.Password != "" {
			lines = append(lines, of+"password "+n.Password)
		}
		if n.ExtendedNextHop {
			lines = append(lines, of+"capability extended-nexthop")
		}
		mode := "graceful-restart-disable"
		if n.GracefulRestart {
			mode = "graceful-restart-helper"
		}
		lines = append(lines, of+mode)
		activate = append(activate, " "+of+"activate")
		if n.MaxPrefixes > 0 {
			activate = append(activate, fmt.Sprintf(" %smaximum-prefix %d", of, n.MaxPrefixes))
		}
	}
	for _, family := range []string{"ipv4", "ipv6"} {
		lines = append(lines, " address-family "+family+" unicast")
		lines = append(lines, activate...)
		lines = append(lines, " exit-address-family")
	}
	return lines
}

// Start runs it.
func (r *FRR) Start(ctx context.Context) error {
	if err := r.StartDaemon(ctx, "zebra", nil); err != nil {
		return err
	}
	if slices.ContainsFunc(r.Config, func(line string) bool { return strings.Contains(line, " bfd") }) {
		if err := r.StartDaemon(ctx, "bfdd", []string{
			"bfd", " profile fast", "  transmit-interval 100", "  receive-interval 100", "  detect-multiplier 3",
			" profile faster", "  transmit-interval 50", "  receive-interval 50", "  detect-multiplier 3",
		}, "--bfdctl", r.at("bfdd.sock")); err != nil {
			return err
		}
	}
	return r.StartDaemon(ctx, "bgpd", r.Config, r.Options...)
}

// StartDaemon starts one daemon of FRR.
func (r *FRR) StartDaemon(ctx context.Context, name string, config []string, options ...string) error {
	if err := r.write(name+".conf", strings.Join(config, "\n")+"\n"); err != nil {
		return err
	}
	return r.start(ctx, name, func() error {
		_, err := r.on.run(ctx, "vtysh", "--vty_socket", r.dir, "-d", name, "-c", "show version")
		return err
	}, append(append([]string{"/usr/lib/frr/" + name}, options...), "--config_file", r.at(name+".conf"), "--pid_file", r.at(name+".pid"),
		"--socket", r.at("zserv.api"), "--vty_socket", r.dir, "--vty_port", "0", "--log", "stdout")...)
}

// Command returns the command line that runs commands of the FRR shell on the host.
func (r *FRR) Command(commands ...string) []string {
	line := []string{"vtysh", "--vty_socket", r.dir}
	for _, c := range commands {
		line = append(line, "-c", c)
	}
	return line
}

// Configure changes the configuration. The lines are commands of the mode "configure terminal".
func (r *FRR) Configure(ctx context.Context, lines ...string) error {
	out, err := r.on.run(ctx, r.Command(append([]string{"configure terminal"}, lines...)...)...)
	if err == nil && strings.Contains(out, "%") {
		err = fmt.Errorf("configure %q: %s", lines, out)
	}
	return err
}

// Show decodes what a command shows as JSON.
func (r *FRR) Show(ctx context.Context, command string, into any) error {
	out, err := r.on.run(ctx, r.Command("show "+command+" json")...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("show %s: %w\n%s", command, err, out)
	}
	return nil
}

// Diagnosis is all that it shows.
func (r *FRR) Diagnosis(ctx context.Context) string {
	out, _ := r.on.run(ctx, r.Command("show bgp neighbors", "show bgp all")...)
	return out
}

// Sessions returns what it sees of its sessions.
func (r *FRR) Sessions(ctx context.Context) (map[netip.Addr]Session, error) {
	var shown map[string]json.RawMessage
	if err := r.Show(ctx, "bgp neighbors", &shown); err != nil {
		return nil, err
	}
	sessions := map[netip.Addr]Session{}
	for name, said := range shown {
		var n struct {
			BGPState                string
			BGPTimerHoldTimeMsecs   int
			LastShutdownDescription string
		}
		address, err := netip.ParseAddr(name)
		if err != nil || json.Unmarshal(said, &n) != nil {
			continue // about the router itself
		}
		s := Session{Established: n.BGPState == "Established", ShutdownMessage: n.LastShutdownDescription}
		if s.Established {
			s.HoldTime = time.Duration(n.BGPTimerHoldTimeMsecs) * time.Millisecond
		}
		sessions[address] = s
	}
	return sessions, nil
}

// Routes returns the routes to a prefix.
func (r *FRR) Routes(ctx context.Context, prefix netip.Prefix) (map[netip.Addr]Route, error) {
	family := "ipv4"
	if prefix.Addr().Is6() {
		family = "ipv6"
	}
	var shown struct {
		Paths []struct {
			Metric                    *uint32
			ASPath                    struct{ String string }
			Community, LargeCommunity struct{ String string }
			Nexthops                  []struct {
				IP   netip.Addr
				Used bool
			}
			Peer struct{ PeerID netip.Addr }
		}
	}
	if err := r.Show(ctx, fmt.Sprintf("bgp %s unicast %s", family, prefix), &shown); err != nil {
		return nil, err
	}
	routes := map[netip.Addr]Route{}
	for _, p := range shown.Paths {
		route := Route{MED: p.Metric, LargeCommunities: strings.Fields(p.LargeCommunity.String)}
		for _, c := range strings.Fields(p.Community.String) {
			if c == "graceful-shutdown" {
				c = GracefulShutdown
			}
			route.Communities = append(route.Communities, c)
		}
		for _, hop := range p.Nexthops {
			if hop.Used {
				route.NextHop = hop.IP
			}
		}
		var err error
		if route.ASPath, err = asPath(p.ASPath.String); err != nil {
			return nil, err
		}
		routes[p.Peer.PeerID] = route
	}
	return routes, nil
}
