// Package membership says which announcers of the cluster are alive, within about a third of a second and without the API
// server. It knows nothing of addresses and decides nothing: that somebody is out of sight does not yet mean that what he
// had may be taken over.
//
// It is a thin shell around hashicorp/memberlist, which gossips over UDP and exchanges its state over TCP. What it adds is
//   - the tuning for a LAN;
//   - that it keeps looking for everybody who should be there, so that a cluster that fell apart, or that was started in any
//     order, always comes together again;
//   - a change of the key, with which all gossip is encrypted, that nobody notices;
//   - whether somebody left or died, and when he was last seen.
package membership
