// Package membership says which announcers of the cluster are alive. It notices a death within
// about a third of a second, and without the API server. It knows nothing of addresses and decides
// nothing: that a member is dead to the gossip does not yet mean that another may take over its
// addresses.
//
// It is a thin shell around hashicorp/memberlist, which implements SWIM over UDP and exchanges full
// state over TCP. The package adds
//   - the timing for a LAN;
//   - joining: it tries all members that should be there until they are, so a cluster that fell
//     apart, or that was started in any order, always comes together again;
//   - a rotation of the key that encrypts all gossip, without a member that is lost meanwhile;
//   - whether a member left or died, and when it was last known to be alive.
package membership
