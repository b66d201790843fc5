package layer2

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"

	"github.com/clarionlb/clarion/internal/notify"
)

// kernelAddresses are the addresses that the kernel itself has, wherever they are, loopback and interfaces without ARP included.
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

// all returns for each address of the kernel the names of the interfaces on which it has it.
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

// kernelReply is what the kernel says of an address that it has, by itself.
type kernelReply struct {
	addr netip.Addr
	// has is the interface on which it has the address, and says the one on which it speaks.
	has, says string
	// answers says that it answers for the address, and announces that its own requests name it as their sender.
	answers, announces bool
}

// kernelReplyFor tells what the kernel says on an interface of an address that it has on an interface.
//
// It answers ARP requests for any address of its own, wherever that is, unless arp_ignore forbids (1 and 2: only for those of
// the interface; 8: for none), and takes any as the sender of its requests, unless arp_announce forbids (2). It answers
// solicitations only for the IPv6 addresses of the interface.
func kernelReplyFor(addr netip.Addr, has, says string, s arpSettings) kernelReply {
	l := kernelReply{addr: addr, has: has, says: says}
	switch {
	case has == says:
		l.answers, l.announces = s.ignore != 8 || addr.Is6(), true
	case addr.Is4():
		l.answers, l.announces = s.ignore == 0 || s.ignore == 3, s.announce < 2
	}
	return l
}

// sentence says what is wrong and what helps.
func (l kernelReply) sentence(more int) string {
	what := fmt.Sprintf("The kernel has %s on %s", l.addr, l.has)
	if more == 1 {
		what += " (and 1 more address alike)"
	} else if more > 1 {
		what += fmt.Sprintf(" (and %d more addresses alike)", more)
	}
	switch {
	case l.has == l.says:
		return what + " itself and so tells the network that it is at this node, always: take it off the interface."
	case l.answers && l.announces:
		what += fmt.Sprintf(" and answers ARP requests for it on %s, and names it in its own", l.says)
	case l.answers:
		what += fmt.Sprintf(" and answers ARP requests for it on %s", l.says)
	default:
		what += fmt.Sprintf(" and names it as the sender of its ARP requests on %s", l.says)
	}
	return what + ", so that the network finds it at this node whichever announces it: " +
		"set strictARP: true in kube-proxy's configuration, or the sysctls net.ipv4.conf.all.arp_ignore=1 and net.ipv4.conf.all.arp_announce=2."
}

// KernelChanged receives after KernelAnswers may have come to say something else because of the addresses that the kernel has;
// several changes may come as one. It does not when settings of the kernel are changed, which the kernel reports to nobody.
func (l *Links) KernelChanged() <-chan struct{} { return l.kernel.changed }

// KernelAnswers tells whether the kernel of this node would speak for addresses by itself, on the interfaces that they may be
// announced on: then more than one node answers for them. It returns a sentence that says so and what helps, or nothing if the
// kernel keeps quiet. on tells the names of those interfaces, and is asked for addresses that the kernel has.
func (l *Links) KernelAnswers(on func(netip.Addr) []string) string {
	settings := map[string]arpSettings{}
	var first kernelReply
	var count int
	for addr, where := range l.kernel.all() {
		for _, says := range on(addr) {
			s, ok := settings[says]
			if !ok {
				s = arpSettingsOf(says)
				settings[says] = s
			}
			n := slices.IndexFunc(where, func(has string) bool {
				found := kernelReplyFor(addr, has, says, s)
				return found.answers || found.announces
			})
			if n < 0 {
				continue
			}
			if count++; count == 1 || addr.Less(first.addr) {
				first = kernelReplyFor(addr, where[n], says, s)
			}
			break
		}
	}
	if count == 0 {
		return ""
	}
	return first.sentence(count - 1)
}
