package routertest

import (
	"context"
	"net/netip"
	"time"
)

// Host is a machine that a router can run on, with a type of process of its own.
type Host[P Process] interface {
	// Run runs a command to its end and returns what it wrote to its standard output.
	Run(ctx context.Context, command ...string) (string, error)
	// Start starts a daemon, whose output is appended to the file log.
	Start(log string, command ...string) (P, error)
}

// Machine is a Host, whatever its processes are.
type Machine struct {
	run   func(ctx context.Context, command ...string) (string, error)
	start func(log string, command ...string) (Process, error)
}

// On returns a Host as a Machine.
func On[P Process](host Host[P]) Machine {
	return Machine{host.Run, func(log string, command ...string) (Process, error) { return host.Start(log, command...) }}
}

// Process is a daemon on a Host.
type Process interface {
	// Kill and Terminate fail if it has ended.
	Kill() error
	Terminate() error
	// Done is closed when it has ended.
	Done() <-chan struct{}
}

// Router is a router of any kind.
type Router interface {
	// Start runs it and returns when it answers. It can be started again after Stop or Kill.
	Start(ctx context.Context) error
	// Stop asks it to end, so that it tells its neighbors, and returns when it has.
	Stop(ctx context.Context) error
	// Kill ends it without a word, and returns when it has ended.
	Kill()
	// Close kills it and removes its files.
	Close() error
	// Sessions returns what it sees of its sessions, by the addresses of the neighbors.
	Sessions(ctx context.Context) (map[netip.Addr]Session, error)
	// Routes returns the routes to a prefix that it has received and accepts, by the addresses of
	// the neighbors.
	Routes(ctx context.Context, prefix netip.Prefix) (map[netip.Addr]Route, error)
	// Diagnosis is all that it shows, for people.
	Diagnosis(ctx context.Context) string
}

// Session is what a router sees of a session.
type Session struct {
	Established bool
	// HoldTime that was agreed on; 0 without a session.
	HoldTime time.Duration
	// ShutdownMessage is why the neighbor has shut the last session down, in its words (RFC 9003).
	ShutdownMessage string
}

// Route is a route that a router has received.
type Route struct {
	NextHop netip.Addr
	ASPath  []uint32
	// Communities and LargeCommunities are as "65000:7" and "65000:1:2", in the order of the router.
	Communities, LargeCommunities []string
	// MED is nil if there is none.
	MED *uint32
}

// GracefulShutdown is the community of RFC 8326 in a Route.
const GracefulShutdown = "65535:0"

// Config is how a router is set up, whatever its kind. It sends no routes, waits for its neighbors
// to connect, accepts all routes, and puts them into its kernel if it can.
type Config struct {
	ASN uint32
	// RouterID has the form of an IPv4 address.
	RouterID  netip.Addr
	Neighbors []Neighbor
}

// Neighbor is one of a router. Sessions carry both families.
type Neighbor struct {
	// Local is the address of the router on the session.
	Address, Local netip.Addr
	ASN            uint32
	// HoldTime that the router proposes. 0 is 90 s.
	HoldTime time.Duration
	// Password for TCP MD5 signatures (RFC 2385), if its kind can. Empty is none.
	Password string
	// ExtendedNextHop has it take an IPv6 next hop for IPv4 routes (RFC 8950), if its kind can.
	ExtendedNextHop bool
	// GracefulRestart has it keep the routes over a restart of the neighbor, if its kind can.
	GracefulRestart bool
	// MaxPrefixes is how many routes of each family it takes before it closes the session, if its
	// kind counts. 0 is any number.
	MaxPrefixes int
}

func (n Neighbor) holdTime() time.Duration {
	if n.HoldTime == 0 {
		return 90 * time.Second
	}
	return n.HoldTime
}

// Kind is a kind of router, and what it can do.
type Kind struct {
	Name string
	// New returns a router of the kind. Its logs go to the folder log, which must exist.
	New func(on Machine, log string, config Config) (Router, error)

	// Kernel : it puts routes into its kernel.
	Kernel bool
	// Password, ExtendedNextHop, GracefulRestart, MaxPrefixes : it can do what a Neighbor says.
	Password, ExtendedNextHop, GracefulRestart, MaxPrefixes bool
}

// Kinds are all kinds.
var Kinds = []Kind{
	{
		Name: "FRR", Kernel: true, Password: true, ExtendedNextHop: true, GracefulRestart: true, MaxPrefixes: true,
		New: func(on Machine, log string, config Config) (Router, error) { return NewFRR(on, log, config.frr()...) },
	},
	{
		Name: "BIRD", Kernel: true, Password: true, ExtendedNextHop: true, GracefulRestart: true, MaxPrefixes: true,
		New: func(on Machine, log string, config Config) (Router, error) { return NewBIRD(on, log, config.bird()) },
	},
	{
		// On Linux, it signs nothing on connections that it accepts (mended in 8.0).
		Name: "OpenBGPD", GracefulRestart: true, MaxPrefixes: true,
		New: func(on Machine, log string, config Config) (Router, error) {
			return NewOpenBGPD(on, log, config.openBGPD())
		},
	},
	{
		Name: "ExaBGP", Password: true, ExtendedNextHop: true,
		New: func(on Machine, log string, config Config) (Router, error) {
			return NewExaBGP(on, log, config.exaBGP())
		},
	},
}
