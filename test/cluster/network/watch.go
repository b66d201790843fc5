package network

import (
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/mdlayher/arp"
	"github.com/mdlayher/ndp"
	"golang.org/x/sys/unix"
)

// WatchOptions says how a watch asks. Zero values stand for the defaults.
type WatchOptions struct {
	// Interval is the time from one question to the next, default 5ms.
	Interval time.Duration
}

// Watch asks a LAN again and again who has addresses, by ARP and by neighbour solicitation, and
// records every answer.
//
// It puts each question in the name of another link-local address, made up for it. An answer goes
// to that address, and so says which question it answers. No kernel takes part in that, and no
// other host learns anything from it.
type Watch struct {
	device    net.Interface
	addresses []netip.Addr
	sniffer   *Sniffer
	cancel    context.CancelFunc
	done      chan struct{}

	mu    sync.Mutex
	asked []time.Time // by the numbers of the questions
	err   error
}

// Watch begins to ask for addresses on a device of the host, until the watch is stopped. The host
// should have nothing else to do on that LAN: its own kernel hears the answers too.
func (h *Host) Watch(ctx context.Context, device string, options WatchOptions, addresses ...netip.Addr) (*Watch, error) {
	if options.Interval == 0 {
		options.Interval = 5 * time.Millisecond
	}
	const replies, advertisements = "arp[6:2] = 2", "icmp6 and ip6[40] = 136"
	sniffer, err := h.Sniff(ctx, device, replies+" or ("+advertisements+")")
	if err != nil {
		return nil, err
	}
	w := &Watch{addresses: addresses, sniffer: sniffer, done: make(chan struct{})}
	var socket *os.File
	err = h.Do(func() error {
		ifi, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		w.device = *ifi
		socket, err = sendingSocket(ifi.Index)
		return err
	})
	if err != nil {
		sniffer.Stop()
		return nil, fmt.Errorf("watch %s of %s: %w", device, h.Name, err)
	}
	ctx, w.cancel = context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		defer close(w.done)
		defer socket.Close()
		w.ask(ctx, socket, options.Interval)
	}()
	return w, nil
}

// sendingSocket is a packet socket that receives nothing.
func sendingSocket(device int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: device}); err != nil {
		unix.Close(fd)
		return nil, err
	}
	return os.NewFile(uintptr(fd), "watch"), nil
}

