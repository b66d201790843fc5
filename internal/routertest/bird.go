package routertest

import (
	"context"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// BIRD is BIRD 2 on a host.
type BIRD struct {
	daemons
	config string
}

// NewBIRD returns BIRD with a configuration. It does not run yet.
func NewBIRD(on Machine, log, config string) (*BIRD, error) {
	d, err := newDaemons(on, log)
	return &BIRD{d, config}, err
}

// bird is the configuration for BIRD.
func (c Config) bird() string {
	var b strings.Builder
	fmt.Fprintf(&b, "router id %s;\nprotocol device { }\n", c.RouterID)
	b.WriteString("protocol kernel { ipv4 { export all; }; }\nprotocol kernel { ipv6 { export all; }; }\n")
	for i, n := range c.Neighbors {
		fmt.Fprintf(&b, "protocol bgp n%d {\n\tlocal %s as %d;\n\tneighbor %s as %d;\n\tpassive;\n\thold time %d;\n\terror wait time 1, 1;\n",
			i, n.Local, c.ASN, n.Address, n.ASN, int(n.holdTime().Seconds()))
		if n.Password != "" {
			fmt.Fprintf(&b, "\tpassword %q;\n", n.Password)
		}
		if n.GracefulRestart {
			b.WriteString("\tgraceful restart on;\n")
		}
		for _, family := range []string{"ipv4", "ipv6"} {
			fmt.Fprintf(&b, "\t%s { import all; export none; ", family)
			if n.MaxPrefixes > 0 {
				fmt.Fprintf(&b, "import limit %d action disable; ", n.MaxPrefixes)
			}
			if n.ExtendedNextHop && family == "ipv4" {
				b.WriteString("extended next hop on; ")
			}
			b.WriteString("};\n")
		}
		b.WriteString("}\n")
	}
	return b.String()
}

// Start runs it.
func (r *BIRD) Start(ctx context.Context) error {
	if err := r.write("bird.conf", r.config); err != nil {
		return err
	}
	return r.start(ctx, "bird", func() error {
		_, err := r.Show(ctx, "status")
		return err
	}, "/usr/sbin/bird", "-f", "-c", r.at("bird.conf"), "-s", r.at("bird.ctl"), "-P", r.at("bird.pid"))
}

// Show returns what "show" and a command say.
func (r *BIRD) Show(ctx context.Context, command string) (string, error) {
	return r.on.run(ctx, append([]string{"/usr/sbin/birdc", "-s", r.at("bird.ctl"), "show"}, strings.Fields(command)...)...)
}

// Diagnosis is all that it shows.
func (r *BIRD) Diagnosis(ctx context.Context) string {
	protocols, _ := r.Show(ctx, "protocols all")
	routes, _ := r.Show(ctx, "route all")
	return protocols + routes
}

var (
	birdProtocol = regexp.MustCompile(`(?m)^(\S+)\s+BGP\s`)
	birdNeighbor = regexp.MustCompile(`(?m)^\s+Neighbor address:\s+(\S+)$`)
	birdState    = regexp.MustCompile(`(?m)^\s+BGP state:\s+(\S+)$`)
	birdHold     = regexp.MustCompile(`(?m)^\s+Hold timer:\s+[0-9.]+/([0-9]+)$`)
	birdMessage  = regexp.MustCompile(`(?m)^\s+Message:\s+(?:Received: )?(.*)$`)
	birdHop      = regexp.MustCompile(`(?m)^\s+BGP.next_hop: (\S+)`)
	birdPath     = regexp.MustCompile(`(?m)^\s+BGP.as_path: ([0-9 ]*)$`)
	birdMED      = regexp.MustCompile(`(?m)^\s+BGP.med: ([0-9]+)$`)
	birdPlain    = regexp.MustCompile(`(?m)^\s+BGP.community: (.*)$`)
	birdLarge    = regexp.MustCompile(`(?m)^\s+BGP.large_community: (.*)$`)
)

// Sessions returns what it sees of its sessions.
func (r *BIRD) Sessions(ctx context.Context) (map[netip.Addr]Session, error) {
	shown, err := r.Show(ctx, "protocols all")
	if err != nil {
		return nil, err
	}
	sessions := map[netip.Addr]Session{}
	for _, block := range strings.Split(shown, "\n\n") {
		address, err := netip.ParseAddr(submatch(birdNeighbor, block))
		if err != nil {
			continue // another protocol
		}
		s := Session{Established: submatch(birdState, block) == "Established", ShutdownMessage: submatch(birdMessage, block)}
		if s.Established {
			seconds, _ := strconv.Atoi(submatch(birdHold, block))
			s.HoldTime = time.Duration(seconds) * time.Second
		}
		sessions[address] = s
	}
	return sessions, nil
}

// Routes returns the routes to a prefix. BIRD says from whom only by the name of the protocol.
func (r *BIRD) Routes(ctx context.Context, prefix netip.Prefix) (map[netip.Addr]Route, error) {
	shown, err := r.Show(ctx, "route "+prefix.String()+" all")
	if strings.Contains(shown, "Network not found") {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	neighbors, err := r.neighborNames(ctx)
	if err != nil {
		return nil, err
	}
	routes := map[netip.Addr]Route{}
	for _, block := range regexp.MustCompile(`(?m)^.*unicast \[`).Split(shown, -1)[1:] {
		name, _, _ := strings.Cut(block, " ")
		route := Route{
			Communities:      tuples(submatch(birdPlain, block)),
			LargeCommunities: tuples(submatch(birdLarge, block)),
		}
		if route.NextHop, err = netip.ParseAddr(submatch(birdHop, block)); err != nil {
			return nil, fmt.Errorf("show route: %w\n%s", err, shown)
		}
		if route.ASPath, err = asPath(submatch(birdPath, block)); err != nil {
			return nil, err
		}
		if med, err := strconv.ParseUint(submatch(birdMED, block), 10, 32); err == nil {
			route.MED = new(uint32)
			*route.MED = uint32(med)
		}
		routes[neighbors[name]] = route
	}
	return routes, nil
}

// neighborNames are the addresses of the neighbors by the names of their protocols.
func (r *BIRD) neighborNames(ctx context.Context) (map[string]netip.Addr, error) {
	shown, err := r.Show(ctx, "protocols all")
	if err != nil {
		return nil, err
	}
	names := map[string]netip.Addr{}
	for _, block := range strings.Split(shown, "\n\n") {
		if address, err := netip.ParseAddr(submatch(birdNeighbor, block)); err == nil {
			names[submatch(birdProtocol, block)] = address
		}
	}
	return names, nil
}
