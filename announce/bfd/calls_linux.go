package bfd

import (
	"net/netip"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The calls of this file are those that a Speaker makes for each packet and each timer. None of them waits, so that they are made without
// telling Go's scheduler (unix.RawSyscall): in a process that is else idle it would wake its monitor thread for each call, and that
// thread takes longer than the call (entersyscall and sysmon in runtime/proc.go).

// sendNow is unix.Write on a connected socket that does not block.
func sendNow(fd int, b []byte) error {
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return errno
	}
	return nil
}

// receiveNow is unix.Recvmsg on a socket that does not block, with the sender's address and no port. It returns how many bytes of both
// buffers were filled.
func receiveNow(fd int, payload, control []byte) (n, controls int, from netip.Addr, err error) {
	var sender unix.RawSockaddrAny
	buffer := unix.Iovec{Base: unsafe.SliceData(payload)}
	buffer.SetLen(len(payload))
	message := unix.Msghdr{
		Name: (*byte)(unsafe.Pointer(&sender)), Namelen: unix.SizeofSockaddrAny, Iov: &buffer, Control: unsafe.SliceData(control),
	}
	message.SetIovlen(1)
	message.SetControllen(len(control))
	filled, _, errno := unix.RawSyscall(unix.SYS_RECVMSG, uintptr(fd), uintptr(unsafe.Pointer(&message)), 0)
	if errno != 0 {
		return 0, 0, netip.Addr{}, errno
	}
	switch sender.Addr.Family {
	case unix.AF_INET:
		from = netip.AddrFrom4((*unix.RawSockaddrInet4)(unsafe.Pointer(&sender)).Addr)
	case unix.AF_INET6:
		from = netip.AddrFrom16((*unix.RawSockaddrInet6)(unsafe.Pointer(&sender)).Addr)
	}
	return int(filled), int(message.Controllen), from, nil
}

// armNow is unix.TimerfdSettime, with how long from now.
func armNow(fd int, setting unix.ItimerSpec) {
	// It fails only if there is no such timer or time.
	unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, uintptr(fd), 0, uintptr(unsafe.Pointer(&setting)), 0, 0, 0)
}
