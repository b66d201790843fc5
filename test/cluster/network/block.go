package network

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
)

// Direction says which way frames go, seen from the host.
type Direction int

// The directions.
const (
	Both Direction = iota
	In
	Out
)

// Traffic describes frames that cross a host's network devices. What is left at its zero value
// matches everything.
type Traffic struct {
	// Device is the device they cross, all devices of the host's Spec if empty.
	Device string
	// Direction is the way they go.
	Direction Direction
	// Peer is the address of the other side: the source of what comes in, the destination of what
	// goes out. ARP about that address counts, too.
	Peer netip.Addr
	// PeerMAC is the other side's hardware address.
	PeerMAC net.HardwareAddr
	// Protocol is "tcp", "udp" or "icmp" (for either IP version), or "arp". A port needs tcp or udp.
	Protocol string
	// Port is the source or the destination port.
	Port uint16
	// Percent is how many of a hundred frames are dropped, at random; 0 is all.
	Percent int
}

var blocks atomic.Uint64

// Barrier drops traffic at the network devices of a host, until it is lifted.
type Barrier struct {
	host  *Host
	table string
}

// Block drops traffic at the host's network devices, before anything else in the host sees what
// comes in and after everything else for what goes out.
func (h *Host) Block(ctx context.Context, traffic ...Traffic) (*Barrier, error) {
	table := fmt.Sprintf("block%d", blocks.Add(1))
	script := &strings.Builder{}
	fmt.Fprintf(script, "table netdev %s {\n", table)
	for _, port := range h.Ports {
		for _, chain := range []struct {
			hook      string
			direction Direction
		}{{"ingress", In}, {"egress", Out}} {
			fmt.Fprintf(script, " chain %s-%s {\n  type filter hook %s device %q priority 0;\n", port.Device, chain.hook, chain.hook, port.Device)
			for _, t := range traffic {
				if t.Device != "" && t.Device != port.Device || t.Direction != Both && t.Direction != chain.direction {
					continue
				}
				rules, err := t.rules(chain.direction)
				if err != nil {
					return nil, err
				}
				for _, rule := range rules {
					fmt.Fprintf(script, "  %s counter drop\n", rule)
				}
			}
			script.WriteString(" }\n")
		}
	}
	script.WriteString("}\n")
	if _, err := h.RunWithInput(ctx, script.String(), "nft", "-f", "-"); err != nil {
		return nil, fmt.Errorf("block traffic: %w", err)
	}
	return &Barrier{host: h, table: table}, nil
}

// Lift lets the traffic pass again.
func (b *Barrier) Lift() error {
	_, err := b.host.Run(context.Background(), "nft", "delete", "table", "netdev", b.table)
	if errors.Is(err, ErrOff) {
		return nil // it went with the power
	}
	return err
}

var droppedPackets = regexp.MustCompile(`counter packets (\d+)`)

// Dropped returns how many frames the barrier has dropped so far.
func (b *Barrier) Dropped(ctx context.Context) (int, error) {
	table, err := b.host.Run(ctx, "nft", "list", "table", "netdev", b.table)
	if err != nil {
		return 0, err
	}
	sum := 0
	for _, match := range droppedPackets.FindAllStringSubmatch(table, -1) {
		n, err := strconv.Atoi(match[1])
		if err != nil {
			return 0, err
		}
		sum += n
	}
	return sum, nil
}

// rules returns the nftables matches for the traffic in one direction. Any of them matching is enough.
func (t Traffic) rules(direction Direction) ([]string, error) {
	side := "saddr"
	if direction == Out {
		side = "daddr"
	}
	var mac string
	if t.PeerMAC != nil {
		mac = fmt.Sprintf("ether %s %s ", side, t.PeerMAC)
	}
	var transport string
	switch {
	case t.Protocol == "arp":
		if t.Port != 0 {
			return nil, errors.New("block traffic: ARP has no ports")
		}
	case t.Port != 0 && (t.Protocol == "tcp" || t.Protocol == "udp"):
		transport = fmt.Sprintf("meta l4proto %s th %%s %d", t.Protocol, t.Port)
	case t.Port != 0:
		return nil, fmt.Errorf("block traffic: port %d without tcp or udp", t.Port)
	case t.Protocol == "icmp":
		transport = "meta l4proto { icmp, ipv6-icmp }"
	case t.Protocol != "":
		transport = "meta l4proto " + t.Protocol
	}

	var network []string
	switch {
	case !t.Peer.IsValid() && t.Protocol == "arp":
		network = []string{"ether type arp"}
	case !t.Peer.IsValid() && transport != "":
		network = []string{"meta protocol { ip, ip6 }"}
	case !t.Peer.IsValid():
		network = []string{""}
	case t.Protocol == "arp":
		network = []string{fmt.Sprintf("arp %s ip %s", side, t.Peer)}
	case t.Peer.Is6():
		network = []string{fmt.Sprintf("ip6 %s %s", side, t.Peer)}
	default:
		network = []string{fmt.Sprintf("ip %s %s", side, t.Peer)}
		if transport == "" {
			network = append(network, fmt.Sprintf("arp %s ip %s", side, t.Peer))
		}
	}

	var some string
	if t.Percent != 0 {
		some = fmt.Sprintf(" numgen random mod 100 < %d", t.Percent)
	}
	var rules []string
	for _, n := range network {
		match := strings.Join(strings.Fields(mac+n+" "+transport+some), " ")
		if strings.Contains(match, "%s") {
			rules = append(rules, fmt.Sprintf(match, "sport"), fmt.Sprintf(match, "dport"))
		} else {
			rules = append(rules, match)
		}
	}
	return rules, nil
}
