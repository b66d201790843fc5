package layer2

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/clarionlb/clarion/internal/notify"
)

// kernelAddresses are the addresses that the kernel has on any interface, loopback and interfaces
// without ARP included.
type kernelAddresses struct {
	changed notify.Signal

	mu    sync.Mutex
	names map[int]string // of interfaces by index
	at    map[netip.Addr][]int
}

func (k *kernelAddresses) setNames(names map[int]string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names = names
}

func (k *kernelAddresses) setName(index int, name string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.names[index] = name
}

func (k *kernelAddresses) forgetName(index int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.names, index)
	k.changed.Notify()
}

func (k *kernelAddresses) set(at map[netip.Addr][]int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !maps.EqualFunc(k.at, at, func(a, b []int) bool {
		return len(a) == len(b) && !slices.ContainsFunc(a, func(i int) bool { return !slices.Contains(b, i) })
	}) {
		k.changed.Notify()
	}
	k.at = at
}

func (k *kernelAddresses) add(addr netip.Addr, index int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !slices.Contains(k.at[addr], index) {
		k.at[addr] = append(k.at[addr], index)
		k.changed.Notify()
	}
}

func (k *kernelAddresses) remove(addr netip.Addr, index int) {
	k.mu.Lock()
	defer k.mu.Unlock()
	rest := slices.DeleteFunc(k.at[addr], func(i int) bool { return i == index })
	if k.at[addr] = rest; len(rest) == 0 {
		delete(k.at, addr)
	}
	k.changed.Notify()
}

// all returns the names of the interfaces on which the kernel has each address.
func (k *kernelAddresses) all() map[netip.Addr][]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	all := make(map[netip.Addr][]string, len(k.at))
	for addr, indices := range k.at {
		for _, index := range indices {
			if name, ok := k.names[index]; ok {
				all[addr] = append(all[addr], name)
			}
		}
		slices.Sort(all[addr])
	}
	return all
}

// arpSettings are the sysctls arp_ignore and arp_announce as they hold for an interface.
type arpSettings struct{ ignore, announce int }

// kernelReply is how the kernel by itself answers for an address that it has.
type kernelReply struct {
	addr netip.Addr
	// has is the interface that has the address, and on the one where requests for it arrive.
	has, on string
	// answers says that the kernel answers these requests.
	answers bool
	// announces says that the kernel names the address as the sender of its own ARP requests on
	// that interface.
	announces bool
}

// kernelReplyFor returns how the kernel answers on one interface for an address that another or the
// same has.
//
// It answers ARP requests for the addresses of all interfaces, unless arp_ignore forbids that (1
// and 2: only for those of the interface; 8: for none). It may name the address of any interface as
// the sender of its requests, unless arp_announce forbids that (2). It answers neighbour
// solicitations only for the IPv6 addresses of the interface.
func kernelReplyFor(addr netip.Addr, has, on string, s arpSettings) kernelReply {
	k := kernelReply{addr: addr, has: has, on: on}
	switch {
	case has == on:
		k.answers, k.announces = s.ignore != 8 || addr.Is6(), true
	case addr.Is4():
		k.answers, k.announces = s.ignore == 0 || s.ignore == 3, s.announce < 2
	}
	return k
}

// sentence says what is wrong and how to repair it. more is how many other addresses have the same
// fault.
func (k kernelReply) sentence(more int) string {
	what := fmt.Sprintf("The kernel has %s on %s", k.addr, k.has)
	if more == 1 {
		what += " (and 1 more address alike)"
	} else if more > 1 {
		what += fmt.Sprintf(" (and %d more addresses alike)", more)
	}
	switch {
	case k.has == k.on:
		return what + " itself and so tells the network that it is at this node, always: take it off the interface."
	case k.answers && k.announces:
		what += fmt.Sprintf(" and answers ARP requests for it on %s, and names it in its own", k.on)
	case k.answers:
		what += fmt.Sprintf(" and answers ARP requests for it on %s", k.on)
	default:
		what += fmt.Sprintf(" and names it as the sender of its ARP requests on %s", k.on)
	}
	return what + ", so that the network finds it at this node whichever announces it: " +
		"set strictARP: true in kube-proxy's configuration, or the sysctls net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2."
}

// KernelChanged receives after the addresses of the kernel have changed, so that KernelAnswers may
// return something else. Several changes may come as one. Changes of the kernel's settings are not
// reported by the kernel, and so not here.
func (l *Links) KernelChanged() <-chan struct{} { return l.kernel.changed }

// KernelAnswers says whether the kernel of this node answers by itself for addresses that may be
// announced. If it does, more than one node answers for them. It returns a sentence that says so
// and how to repair it; "" if the kernel does not answer. interfaces returns the names of the
// interfaces on which an address may be announced. It is called for the addresses that the kernel
// has.
func (l *Links) KernelAnswers(interfaces func(netip.Addr) []string) string {
	settings := map[string]arpSettings{}
	var first kernelReply
	var count int
	for addr, owners := range l.kernel.all() {
		for _, on := range interfaces(addr) {
			s, ok := settings[on]
			if !ok {
				s = arpSettingsOf(on)
				settings[on] = s
			}
			n := slices.IndexFunc(owners, func(has string) bool {
				reply := kernelReplyFor(addr, has, on, s)
				return reply.answers || reply.announces
			})
			if n < 0 {
				continue
			}
			if count++; count == 1 || addr.Less(first.addr) {
				first = kernelReplyFor(addr, owners[n], on, s)
			}
			break
		}
	}
	if count == 0 {
		return ""
	}
	return first.sentence(count - 1)
}
