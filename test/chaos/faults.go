package chaos

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clarionlb/clarion/test/cluster"
	"github.com/clarionlb/clarion/test/cluster/network"
)

// ender ends a fault. What it returns an error for is not healed, so that the run cannot go on.
type ender func(context.Context) error

// done is for faults that are over when they have begun.
func done(context.Context) error { return nil }

// begin begins faults, by their kinds. An error says that the fault could not be had, because of others: it is noted, no more.
var begin = map[Kind]func(*run, context.Context, Fault) (ender, error){
	PowerOff:       (*run).powerOff,
	LinkCut:        func(r *run, _ context.Context, f Fault) (ender, error) { return cut(r.node(f), "eth0") },
	ManagementCut:  func(r *run, _ context.Context, f Fault) (ender, error) { return cut(r.node(f), "eth1") },
	Mute:           blocking(network.Traffic{Device: "eth0", Direction: network.Out}),
	Deaf:           blocking(network.Traffic{Device: "eth0", Direction: network.In}),
	GossipBlocked:  blocking(network.Traffic{Protocol: "udp", Port: gossipPort}, network.Traffic{Protocol: "tcp", Port: gossipPort}),
	Partition:      (*run).partition,
	Suspend:        (*run).suspend,
	KillAnnouncer:  func(r *run, _ context.Context, f Fault) (ender, error) { return kill(r.node(f), announcerProcess) },
	PauseAnnouncer: func(r *run, _ context.Context, f Fault) (ender, error) { return pause(r.node(f), announcerProcess) },
	KillProxy:      (*run).killProxy,
	PauseProxy:     func(r *run, _ context.Context, f Fault) (ender, error) { return pause(r.node(f), "kube-proxy") },
	PauseKubelet:   (*run).pauseKubelet,
	Drain:          (*run).drain,

	KillLeader:  (*run).killLeader,
	PauseLeader: (*run).pauseLeader,
	RolloutCCM:  rollout("kube-system", "deployment/"+ccmDeployment),
	Rollout:     rollout("clarion-system", "daemonset/announcer"),
	RolloutApp:  rollout("default", "deployment/myapp"),

	PauseAPI:   func(r *run, _ context.Context, _ Fault) (ender, error) { return pause(r.control(), "kube-apiserver") },
	PauseEtcd:  func(r *run, _ context.Context, _ Fault) (ender, error) { return pause(r.control(), "etcd") },
	SlowEtcd:   (*run).slowEtcd,
	RestartAPI: (*run).restartAPI,
	Restore:    (*run).restore,
	RotateKey:  (*run).rotateKey,

	PauseRouter: (*run).pauseRouter,
	ResetRouter: (*run).resetRouter,

	BadPool:          (*run).badPool,
	OverlappingPool:  (*run).overlappingPool,
	DeletedPool:      (*run).deletedPool,
	BadAdvertisement: (*run).badAdvertisement,
	BadPeer:          (*run).badPeer,
	ChangedPeer:      (*run).changedPeer,

	ComeOrGo:   (*run).comeOrGo,
	Wish:       guestEdit(wish),
	Share:      guestEdit(share),
	ForeignLB:  (*run).foreign,
	TypeChange: guestEdit(changeType),
	Policy:     guestEdit(changePolicy),
}

const (
	gossipPort       = 7947
	announcerProcess = "announcer"
)

// machine is what processes run on.
type machine interface {
	Processes(name string) ([]*network.Process, error)
}

func (r *run) node(f Fault) *cluster.Node { return r.Nodes()[f.Nodes[0]-1] }

func (r *run) control() machine { return r.Control }

func (r *run) powerOff(_ context.Context, f Fault) (ender, error) {
	node := r.node(f)
	return func(context.Context) error { return node.PowerOn() }, node.PowerOff()
}

func cut(node *cluster.Node, device string) (ender, error) {
	return func(context.Context) error { return node.RestoreLink(device) }, node.CutLink(device)
}

func blocking(traffic ...network.Traffic) func(*run, context.Context, Fault) (ender, error) {
	return func(r *run, ctx context.Context, f Fault) (ender, error) {
		barrier, err := r.node(f).Block(ctx, traffic...)
		if err != nil {
			return nil, err
		}
		return func(context.Context) error { return barrier.Lift() }, nil
	}
}

