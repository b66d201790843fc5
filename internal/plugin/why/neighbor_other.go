//go:build !linux

package why

import "net/netip"

// Neighbor is not found out on this system.
func (network) Neighbor(netip.Addr) (mac string, fresh bool) { return "", false }
