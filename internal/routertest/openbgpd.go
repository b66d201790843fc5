package routertest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// OpenBGPD is the portable OpenBGPD on a host. On Linux it puts nothing into the kernel.
type OpenBGPD struct {
	daemons
	config string
}

// openBGPDHome is where its processes without rights are locked in.
const openBGPDHome = "/run/openbgpd"

// NewOpenBGPD returns OpenBGPD with a configuration, which must not say where its socket is. It does
// not run yet.
func NewOpenBGPD(on Machine, log, config string) (*OpenBGPD, error) {
	d, err := newDaemons(on, log)
	return &OpenBGPD{d, config}, err
}

// openBGPD is the configuration for OpenBGPD.
func (c Config) openBGPD() string {
	var b strings.Builder
	fmt.Fprintf(&b, "AS %d\nrouter-id %s\n", c.ASN, c.RouterID)
	for _, n := range c.Neighbors {
		fmt.Fprintf(&b, "neighbor %s {\n\tremote-as %d\n\tlocal-address %s\n\tpassive\n\tholdtime %d\n\tannounce IPv4 unicast\n\tannounce IPv6 unicast\n",
			n.Address, n.ASN, n.Local, int(n.holdTime().Seconds()))
		if !n.GracefulRestart {
			b.WriteString("\tannounce restart no\n")
		}
		if n.MaxPrefixes > 0 {
			fmt.Fprintf(&b, "\tmax-prefix %d\n", n.MaxPrefixes)
		}
		b.WriteString("}\n")
	}
	b.WriteString("allow from any\ndeny to any\n")
	return b.String()
}

// Start runs it.
func (r *OpenBGPD) Start(ctx context.Context) error {
	if err := os.MkdirAll(openBGPDHome, 0o755); err != nil {
		return err
	}
	config := r.config + fmt.Sprintf("socket %q\nfib-update no\n", r.at("bgpd.sock"))
	if err := r.write("bgpd.conf", config); err != nil {
		return err
	}
	return r.start(ctx, "bgpd", func() error {
		_, err := r.on.run(ctx, "/usr/sbin/bgpctl", "-s", r.at("bgpd.sock"), "show", "summary")
		return err
	}, "/usr/sbin/bgpd", "-d", "-f", r.at("bgpd.conf"))
}

// show decodes what a command shows as JSON.
func (r *OpenBGPD) show(ctx context.Context, into any, command ...string) error {
	out, err := r.on.run(ctx, append([]string{"/usr/sbin/bgpctl", "-j", "-s", r.at("bgpd.sock"), "show"}, command...)...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal([]byte(out), into); err != nil {
		return fmt.Errorf("show %s: %w\n%s", strings.Join(command, " "), err, out)
	}
	return nil
}

// Diagnosis is all that it shows.
func (r *OpenBGPD) Diagnosis(ctx context.Context) string {
	neighbors, _ := r.on.run(ctx, "/usr/sbin/bgpctl", "-s", r.at("bgpd.sock"), "show", "neighbor")
	routes, _ := r.on.run(ctx, "/usr/sbin/bgpctl", "-s", r.at("bgpd.sock"), "show", "rib", "detail")
	return neighbors + routes
}

// Sessions returns what it sees of its sessions.
func (r *OpenBGPD) Sessions(ctx context.Context) (map[netip.Addr]Session, error) {
	var shown struct {
		Neighbors []struct {
			RemoteAddr         netip.Addr `json:"remote_addr"`
			State              string
			LastShutdownReason string `json:"last_shutdown_reason"`
			Session            struct{ HoldTime int }
		}
	}
	if err := r.show(ctx, &shown, "neighbor"); err != nil {
		return nil, err
	}
	sessions := map[netip.Addr]Session{}
	for _, n := range shown.Neighbors {
		sessions[n.RemoteAddr] = Session{Established: n.State == "Established", HoldTime: time.Duration(n.Session.HoldTime) * time.Second, ShutdownMessage: n.LastShutdownReason}
	}
	return sessions, nil
}

// Routes returns the routes to a prefix.
func (r *OpenBGPD) Routes(ctx context.Context, prefix netip.Prefix) (map[netip.Addr]Route, error) {
	var shown struct {
		RIB []struct {
			ASPath      string     `json:"aspath"`
			ExitNextHop netip.Addr `json:"exit_nexthop"`
			Neighbor    struct {
				RemoteAddr netip.Addr `json:"remote_addr"`
			}
			MED              uint32 `json:"metric"`
			Communities      []string
			LargeCommunities []string `json:"large_communities"`
		}
	}
	if err := r.show(ctx, &shown, "rib", "detail", prefix.String()); err != nil {
		return nil, err
	}
	routes := map[netip.Addr]Route{}
	for _, s := range shown.RIB {
		path, err := asPath(s.ASPath)
		if err != nil {
			return nil, err
		}
		route := Route{NextHop: s.ExitNextHop, ASPath: path, MED: &s.MED, LargeCommunities: s.LargeCommunities}
		for _, c := range s.Communities {
			if c == "GRACEFUL_SHUTDOWN" {
				c = GracefulShutdown
			}
			route.Communities = append(route.Communities, c)
		}
		routes[s.Neighbor.RemoteAddr] = route
	}
	return routes, nil
}
