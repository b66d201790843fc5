package announce

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/layer2"
	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/notify"
)

var (
	network = netip.MustParsePrefix("192.168.10.0/24")
	gateway = netip.MustParseAddr("192.168.10.254")
)

// fakeLAN is a network on which stations ask and announce.
type fakeLAN struct {
	journal *journal

	mu       sync.Mutex
	stations []*station
	// conflictingHosts are the addresses of hosts that are no nodes. A gateway is one too.
	conflictingHosts map[netip.Addr]net.HardwareAddr
	// proxy is the hardware address of a host that answers for every address; nil if there is none.
	proxy net.HardwareAddr
	// questions are how many were asked, broadcasts how many of them of all hosts, and askers how many each node has asked.
	questions, broadcasts int
	askers                map[string]int
	heartbeats            []*fakeHeartbeats
	// lost says which packets do not arrive.
	lost func(from, to string) bool
}

func newFakeLAN(j *journal) *fakeLAN {
	return &fakeLAN{journal: j, askers: map[string]int{}, lost: nothing, conflictingHosts: map[netip.Addr]net.HardwareAddr{gateway: {2, 0, 0, 0, 0, 254}}}
}

// nothing is lost.
func nothing(_, _ string) bool { return false }

// station is a node on the LAN: its kernel, and what its announcer has of layer 2.
type station struct {
	lan     *fakeLAN
	node    string
	address netip.Addr
	mac     net.HardwareAddr

	changed, kernelChanged, sighted notify.Signal
	ready                           chan struct{}
	failed                          chan error
	// fit says whether the announcer may speak, and hold for how long it waits before.
	fit  func() bool
	hold func() time.Duration

	// The LAN's mu guards the rest. A station that is not connected has a cable that leads nowhere;
	// its link may be down too.
	connected, linkDown bool
	// twoLinks says that the node's own address is on an interface of its own, eth1, by which gossip and heartbeats go.
	twoLinks, secondDown bool
	answering            bool
	forbidden            error // what keeps the announcer from opening packet sockets
	owned                map[netip.Addr][]string
	proxied              map[netip.Addr]layer2.Proxied
	sightings            []layer2.Sighting
	members              map[string]bool
	kernelProblem        string
	// virtual are addresses that somebody has put on its interface.
	virtual       []netip.Addr
	relayFailure  error
	rejected      []netip.Addr
	rejectProblem string
}

// plug connects a node whose announcer is about to be started. The kernel of a node that was there
// before is the same one.
func (l *fakeLAN) plug(node string, address netip.Addr, mac net.HardwareAddr) *station {
	s := &station{
		lan: l, node: node, address: address, mac: mac, connected: true,
		changed: notify.New(), kernelChanged: notify.New(), sighted: notify.New(), ready: make(chan struct{}), failed: make(chan error, 1),
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.stations = append(slices.DeleteFunc(l.stations, func(o *station) bool { return o.node == node }), s)
	return s
}

// owners are the nodes that answer for an address in their own name, as a host on the LAN would
// find out.
func (l *fakeLAN) owners(ip netip.Addr) (nodes []string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.stations {
		if s.connected && s.answers(ip) {
			nodes = append(nodes, s.node)
		}
	}
	return nodes
}

// asked returns how many questions nodes have asked about one of them since the last call, and how many nodes did.
func (l *fakeLAN) asked(about string) (questions, askers int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.askers, about)
	for _, n := range l.askers {
		questions += n
	}
	askers = len(l.askers)
	clear(l.askers)
	return questions, askers
}

func (l *fakeLAN) setConflictingHost(ip netip.Addr, mac net.HardwareAddr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if mac == nil {
		delete(l.conflictingHosts, ip)
	} else {
		l.conflictingHosts[ip] = mac
	}
}

func (l *fakeLAN) setProxy(mac net.HardwareAddr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.proxy = mac
}

// announce has everybody hear, under mu, that an address is at a hardware address.
func (l *fakeLAN) announce(ip netip.Addr, mac net.HardwareAddr) {
	for _, s := range l.stations {
		if s.connected && s.answers(ip) && s.mac.String() != mac.String() {
			s.sight(ip, mac)
			s.sighted.Notify()
		}
	}
}

// sight takes note, under mu, of a claim as a Responder does.
func (s *station) sight(ip netip.Addr, mac net.HardwareAddr) {
	member := func(m net.HardwareAddr) string {
		if s.members[m.String()] {
			return m.String()
		}
		return ""
	}
	i := slices.IndexFunc(s.sightings, func(o layer2.Sighting) bool { return o.Address == ip && member(o.MAC) == member(mac) })
	if i < 0 {
		i = len(s.sightings)
		s.sightings = append(s.sightings, layer2.Sighting{Address: ip, Interface: "eth0", MAC: mac})
	}
	s.sightings[i].LastMAC, s.sightings[i].At = mac, time.Now()
	s.sightings[i].Packets++
}

// hostAnnounces has a host that is no node say that it has an address.
func (l *fakeLAN) hostAnnounces(ip netip.Addr, mac net.HardwareAddr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.announce(ip, mac)
}

