package bgp

import "fmt"

// Notification is a NOTIFICATION message (RFC 4271, section 4.5).
type Notification struct {
	Code, Subcode uint8
	// Reason is what an administrator says with a shutdown or a reset (RFC 9003). Empty is nothing.
	Reason string
}

// The codes that decisions are made on.
const (
	CodeFSMError = 5
	// SubcodeOpenSent is an unexpected message in OpenSent (RFC 6608).
	SubcodeOpenSent = 1
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
	{2, 1}: "Unsupported Version Number",
	{2, 2}: "Bad Peer AS",
	{2, 3}: "Bad BGP Identifier",
	{2, 4}: "Unsupported Optional Parameter",
	{2, 6}: "Unacceptable Hold Time",
	{2, 7}: "Unsupported Capability",
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

// Name is what a NOTIFICATION says, but for the Reason, as in "Cease/Administrative Shutdown".
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
