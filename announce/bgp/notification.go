package bgp

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Notification is a NOTIFICATION message (RFC 4271, section 4.5).
type Notification struct {
	Code, Subcode uint8
	// Reason is what an administrator says with a shutdown or a reset (RFC 9003). Empty is nothing.
	Reason string
	// Detail is what the data says otherwise, such as which capability is missing. Empty is nothing.
	Detail string
}

// ReadNotification reads one that was received.
func ReadNotification(code, subcode uint8, data []byte) Notification {
	n := Notification{Code: code, Subcode: subcode}
	switch {
	case code == codeCease && (subcode == subcodeAdministrativeShutdown || subcode == subcodeAdministrativeReset):
		if len(data) > 0 && int(data[0]) < len(data) {
			n.Reason = Printable(string(data[1 : 1+data[0]]))
		}
	case code == codeCease && subcode == subcodeHardReset && len(data) >= 2: // RFC 8538, section 3.1
		within := ReadNotification(data[0], data[1], data[2:])
		n.Reason, n.Detail = within.Reason, within.Name()
	case code == codeOpenError && subcode == subcodeUnsupportedCapability:
		n.Detail = capabilityNames(data)
	}
	return n
}

// capabilities are those that a router may insist on.
var capabilities = map[uint8]string{
	1:  "Multiprotocol",
	2:  "Route Refresh",
	5:  "Extended Next Hop",
	6:  "Extended Message",
	9:  "BGP Role",
	64: "Graceful Restart",
	65: "4-octet AS Number",
	69: "ADD-PATH",
	70: "Enhanced Route Refresh",
}

// capabilityNames lists those that a peer misses (RFC 5492, section 5).
func capabilityNames(data []byte) string {
	var names []string
	for len(data) >= 2 {
		name, known := capabilities[data[0]]
		if !known {
			name = fmt.Sprintf("capability %d", data[0])
		}
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
		data = data[min(2+int(data[1]), len(data)):]
	}
	return strings.Join(names, ", ")
}

// Printable is what a router says, without what would spoil a line.
func Printable(words string) string {
	return strings.Map(func(r rune) rune {
		if !strconv.IsPrint(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(words, "?"))
}

// The codes that decisions are made on.
const (
	CodeFSMError = 5
	// SubcodeOpenSent and SubcodeOpenConfirm are an unexpected message in that state (RFC 6608).
	SubcodeOpenSent    = 1
	SubcodeOpenConfirm = 2

	codeOpenError                 = 2
	subcodeBadPeerAS              = 2
	subcodeUnsupportedCapability  = 7
	codeCease                     = 6
	subcodeMaximumPrefixes        = 1
	subcodeAdministrativeShutdown = 2
	subcodeAdministrativeReset    = 4
	subcodeHardReset              = 9
)

// codes are the errors of NOTIFICATIONs (RFC 4271, section 4.5, and RFCs 7313 and 9687).
var codes = map[uint8]string{
	1: "Message Header Error",
	2: "OPEN Message Error",
	3: "UPDATE Message Error",
	4: "Hold Timer Expired",
	5: "Finite State Machine Error",
	6: "Cease",
	7: "ROUTE-REFRESH Message Error",
	8: "Send Hold Timer Expired",
}

// subcodes are those that come of how routers are set up, and not of mistakes in their software.
var subcodes = map[[2]uint8]string{
	{2, 1}:  "Unsupported Version Number",
	{2, 2}:  "Bad Peer AS",
	{2, 3}:  "Bad BGP Identifier",
	{2, 4}:  "Unsupported Optional Parameter",
	{2, 6}:  "Unacceptable Hold Time",
	{2, 7}:  "Unsupported Capability",
	{2, 11}: "Role Mismatch", // RFC 9234
	// RFC 4486
	{6, 1}:  "Maximum Number of Prefixes Reached",
	{6, 2}:  "Administrative Shutdown",
	{6, 3}:  "Peer De-configured",
	{6, 4}:  "Administrative Reset",
	{6, 5}:  "Connection Rejected",
	{6, 6}:  "Other Configuration Change",
	{6, 7}:  "Connection Collision Resolution",
	{6, 8}:  "Out of Resources",
	{6, 9}:  "Hard Reset", // RFC 8538
	{6, 10}: "BFD Down",   // RFC 9384
}

// String is all that a NOTIFICATION says.
func (n Notification) String() string {
	words := n.Name()
	if n.Detail != "" {
		words += " (" + n.Detail + ")"
	}
	if n.Reason != "" {
		words += fmt.Sprintf(", %q", n.Reason)
	}
	return words
}

// Class is the Name if it has one, and otherwise as much of it as has: there are few.
func (n Notification) Class() string {
	name, known := codes[n.Code]
	if !known {
		return "unknown error"
	}
	if words, known := subcodes[[2]uint8{n.Code, n.Subcode}]; known {
		return name + "/" + words
	}
	return name
}

// Name is what a NOTIFICATION says by its numbers, as in "Cease/Administrative Shutdown".
// Numbers that have no name stay.
func (n Notification) Name() string {
	name, known := codes[n.Code]
	if !known {
		name = fmt.Sprint(n.Code)
	}
	if words, known := subcodes[[2]uint8{n.Code, n.Subcode}]; known {
		return name + "/" + words
	}
	if n.Subcode == 0 {
		return name
	}
	return fmt.Sprintf("%s/%d", name, n.Subcode)
}
