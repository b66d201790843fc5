package network

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// ErrOff means that a host has no power.
var ErrOff = errors.New("host is powered off")

// Spec is everything that a host is when it has just been powered on.
type Spec struct {
	// Name is the host's name, at most nine characters and without a hyphen.
	Name string
	// Ports are the network devices and where their cables go.
	Ports []Port
	// Routes are the routes besides those to the subnets of the ports.
	Routes []Route
	// Forward makes the host forward packets, as a router or a Kubernetes node does.
	Forward bool
}

// Port is a network device of a host, plugged into a LAN.
type Port struct {
	Device    string
	LAN       string
	Addresses []netip.Prefix
}

// Route is a route by way of a neighbour.
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// Host is a computer in the network.
type Host struct {
	Spec
	network *Network

	portsMu sync.Mutex
	// ports are the source ports that were used last, by target.
	ports map[netip.AddrPort]int
}

// Namespace is the name of the host's network namespace, as `ip netns` knows it.
func (h *Host) Namespace() string { return h.network.Name + "-" + h.Name }

func (h *Host) path() string { return filepath.Join(namespaceDir, h.Namespace()) }

// Address returns the host's first address of a family on a device, invalid if it has none.
func (h *Host) Address(device string, v6 bool) netip.Addr {
	for _, port := range h.Ports {
		for _, prefix := range port.Addresses {
			if port.Device == device && prefix.Addr().Is6() == v6 {
				return prefix.Addr()
			}
		}
	}
	return netip.Addr{}
}

// MAC returns the hardware address of a device. It is the same each time the host is powered on.
func (h *Host) MAC(device string) net.HardwareAddr {
	for _, port := range h.Ports {
		if port.Device == device {
			return port.mac(h.Name)
		}
	}
	return nil
}

// mac derives a locally administered address from the names: stable, and the same in every network.
func (p Port) mac(host string) net.HardwareAddr {
	sum := sha256.Sum256([]byte(host + "." + p.LAN))
	return net.HardwareAddr{0x02, sum[0], sum[1], sum[2], sum[3], sum[4]}
}

// socket is the name of the switch's end of the cable.
func (h *Host) socket(p Port) string { return h.Name + "." + p.LAN }

// PowerOn creates the host: its namespace with fresh state, cables, addresses and routes. Nothing
// runs in it yet.
func (h *Host) PowerOn() error {
	if err := createNamespace(h.Namespace()); err != nil {
		return err
	}
	if err := h.Do(h.setSysctls); err != nil {
		return err
	}
	for _, port := range h.Ports {
		if err := h.network.plug(h, port); err != nil {
			return err
		}
	}
	return h.configure(func(handle *netlink.Handle) error {
		return errors.Join(h.address(handle), h.route(handle))
	})
}

// PowerOff takes the power away. First it freezes every process in the host and in namespaces that
// belong to it (<namespace>-...), so that none notices what happens and reacts. Then it removes the
// cables, so that no dying process can send anything. Then it kills the processes and removes the
// namespaces, and with them all state that the kernel kept there.
func (h *Host) PowerOff() error {
	if _, err := signalAll(unix.SIGSTOP, h.Namespace()+"-", h.Namespace()); err != nil {
		return err
	}
	for _, port := range h.Ports {
		if err := h.network.unplug(h, port); err != nil {
			return err
		}
	}
	return destroyNamespaces(h.Namespace()+"-", h.Namespace())
}

// Suspend stops every process in the host and in namespaces that belong to it, as the suspension of
// a virtual machine does. Its kernel goes on: what it sends and receives is up to the caller.
func (h *Host) Suspend() error {
	_, err := signalAll(unix.SIGSTOP, h.Namespace()+"-", h.Namespace())
	return err
}

// Resume has the processes go on that Suspend has stopped.
func (h *Host) Resume() error {
	_, err := signalAll(unix.SIGCONT, h.Namespace()+"-", h.Namespace())
	return err
}

// On tells whether the host has power.
func (h *Host) On() bool {
	_, err := os.Stat(h.path())
	return err == nil
}

// CutLink pulls the cable of a device out of the switch: the device loses its carrier and keeps its
// configuration.
func (h *Host) CutLink(device string) error { return h.pull(device, true) }

// RestoreLink plugs the cable of a device back in.
func (h *Host) RestoreLink(device string) error { return h.pull(device, false) }

func (h *Host) pull(device string, down bool) error {
	port, err := h.port(device)
	if err != nil {
		return err
	}
	return h.network.pull(h, port, down)
}

// Replug plugs the cable of a device into another LAN without a loss of the carrier. That is what
// hosts see when switches lose the connection to each other. Power brings the cable back to the LAN
// of the Spec.
func (h *Host) Replug(device, lan string) error {
	port, err := h.port(device)
	if err != nil {
		return err
	}
	return h.network.replug(h, port, lan)
}

