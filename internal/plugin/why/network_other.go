//go:build !linux

package why

import (
	"context"
	"errors"
	"net/netip"
)

// Ask asks nobody on this system.
func (network) Ask(context.Context, netip.Addr) (heard, error) {
	return heard{}, errors.New("that can be done on Linux alone")
}

// Neighbor is not found out on this system.
func (network) Neighbor(netip.Addr) (mac string, fresh bool) { return "", false }