func (w *Watch) ask(ctx context.Context, socket *os.File, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for number := 0; ; number++ {
		w.mu.Lock()
		w.asked = append(w.asked, time.Now())
		w.mu.Unlock()
		for _, address := range w.addresses {
			frame, err := WhoHas(address, asker(number, address.Is6()), w.device.HardwareAddr)
			if err == nil {
				_, err = socket.Write(frame)
			}
			if err != nil {
				w.mu.Lock()
				w.err = fmt.Errorf("ask for %s: %w", address, err)
				w.mu.Unlock()
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// askers is how many addresses there are to ask from: 169.254.1.0 to 169.254.254.255 (RFC 3927),
// and as many of fe80::/64.
const askers = 254 << 8

func asker(number int, v6 bool) netip.Addr {
	number = number%askers + 1<<8
	if v6 {
		return netip.AddrFrom16([16]byte{0: 0xfe, 1: 0x80, 8: 0xa5, 14: byte(number >> 8), 15: byte(number)})
	}
	return netip.AddrFrom4([4]byte{169, 254, byte(number >> 8), byte(number)})
}

// numberOf is the reverse of asker.
func numberOf(address netip.Addr) (int, bool) {
	bytes := address.AsSlice()
	number := int(binary.BigEndian.Uint16(bytes[len(bytes)-2:])) - 1<<8
	return number, number >= 0 && number < askers && asker(number, address.Is6()) == address
}

// WhoHas returns a frame that asks who has an address, by ARP or by neighbour solicitation. A host with these addresses asks.
func WhoHas(address, source netip.Addr, from net.HardwareAddr) ([]byte, error) {
	if address.Is4() {
		broadcast := net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
		packet, err := arp.NewPacket(arp.OperationRequest, from, source, make(net.HardwareAddr, 6), address)
		if err != nil {
			return nil, err
		}
		payload, err := packet.MarshalBinary()
		return ethernet(broadcast, from, unix.ETH_P_ARP, payload), err
	}
	group, err := ndp.SolicitedNodeMulticast(address)
	if err != nil {
		return nil, err
	}
	message, err := ndp.MarshalMessageChecksum(&ndp.NeighborSolicitation{
		TargetAddress: address,
		Options:       []ndp.Option{&ndp.LinkLayerAddress{Direction: ndp.Source, Addr: from}},
	}, source, group)
	if err != nil {
		return nil, err
	}
	header := []byte{0: 6 << 4, 5: byte(len(message)), 6: unix.IPPROTO_ICMPV6, 7: 255}
	header = append(append(header, source.AsSlice()...), group.AsSlice()...)
	groupBytes := group.As16()
	multicast := append(net.HardwareAddr{0x33, 0x33}, groupBytes[12:]...)
	return ethernet(multicast, from, unix.ETH_P_IPV6, append(header, message...)), nil
}

func ethernet(to, from net.HardwareAddr, protocol uint16, payload []byte) []byte {
	frame := slices.Concat([]byte(to), []byte(from))
	return append(binary.BigEndian.AppendUint16(frame, protocol), payload...)
}

// parseAnswer reads an answer to a question of a watch.
func parseAnswer(frame Frame) (address netip.Addr, number int, answer Answer, ok bool) {
	data := frame.Data
	if frame.Outgoing || len(data) < ethernetHeader {
		return netip.Addr{}, 0, Answer{}, false
	}
	answer = Answer{Received: frame.Time, Source: net.HardwareAddr(data[6:12])}
	switch payload := data[ethernetHeader:]; binary.BigEndian.Uint16(data[12:]) {
	case unix.ETH_P_ARP:
		var packet arp.Packet
		if packet.UnmarshalBinary(payload) != nil || packet.Operation != arp.OperationReply || !packet.TargetIP.Is4() {
			return netip.Addr{}, 0, Answer{}, false
		}
		number, ok = numberOf(packet.TargetIP)
		address, answer.MAC = packet.SenderIP, packet.SenderHardwareAddr
	case unix.ETH_P_IPV6:
		if len(payload) < ipv6Header {
			return netip.Addr{}, 0, Answer{}, false
		}
		message, err := ndp.ParseMessage(payload[ipv6Header:])
		advertisement, is := message.(*ndp.NeighborAdvertisement)
		if err != nil || !is {
			return netip.Addr{}, 0, Answer{}, false
		}
		number, ok = numberOf(netip.AddrFrom16([16]byte(payload[24:40])))
		address, answer.MAC = advertisement.TargetAddress, answer.Source
		for _, option := range advertisement.Options {
			if target, is := option.(*ndp.LinkLayerAddress); is && target.Direction == ndp.Target {
				answer.MAC = target.Addr
			}
		}
	}
	return address, number, answer, ok
}

// AwaitSole waits until a number of questions in a row, all put after the call, were each answered
// for an address, with one and the same hardware address, and returns that.
func (w *Watch) AwaitSole(ctx context.Context, address netip.Addr, questions int) (net.HardwareAddr, error) {
	w.mu.Lock()
	since, first := time.Now(), len(w.asked)
	w.mu.Unlock()
	said := map[int]net.HardwareAddr{} // nil where several were said
	var last []net.HardwareAddr
	_, err := w.sniffer.Await(ctx, func(frame Frame) bool {
		of, number, answer, ok := parseAnswer(frame)
		number -= first % askers
		if number < 0 {
			number += askers
		}
		if !ok || of != address || frame.Time.Before(since) || number > askers/2 {
			return false
		}
		if before, there := said[number]; there && before.String() != answer.MAC.String() {
			said[number] = nil
		} else if !there {
			said[number] = answer.MAC
		}
		last = append(last, answer.MAC)
		for n := number; n > number-questions; n-- {
			if mac := said[n]; mac == nil || mac.String() != answer.MAC.String() {
				return false
			}
		}
		return true
	})
	if err != nil {
		last = last[max(0, len(last)-2*questions):]
		return nil, fmt.Errorf("wait for one host to answer for %s: %w; its last answers were %v", address, err, last)
	}
	return last[len(last)-1], nil
}

// Stop ends the watch, after the answers to its last questions have had time to come.
func (w *Watch) Stop() error {
	w.cancel()
	<-w.done
	w.mu.Lock()
	last, err := len(w.asked)-1, w.err
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	for _, address := range w.addresses {
		w.sniffer.Await(ctx, func(frame Frame) bool { // that nobody answers is a result too
			of, number, _, ok := parseAnswer(frame)
			return ok && of == address && number == last%askers
		})
	}
	w.sniffer.Stop()
	return err
}

// Answers returns what has been answered for an address so far.
func (w *Watch) Answers(address netip.Addr) Answers {
	frames := w.sniffer.Frames()
	w.mu.Lock()
	defer w.mu.Unlock()
	a := Answers{Address: address, Questions: make([]Question, len(w.asked))}
	for number, asked := range w.asked {
		a.Questions[number].Asked = asked
	}
	for _, frame := range frames {
		of, number, answer, ok := parseAnswer(frame)
		if !ok || of != address {
			continue
		}
		// Of the questions with that number, it answers the last one that had been put.
		for number+askers < len(w.asked) && w.asked[number+askers].Before(answer.Received) {
			number += askers
		}
		if number < len(w.asked) {
			a.Questions[number].Answers = append(a.Questions[number].Answers, answer)
		}
	}
	return a
}
