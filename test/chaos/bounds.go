package chaos

import "time"

// Bounds are those of what the product promises, on a machine that is busy.
const (
	// recovery is how long it may take after the last fault has ended until everything works: a node has to boot and its pods to be
	// started anew, which their kubelet delays more and more when they have died often; and the lease of a leader has to expire.
	recovery = 2 * time.Minute
	// transition is for how long two nodes may answer for an address. One that is drained answers until it has heard that the next one
	// does. One that was cut off for less time than it takes it to notice answers, when it is back, until it is told who has the address now.
	transition = time.Second
	// takeover is for how long nobody may answer after a single failure. The product needs a fraction of a second.
	takeover = 5 * time.Second
	// question is the time between two questions for an address.
	question = 20 * time.Millisecond
)

// growth is by how much the descriptors and goroutines of a process may grow from one round to any later one.
const growth = 60
