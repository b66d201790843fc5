// Package notify wakes a loop that looks for itself what there is to do.
package notify

// Signal tells a receiver that something has changed, and not how often: what comes before the receiver has looked counts once.
// It is received from like any channel.
type Signal chan struct{}

// New returns a Signal that nobody has notified.
func New() Signal { return make(Signal, 1) }

// Notify has the next receive succeed. It never blocks.
func (s Signal) Notify() {
	select {
	case s <- struct{}{}:
	default:
	}
}
