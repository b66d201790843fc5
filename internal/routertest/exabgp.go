package routertest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"time"
)

// ExaBGP is ExaBGP on a host. It has no table: what it is told it passes on to a program, here one
// that writes it to a file.
type ExaBGP struct {
	daemons
	config string
}

// NewExaBGP returns ExaBGP with a configuration, in which PROGRAM stands for the one that its JSON
// goes to. It does not run yet.
func NewExaBGP(on Machine, log, config string) (*ExaBGP, error) {
	d, err := newDaemons(on, log)
	return &ExaBGP{d, config}, err
}

// exaBGP is the configuration for ExaBGP.
func (c Config) exaBGP() string {
	var b strings.Builder
	b.WriteString("process messages {\n\trun PROGRAM;\n\tencoder json;\n}\n")
	for _, n := range c.Neighbors {
		fmt.Fprintf(&b, "neighbor %s {\n\trouter-id %s;\n\tlocal-address %s;\n\tlocal-as %d;\n\tpeer-as %d;\n\thold-time %d;\n\tpassive true;\n\tlisten 179;\n",
			n.Address, c.RouterID, n.Local, c.ASN, n.ASN, int(n.holdTime().Seconds()))
		if n.Password != "" {
			fmt.Fprintf(&b, "\tmd5-password %q;\n", n.Password)
		}
		if n.ExtendedNextHop {
			b.WriteString("\tcapability { nexthop true; }\n\tnexthop { ipv4 unicast ipv6; }\n")
		}
		b.WriteString("\tfamily { ipv4 unicast; ipv6 unicast; }\n")
		b.WriteString("\tapi { processes [ messages ]; neighbor-changes; negotiated; receive { parsed; packets; update; notification; } }\n}\n")
	}
	return b.String()
}

// Start runs it.
func (r *ExaBGP) Start(ctx context.Context) error {
	if err := os.RemoveAll(r.at("messages")); err != nil {
		return err
	}
	// ExaBGP takes a program whose standard output is closed for dead, so cat is not the program itself.
	if err := r.write("program", fmt.Sprintf("cat >>%s\nexit\n", r.at("messages"))); err != nil {
		return err
	}
	if err := r.write("exabgp.conf", strings.ReplaceAll(r.config, "PROGRAM", "/bin/sh "+r.at("program"))); err != nil {
		return err
	}
	return r.start(ctx, "exabgp", func() error {
		_, err := os.Stat(r.at("messages"))
		return err
	}, "env", "exabgp.daemon.user=root", "exabgp.daemon.drop=false", "exabgp.api.cli=false", "exabgp.api.ack=false", "/usr/sbin/exabgp", r.at("exabgp.conf"))
}

// Diagnosis is all that it was told.
func (r *ExaBGP) Diagnosis(context.Context) string {
	said, _ := os.ReadFile(r.at("messages"))
	return string(said)
}

// exaMessage is what ExaBGP says of something that happens.
type exaMessage struct {
	Type     string
	Neighbor struct {
		Address    struct{ Peer netip.Addr }
		State      string
		Negotiated struct {
			HoldTime int `json:"hold_time"`
		}
		Message struct {
			Update exaUpdate
			// Category and Body are of messages as they came, in hexadecimal. ExaBGP itself cannot read
			// a NOTIFICATION with a text.
			Category int
			Body     string
		}
	}
}

// notification is the type of a NOTIFICATION (RFC 4271, section 4.1).
const notification = 3

type exaUpdate struct {
	Attribute struct {
		ASPath         []uint32   `json:"as-path"`
		MED            *uint32    `json:"med"`
		Community      [][]uint32 `json:"community"`
		LargeCommunity [][]uint32 `json:"large-community"`
	}
	// Announce are prefixes, by the family and the next hop. Withdraw are those without next hop.
	Announce map[string]map[netip.Addr][]exaPrefix
	Withdraw map[string][]exaPrefix
}

type exaPrefix struct{ NLRI netip.Prefix }

// exaTable is what follows from all messages.
type exaTable struct {
	sessions map[netip.Addr]Session
	routes   map[netip.Addr]map[netip.Prefix]Route
}

// table reads all messages.
func (r *ExaBGP) table() (exaTable, error) {
	t := exaTable{map[netip.Addr]Session{}, map[netip.Addr]map[netip.Prefix]Route{}}
	said, err := os.ReadFile(r.at("messages"))
	if err != nil {
		return t, err
	}
	for line := range bytes.Lines(said) {
		if !bytes.HasSuffix(line, []byte("\n")) {
			break // more of it is to come
		}
		var m exaMessage
		if err := json.Unmarshal(line, &m); err != nil {
			return t, fmt.Errorf("a message: %w\n%s", err, line)
		}
		t.take(m)
	}
	return t, nil
}

// take brings the table up to date with a message.
func (t exaTable) take(m exaMessage) {
	from := m.Neighbor.Address.Peer
	s := t.sessions[from]
	switch m.Type {
	case "negotiated":
		s = Session{HoldTime: time.Duration(m.Neighbor.Negotiated.HoldTime) * time.Second}
	case "state":
		s.Established = m.Neighbor.State == "up"
		if !s.Established {
			s.HoldTime = 0
			t.routes[from] = nil
		}
	case "update":
		t.update(from, m.Neighbor.Message.Update)
	}
	if m.Neighbor.Message.Category == notification {
		s.ShutdownMessage = shutdownMessage(m.Neighbor.Message.Body)
	}
	t.sessions[from] = s
}

func (t exaTable) update(from netip.Addr, u exaUpdate) {
	if t.routes[from] == nil {
		t.routes[from] = map[netip.Prefix]Route{}
	}
	for _, prefixes := range u.Withdraw {
		for _, p := range prefixes {
			delete(t.routes[from], p.NLRI)
		}
	}
	for _, hops := range u.Announce {
		for hop, prefixes := range hops {
			for _, p := range prefixes {
				t.routes[from][p.NLRI] = Route{
					NextHop: hop, ASPath: u.Attribute.ASPath, MED: u.Attribute.MED,
					Communities: joined(u.Attribute.Community), LargeCommunities: joined(u.Attribute.LargeCommunity),
				}
			}
		}
	}
}

// Sessions returns what it has said of its sessions.
func (r *ExaBGP) Sessions(context.Context) (map[netip.Addr]Session, error) {
	t, err := r.table()
	return t.sessions, err
}

// Routes returns the routes to a prefix.
func (r *ExaBGP) Routes(_ context.Context, prefix netip.Prefix) (map[netip.Addr]Route, error) {
	t, err := r.table()
	routes := map[netip.Addr]Route{}
	for from, of := range t.routes {
		if route, ok := of[prefix]; ok {
			routes[from] = route
		}
	}
	return routes, err
}