func (r *run) replug(lan string, nodes []int) error {
	var errs []error
	for _, n := range nodes {
		errs = append(errs, r.Nodes()[n-1].Replug("eth0", lan))
	}
	return errors.Join(errs...)
}

func (r *run) partition(_ context.Context, f Fault) (ender, error) {
	return func(context.Context) error { return r.replug(cluster.LAN, f.Nodes) }, r.replug(cluster.Island, f.Nodes)
}

func (r *run) suspend(_ context.Context, f Fault) (ender, error) {
	node := r.node(f)
	end := func(context.Context) error { return errors.Join(r.replug(cluster.LAN, f.Nodes), node.Resume()) }
	return end, errors.Join(node.Suspend(), r.replug(cluster.Island, f.Nodes))
}

// oldest is the process of an executable that has run longest.
func oldest(on machine, name string) (*network.Process, error) {
	processes, err := on.Processes(name)
	if err == nil && len(processes) == 0 {
		err = fmt.Errorf("no %s runs", name)
	}
	if err != nil {
		return nil, err
	}
	return processes[0], nil
}

func kill(on machine, name string) (ender, error) {
	process, err := oldest(on, name)
	if err != nil {
		return nil, err
	}
	return done, process.Kill()
}

func pause(on machine, name string) (ender, error) {
	process, err := oldest(on, name)
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return resume(process) }, process.Stop()
}

// resume has a process go on that may have been killed meanwhile.
func resume(process *network.Process) error {
	if err := process.Continue(); !errors.Is(err, unix.ESRCH) {
		return err
	}
	return nil
}

func (r *run) killProxy(_ context.Context, f Fault) (ender, error) {
	node := r.node(f)
	_, err := kill(node, "kube-proxy")
	return func(context.Context) error { return node.StartProxy() }, err
}

func (r *run) pauseKubelet(_ context.Context, f Fault) (ender, error) {
	kubelet, err := r.node(f).Kubelet()
	if err != nil {
		return nil, err
	}
	return func(context.Context) error { return resume(kubelet) }, kubelet.Stop()
}

func (r *run) killLeader(ctx context.Context, _ Fault) (ender, error) {
	node, err := r.leader(ctx)
	if err != nil {
		return nil, err
	}
	return kill(node, ccmProcess)
}

func (r *run) pauseLeader(ctx context.Context, _ Fault) (ender, error) {
	node, err := r.leader(ctx)
	if err != nil {
		return nil, err
	}
	return pause(node, ccmProcess)
}

func (r *run) leader(ctx context.Context) (*cluster.Node, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	return r.Leader(ctx)
}

// slowEtcd has etcd run for a quarter of the time: what it writes takes longer, as on a slow disk, and so does all else.
func (r *run) slowEtcd(context.Context, Fault) (ender, error) {
	process, err := oldest(r.Control, "etcd")
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	over := make(chan struct{})
	go func() {
		defer close(over)
		for ctx.Err() == nil {
			process.Stop()
			wait(ctx, 150*time.Millisecond)
			process.Continue()
			wait(ctx, 50*time.Millisecond)
		}
	}()
	return func(context.Context) error { cancel(); <-over; return resume(process) }, nil
}

func (r *run) restartAPI(context.Context, Fault) (ender, error) {
	end := func(ctx context.Context) error {
		defer r.RightsGo()() // an API server that has just started knows no roles yet
		return r.RestartControlPlane(ctx)
	}
	return end, nil
}

func (r *run) restore(_ context.Context, _ Fault) (ender, error) {
	before := r.services.mark()
	if err := r.Backup(); err != nil {
		return nil, err
	}
	return func(ctx context.Context) error {
		defer r.RightsGo()()
		return r.services.rollBack(before, func() error { return r.Restore(ctx) })
	}, nil
}

func (r *run) pauseRouter(context.Context, Fault) (ender, error) { return pause(r.Router, "bgpd") }

func (r *run) resetRouter(ctx context.Context, _ Fault) (ender, error) {
	_, err := r.Router.Run(ctx, r.bgp.Command("clear bgp *")...)
	return done, err
}

// wait returns after a time, or when the context ends.
func wait(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
