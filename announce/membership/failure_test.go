package membership

import "testing"

// three starts members on three nodes of a LAN, and waits until they see each other.
func three(t *testing.T) ([]*node, []*process) {
	t.Helper()
	l := newLAN(t)
	nodes := []*node{l.node(), l.node(), l.node()}
	var processes []*process
	for _, n := range nodes {
		p := n.start()
		p.meet(nodes...)
		processes = append(processes, p)
	}
	for _, p := range processes {
		p.awaitAlive(nodes...)
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
	again.meet(nodes...)
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
	again.meet(nodes...)
	for _, p := range []*process{processes[0], processes[1], again} {
		p.awaitAlive(nodes...)
	}
}

func TestNodeWhoseCableIsPulledSeesNobodyUntilItIsBack(t *testing.T) {
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

func TestMemberThatTerminatesIsGoneAtOnce(t *testing.T) {
	nodes, processes := three(t)
	processes[2].terminate()
	processes[0].awaitAlive(nodes[:2]...)
	processes[1].awaitAlive(nodes[:2]...)
}