// setConnected plugs or pulls the cable of a node.
func (s *station) setConnected(connected, linkDown bool) {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.connected, s.linkDown = connected, linkDown
	s.changed.Notify()
	s.lan.beat()
}

func (s *station) answers(ip netip.Addr) bool {
	_, owned := s.owned[ip]
	return s.answering && owned && s.hold() == 0 && s.fit()
}

// answersTo are what the LAN answers to a question of a station, to a host alone or, if that is nil,
// to all.
func (l *fakeLAN) answersTo(asking *station, ip netip.Addr, alone net.HardwareAddr) (answers []layer2.Answer) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !asking.connected {
		return nil
	}
	l.askers[asking.node]++
	if l.questions++; alone == nil {
		l.broadcasts++
	}
	for _, s := range l.stations {
		if s == asking || !s.connected || alone != nil && !bytes.Equal(alone, s.mac) {
			continue
		}
		if l.lost(asking.node, s.node) || l.lost(s.node, asking.node) {
			continue
		}
		if s.address == ip || s.answers(ip) {
			answers = append(answers, layer2.Answer{MAC: s.mac, Source: s.mac})
		} else if p, proxied := s.proxied[ip]; proxied && s.answering {
			answers = append(answers, layer2.Answer{MAC: p.MAC, Source: s.mac})
		}
	}
	if alone != nil || l.lost(asking.node, "") || l.lost("", asking.node) {
		return answers
	}
	if mac, there := l.conflictingHosts[ip]; there {
		answers = append(answers, layer2.Answer{MAC: mac, Source: mac})
	}
	if l.proxy != nil {
		answers = append(answers, layer2.Answer{MAC: l.proxy, Source: l.proxy})
	}
	return answers
}

// fakeLinks is what the kernel of a station reports.
type fakeLinks struct{ *station }

func (s fakeLinks) Run(ctx context.Context) error {
	close(s.ready)
	<-ctx.Done()
	return nil
}

func (s fakeLinks) Ready() <-chan struct{}         { return s.ready }
func (s fakeLinks) Changed() <-chan struct{}       { return s.changed }
func (s fakeLinks) KernelChanged() <-chan struct{} { return s.kernelChanged }

