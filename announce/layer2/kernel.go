package layer2

import (
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

// allNames returns the names of all interfaces by index.
func (k *kernelAddresses) allNames() map[int]string {
	k.mu.Lock()
	defer k.mu.Unlock()
	return maps.Clone(k.names)
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

// KernelChanged receives after the addresses of the kernel have changed, so that KernelAnswers may
// return something else. Several changes may come as one. Changes of the kernel's settings are not
// reported by the kernel, and so not here.
func (l *Links) KernelChanged() <-chan struct{} { return l.kernel.changed }

// ofServices are the interfaces on which a proxy has the addresses of all Services, so that the kernel
// takes packets to them for its own: kube-proxy in IPVS mode, and kube-router.
var ofServices = []string{"kube-ipvs0", "kube-dummy-if"}

// KernelAddress is an address that the kernel has, and the first interface by name that has it.
type KernelAddress struct {
	Address   netip.Addr
	Interface string
}

// KernelAddresses returns the addresses that the node has for itself, sorted. It leaves out those
// that mean nothing to others, loopback and link-local ones, and those that a proxy has put there
// for Services. KernelChanged tells when they may be others.
func (l *Links) KernelAddresses() []KernelAddress {
	var list []KernelAddress
	for addr, names := range l.kernel.all() {
		names = slices.DeleteFunc(names, func(name string) bool { return slices.Contains(ofServices, name) })
		if len(names) > 0 && addr.IsGlobalUnicast() {
			list = append(list, KernelAddress{addr, names[0]})
		}
	}
	slices.SortFunc(list, func(a, b KernelAddress) int { return a.Address.Compare(b.Address) })
	return list
}
