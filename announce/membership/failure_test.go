package membership

import "testing"

// three starts members on three nodes of a LAN, and waits until they see each other.
func three(t *testing.T) ([]*node, []*process) {
	t.Helper()
	nodes, processes := members(t, newLAN(t), 3)
	for _, p := range processes {
		p.await("joined", func() bool { return p.joined })
	}
	return nodes, processes
}

func TestNodeThatLosesPowerIsNoticedAndAcceptedWhenItReturns(t *testing.T) {
	nodes, processes := three(t)
	nodes[2].disconnect()
	processes[2].kill()
	processes[0].awaitAlive(nodes[:2]...)
	processes[1].awaitAlive(nodes[:2]...)

	nodes[2].connect()
	again := nodes[2].start()
	again.setPeers(nodes...)
	for _, p := range []*process{processes[0], processes[1], again} {
		p.awaitAlive(nodes...)
	}
}

func TestMemberThatIsKilledIsNoticedAndAcceptedWhenItReturns(t *testing.T) {
	nodes, processes := three(t)
	processes[2].kill()
	processes[0].awaitAlive(nodes[:2]...)
	processes[1].awaitAlive(nodes[:2]...)
	again := nodes[2].start()
	again.setPeers(nodes...)
	for _, p := range []*process{processes[0], processes[1], again} {
		p.awaitAlive(nodes...)
	}
}

func TestANodeWithoutItsCableIsAloneUntilItIsBack(t *testing.T) {
	nodes, processes := three(t)
	nodes[2].disconnect()
	processes[0].awaitAlive(nodes[:2]...)
	processes[1].awaitAlive(nodes[:2]...)
	processes[2].awaitAlive(nodes[2])
	nodes[2].connect()
	for _, p := range processes {
		p.awaitAlive(nodes...)
	}
}

func TestAMemberThatTerminatesIsDeadAtOnceAndHasLeft(t *testing.T) {
	nodes, processes := three(t)
	processes[2].terminate()
	for _, p := range processes[:2] {
		p.awaitAlive(nodes[:2]...)
		p.awaitLeft(nodes[2])
	}
}

func TestMemberThatDiesHasNotLeft(t *testing.T) {
	nodes, processes := three(t)
	processes[2].kill()
	for _, p := range processes[:2] {
		p.awaitAlive(nodes[:2]...)
		p.awaitLeft()
	}
}

func TestALeaveIsKnownAlsoToMembersThatItDoesNotReachDirectly(t *testing.T) {
	nodes, processes := three(t)
	nodes[0].deafTo(nodes[2])
	processes[2].terminate()
	for _, p := range processes[:2] {
		p.awaitAlive(nodes[:2]...)
		p.awaitLeft(nodes[2])
	}
}

func TestMemberThatIsStartedAgainAtOnceIsSeenByAll(t *testing.T) {
	nodes, processes := three(t)
	for _, end := range []func(*process){(*process).terminate, (*process).kill, (*process).terminate} {
		end(processes[2])
		processes[2] = nodes[2].start()
		processes[2].setPeers(nodes...)
		processes[2].awaitAlive(nodes...)
		for _, p := range processes[:2] {
			p.awaitAlive(nodes...)
			p.awaitLeft()
		}
	}
}