func (s fakeLinks) Interfaces() []layer2.Interface {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	interfaces := []layer2.Interface{{
		Name: "eth0", Index: 2, MAC: s.mac, Up: !s.linkDown,
		Prefixes: []netip.Prefix{network}, Addresses: []netip.Addr{s.address},
		Routes:   []layer2.Route{{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, {Prefix: network, OnLink: true}},
		Gateways: []netip.Addr{gateway},
	}}
	if s.twoLinks {
		own := netip.PrefixFrom(s.address, s.address.BitLen())
		interfaces = append(interfaces, layer2.Interface{
			Name: "eth1", Index: 3, MAC: s.mac, Up: !s.secondDown,
			Prefixes: []netip.Prefix{own}, Addresses: []netip.Addr{s.address}, Routes: []layer2.Route{{Prefix: own, OnLink: true}},
		})
	}
	return interfaces
}

func (s fakeLinks) KernelAnswers(layer2.Announced) string {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	return s.kernelProblem
}

func (s fakeLinks) Permitted() error {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	return s.forbidden
}

func (s fakeLinks) NodeIPs() []netip.Addr { return []netip.Addr{s.address} }

func (s fakeLinks) KernelAddresses() []layer2.KernelAddress {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	list := []layer2.KernelAddress{{Address: s.address, Interface: "eth0"}}
	for _, address := range s.virtual {
		list = append(list, layer2.KernelAddress{Address: address, Interface: "eth0"})
	}
	return list
}

// fakeResponder answers and announces for a station while it runs.
type fakeResponder struct{ *station }

func (s fakeResponder) Run(ctx context.Context) error {
	s.setAnswering(true)
	defer s.lan.journal.add(s.node, "goes silent")
	defer s.setAnswering(false)
	select {
	case <-ctx.Done():
		return nil
	case err := <-s.failed:
		return err
	}
}

func (s fakeResponder) setAnswering(answering bool) {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.answering = answering
}

func (s fakeResponder) Set(addresses map[netip.Addr][]string) {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	before := s.owned
	s.owned = maps.Clone(addresses)
	if !maps.EqualFunc(before, addresses, slices.Equal) {
		s.lan.journal.add(s.node, "answers for "+list(slices.Collect(maps.Keys(addresses))))
	}
	for ip := range addresses {
		if _, known := before[ip]; !known && s.connected {
			s.lan.announce(ip, s.mac)
		}
	}
}

func (s fakeResponder) SetProxied(addresses map[netip.Addr]layer2.Proxied) {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	if !slices.Equal(sorted(s.proxied), sorted(addresses)) {
		s.lan.journal.add(s.node, "proxies for "+list(sorted(addresses)))
	}
	s.proxied = maps.Clone(addresses)
}

func (s fakeResponder) Reannounce(addresses ...netip.Addr) {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.lan.journal.add(s.node, "reannounces "+list(addresses))
	for _, ip := range addresses {
		s.lan.announce(ip, s.mac)
	}
}

func (s fakeResponder) Quiesce(addresses ...netip.Addr) {
	s.lan.journal.add(s.node, "quiesces "+list(addresses))
}

func (s fakeResponder) SetMembers(macs []net.HardwareAddr) {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	s.members = map[string]bool{}
	for _, mac := range macs {
		s.members[mac.String()] = true
	}
}

func (s fakeResponder) Sighted() <-chan struct{} { return s.sighted }

// AnswerKept has nothing to do: fake nodes are not asked while they are not fit.
func (s fakeResponder) AnswerKept() {}

func (s fakeResponder) Sightings() []layer2.Sighting {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	all := s.sightings
	s.sightings = nil
	return all
}

// fakeProber asks for a station.
type fakeProber struct{ *station }

func (s fakeProber) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

func (s fakeProber) Ask(ctx context.Context, q layer2.Question) (layer2.Answer, bool, error) {
	s.lan.mu.Lock()
	down := s.linkDown || q.Interface != "eth0"
	s.lan.mu.Unlock()
	if down {
		return layer2.Answer{}, false, errors.New("there is no such interface that is up")
	}
	for n := 1; n <= q.Tries; n++ {
		alone, pause := q.MAC, q.Interval
		if n == q.Broadcast {
			alone = nil
		}
		if n == q.Tries && q.Wait > 0 {
			pause = q.Wait
		}
		for _, a := range s.lan.answersTo(s.station, q.Address, alone) {
			if q.Accept == nil || q.Accept(a) {
				time.Sleep(roundTrip)
				return a, true, nil
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return layer2.Answer{}, false, ctx.Err()
		}
	}
	if q.Unanswered != nil {
		q.Unanswered(ctx)
	}
	return layer2.Answer{}, false, nil
}

// fakeRelayer is the part of a station's kernel that relays.
type fakeRelayer struct{ *station }

func (s fakeRelayer) Restore() error { return nil }

func (s fakeRelayer) Set(relays map[netip.Addr]layer2.Relay) error {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	if s.relayFailure != nil {
		return s.relayFailure
	}
	s.lan.journal.add(s.node, "relays "+list(sorted(relays)))
	return nil
}

// fakeRejects is the part of a station's kernel that refuses what nobody serves.
type fakeRejects struct{ *station }

func (fakeRejects) Leave() {}

func (s fakeRejects) Set(announced map[netip.Prefix]struct{}, _ time.Time) {
	var addresses []netip.Addr
	for prefix := range announced {
		addresses = append(addresses, prefix.Addr())
	}
	text := list(addresses) // sorts
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	if !slices.Equal(addresses, s.rejected) {
		s.lan.journal.add(s.node, "rejects for "+text)
		s.rejected = addresses
	}
}

func (s fakeRejects) Step(time.Time) time.Time { return time.Time{} }

func (s fakeRejects) Sentence() string {
	s.lan.mu.Lock()
	defer s.lan.mu.Unlock()
	return s.rejectProblem
}

// fakeChecks is what a test knows of the kube-proxy of a node.
type fakeChecks struct {
	changed notify.Signal

	mu     sync.Mutex
	wanted map[types.NamespacedName]plan.EndpointCheck
	served []types.NamespacedName
}

func (f *fakeChecks) Set(_ context.Context, wanted map[types.NamespacedName]plan.EndpointCheck) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.wanted = wanted
}

func (f *fakeChecks) Changed() <-chan struct{} { return f.changed }
func (f *fakeChecks) Wait()                    {}

func (f *fakeChecks) Served() []types.NamespacedName {
	f.mu.Lock()
	defer f.mu.Unlock()
	served := f.served
	f.served = nil
	return served
}

// serves has kube-proxy serve all that it is asked about.
func (f *fakeChecks) serves() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.served = slices.Collect(maps.Keys(f.wanted))
	f.changed.Notify()
}

// fakeHealth is that of the kube-proxy of a node; unknown until a test says it.
type fakeHealth struct {
	idle
	changed notify.Signal

	mu        sync.Mutex
	condition *metav1.Condition
}

func (f *fakeHealth) Changed() <-chan struct{} { return f.changed }

func (f *fakeHealth) Condition() (condition metav1.Condition, known bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.condition == nil {
		return metav1.Condition{}, false
	}
	return *f.condition, true
}

// is has kube-proxy be healthy or not.
func (f *fakeHealth) is(status metav1.ConditionStatus, reason string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.condition = &metav1.Condition{Type: v1alpha1.ConditionKubeProxy, Status: status, Reason: reason, Message: "It says so."}
	f.changed.Notify()
}

func sorted[V any](addresses map[netip.Addr]V) []netip.Addr {
	return slices.SortedFunc(maps.Keys(addresses), netip.Addr.Compare)
}

func list(addresses []netip.Addr) string {
	if len(addresses) == 0 {
		return "nothing"
	}
	slices.SortFunc(addresses, netip.Addr.Compare)
	var texts []string
	for _, ip := range addresses {
		texts = append(texts, ip.String())
	}
	return strings.Join(texts, " ")
}
