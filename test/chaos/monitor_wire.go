package chaos

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/clarionlb/clarion/test/cluster/network"
)

// finding is something that must not be, and when it was.
type finding struct {
	at   time.Time
	text string
}

// wire is what a host on the nodes' LAN hears in a round when it asks all the time who has the addresses of the pool.
type wire struct {
	watch *network.Watch
	// name turns hardware addresses in a text into the names of their nodes.
	name func(string) string
}

func watchWire(ctx context.Context, host *network.Host, name func(string) string) (*wire, error) {
	watch, err := host.Watch(ctx, "eth0", network.WatchOptions{Interval: question}, poolAddresses()...)
	return &wire{watch, name}, err
}

// judge ends the watch and returns what was wrong, by the addresses that any Service had in this round, and those for which somebody
// had to answer throughout.
func (w *wire) judge(held, kept map[netip.Addr]bool) ([]finding, error) {
	err := w.watch.Stop()
	var wrong []finding
	for _, address := range poolAddresses() {
		answers := w.watch.Answers(address)
		for _, o := range overlaps(answers) {
			if o.length() > transition {
				wrong = append(wrong, finding{o.from, w.name(fmt.Sprintf("%s and %s both answered for %s for %s", o.first, o.second, address, o.length()))})
			}
		}
		if tenures := answers.Tenures(); len(tenures) > 0 && !held[address] {
			wrong = append(wrong, finding{tenures[0].From, w.name(fmt.Sprintf("%s answered for %s, which no Service has had", tenures[0].MAC, address))})
		}
		for _, gap := range answers.Gaps() {
			if kept[address] && gap.Length() > takeover {
				wrong = append(wrong, finding{gap.From, fmt.Sprintf("nobody answered for %s for %s", address, gap.Length())})
			}
		}
	}
	return wrong, err
}

// overlap is a time in which two hosts answered for an address.
type overlap struct {
	first, second net.HardwareAddr
	from, to      time.Time
}

func (o overlap) length() time.Duration { return o.to.Sub(o.from).Round(time.Millisecond) }

// overlaps returns when two hosts answered at once. It never says too long: each of them had the address before and after.
func overlaps(answers network.Answers) []overlap {
	var all []overlap
	tenures := answers.Tenures()
	for i, b := range tenures {
		for _, a := range tenures[:i] { // it began earlier
			to := a.To
			if b.To.Before(to) {
				to = b.To
			}
			if to.After(b.From) && a.MAC.String() != b.MAC.String() {
				all = append(all, overlap{a.MAC, b.MAC, b.From, to})
			}
		}
	}
	return all
}