func (h *Host) port(device string) (Port, error) {
	for _, port := range h.Ports {
		if port.Device == device {
			return port, nil
		}
	}
	return Port{}, fmt.Errorf("%s has no device %s", h.Name, device)
}

func (h *Host) setSysctls() error {
	sysctls := []struct{ path, value string }{
		// Addresses are usable at once, and come from nowhere but the Spec.
		{"net/ipv6/conf/*/disable_ipv6", "0"},
		{"net/ipv6/conf/*/accept_dad", "0"},
		{"net/ipv6/conf/*/accept_ra", "0"},
		{"net/ipv4/conf/*/rp_filter", "0"},
	}
	if h.Forward {
		sysctls = append(sysctls, []struct{ path, value string }{
			{"net/ipv4/ip_forward", "1"},
			{"net/ipv6/conf/*/forwarding", "1"},
			// Nodes pass packets on to pods of other nodes on the LAN that they came from. A
			// redirect would tell the client to go to the pod itself.
			{"net/ipv4/conf/*/send_redirects", "0"},
		}...)
	}
	for _, sysctl := range sysctls {
		for _, device := range []string{"all", "default"} {
			path := filepath.Join("/proc/sys", strings.Replace(sysctl.path, "*", device, 1))
			if err := os.WriteFile(path, []byte(sysctl.value), 0); err != nil {
				return fmt.Errorf("%s: %w", h.Name, err)
			}
		}
	}
	return nil
}

func (h *Host) address(handle *netlink.Handle) error {
	loopback, err := handle.LinkByName("lo")
	if err != nil {
		return err
	}
	if err := handle.LinkSetUp(loopback); err != nil {
		return err
	}
	for _, port := range h.Ports {
		device, err := handle.LinkByName(port.Device)
		if err != nil {
			return err
		}
		for _, prefix := range port.Addresses {
			address := &netlink.Addr{IPNet: ipNet(prefix)}
			if prefix.Addr().Is6() {
				address.Flags = unix.IFA_F_NODAD
			}
			if err := handle.AddrAdd(device, address); err != nil {
				return fmt.Errorf("give %s to %s of %s: %w", prefix, port.Device, h.Name, err)
			}
		}
		if err := handle.LinkSetUp(device); err != nil {
			return err
		}
	}
	return nil
}

func (h *Host) route(handle *netlink.Handle) error {
	for _, route := range h.Routes {
		if err := handle.RouteAdd(&netlink.Route{Dst: ipNet(route.To), Gw: route.Via.AsSlice()}); err != nil {
			return fmt.Errorf("route %s via %s on %s: %w", route.To, route.Via, h.Name, err)
		}
	}
	return nil
}

// SetRoute leads to a prefix by way of a neighbour, until the power goes.
func (h *Host) SetRoute(to netip.Prefix, via netip.Addr) error {
	return h.configure(func(handle *netlink.Handle) error {
		if err := handle.RouteReplace(&netlink.Route{Dst: ipNet(to), Gw: via.AsSlice()}); err != nil {
			return fmt.Errorf("route %s via %s on %s: %w", to, via, h.Name, err)
		}
		return nil
	})
}

// Do calls f on a thread that is inside the host. Sockets that f opens belong to the host for as
// long as they live. Goroutines that f starts are not inside the host.
func (h *Host) Do(f func() error) error {
	inside, err := os.Open(h.path())
	if errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("%s: %w", h.Name, ErrOff)
	}
	if err != nil {
		return err
	}
	defer inside.Close()

	runtime.LockOSThread()
	outside, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		runtime.UnlockOSThread()
		return err
	}
	defer outside.Close()
	if err := unix.Setns(int(inside.Fd()), unix.CLONE_NEWNET); err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("enter %s: %w", h.Name, err)
	}
	defer func() {
		if err := unix.Setns(int(outside.Fd()), unix.CLONE_NEWNET); err != nil {
			panic(fmt.Sprintf("leave %s: %v", h.Name, err)) // the thread would go on in the wrong network
		}
		runtime.UnlockOSThread()
	}()
	return f()
}

// DialContext connects from the host. The address must be an IP address: names are not resolved
// inside the host.
func (h *Host) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from %s: %w", h.Name, err)
	}
	var conn net.Conn
	err := h.Do(func() (err error) {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Run runs a command in the host to its end and returns what it wrote to its standard output. What
// it wrote to its standard error is in the error if it fails.
func (h *Host) Run(ctx context.Context, command ...string) (string, error) {
	return h.RunWithInput(ctx, "", command...)
}

// RunWithInput is Run with a text for the command's standard input.
func (h *Host) RunWithInput(ctx context.Context, input string, command ...string) (string, error) {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &stdout, &stderr
	cmd.WaitDelay = time.Second
	if err := h.StartCommand(cmd); err != nil {
		return "", err
	}
	if err := cmd.Wait(); err != nil {
		return stdout.String(), fmt.Errorf("%s on %s: %w\n%s", strings.Join(command, " "), h.Name, err, stderr.String())
	}
	return stdout.String(), nil
}
