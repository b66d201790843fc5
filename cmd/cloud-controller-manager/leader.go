package main

import (
	"cmp"
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	cloudprovider "k8s.io/cloud-provider"
	"k8s.io/cloud-provider/app"
	"k8s.io/cloud-provider/app/config"
	controllermanager "k8s.io/controller-manager/app"
	"k8s.io/controller-manager/controller"
	"k8s.io/controller-manager/pkg/healthz"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/internal/liblog"
)

// leadership runs the leader election in place of the framework's, which keeps the lease when the
// process is told to stop: the next leader would wait until it expires
// (kubernetes/kubernetes#119905). Here the lease is released, and a replica in waiting follows its
// informers already, so that a hand-over takes about a second.
type leadership struct {
	// elected is closed when this process leads.
	elected chan struct{}
	// stands is set when the process has begun to stand for election.
	stands atomic.Bool
	// problem keeps the process from doing its work if it is elected; nil before newCloud is done.
	problem atomic.Pointer[func() error]
	// identity is who this process is in the election; empty if it stands for none.
	identity string
	// anew is done once this process makes room for a new one.
	anew sync.Once
	// ended is closed when the election is over and the lease, if it was held, is free again.
	ended  chan struct{}
	health *leaderelection.HealthzAdaptor
}

func newLeadership() *leadership {
	return &leadership{
		elected: make(chan struct{}),
		ended:   make(chan struct{}),
		health:  leaderelection.NewLeaderHealthzAdaptor(20 * time.Second),
	}
}

// start stands for election as the configuration says, until the context ends, and takes the
// election out of the framework's hands. A process that loses the lease exits.
func (l *leadership) start(ctx context.Context, completed *config.CompletedConfig) error {
	l.stands.Store(true)
	if completed.ComponentConfig.Generic.LeaderMigrationEnabled {
		return errors.New("--enable-leader-migration: there is no other cloud controller to migrate from")
	}
	election := completed.ComponentConfig.Generic.LeaderElection
	completed.ComponentConfig.Generic.LeaderElection.LeaderElect = false
	if !election.LeaderElect {
		close(l.elected)
		close(l.ended)
		return nil
	}
	var err error
	if l.identity, err = leaseIdentity(); err != nil {
		return err
	}
	// As resourcelock.NewFromKubeconfig has it.
	kubeconfig := rest.AddUserAgent(rest.CopyConfig(completed.Kubeconfig), "leader-election")
	kubeconfig.Timeout = max(time.Second, election.RenewDeadline.Duration/2)
	client, err := kubernetes.NewForConfig(kubeconfig)
	if err != nil {
		return err
	}
	lock, err := resourcelock.New(election.ResourceLock, election.ResourceNamespace, election.ResourceName, client.CoreV1(),
		&leaseClient{CoordinationV1Interface: client.CoordinationV1(), problem: l.currentProblem, wentBack: os.Getenv(wentBackVariable),
			goneBack: func() { l.wentBack(klog.FromContext(ctx), "Lease", election.ResourceName) }}, resourcelock.ResourceLockConfig{Identity: l.identity, EventRecorder: completed.EventRecorder})
	if err != nil {
		return err
	}
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Lock:            lock,
		LeaseDuration:   election.LeaseDuration.Duration,
		RenewDeadline:   election.RenewDeadline.Duration,
		RetryPeriod:     election.RetryPeriod.Duration,
		ReleaseOnCancel: true,
		WatchDog:        l.health,
		Name:            election.ResourceName,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(l.elected) },
			OnStoppedLeading: func() {
				if ctx.Err() == nil {
					l.startAnew(klog.FromContext(ctx), "Lost the lease, starting anew")
				}
			},
		},
	})
	if err != nil {
		return err
	}
	go func() {
		defer close(l.ended)
		elector.Run(liblog.Errors(ctx))
	}()
	return nil
}

// currentProblem says why the process cannot do its work, if that is known.
func (l *leadership) currentProblem() error {
	if problem := l.problem.Load(); problem != nil {
		return (*problem)()
	}
	return nil
}

// Where a process finds who it is in the election, if not by a name of its own: it has that from
// the process that it was before (see startAnew), or is a container of the pod with this UID, of
// which only one runs at a time. From the former it also has when that noticed that the API had gone back.
const (
	identityVariable = "CLARION_LEASE_IDENTITY"
	podVariable      = "POD_UID"
	wentBackVariable = "CLARION_API_WENT_BACK"
)

// leaseIdentity is who this process is in the election. A process that follows another one on the
// same host under the same identity has the lease of that one at once.
func leaseIdentity() (string, error) {
	if identity := os.Getenv(identityVariable); identity != "" {
		return identity, nil
	}
	host, err := os.Hostname()
	if err != nil {
		return "", err
	}
	return host + "_" + cmp.Or(os.Getenv(podVariable), string(uuid.NewUUID())), nil
}

// startAnew says why, and puts a new process in the place of this one, whose controllers must not
// write any more. A kubelet would do the same, but later each time.
func (l *leadership) startAnew(logger klog.Logger, why string, keysAndValues ...any) {
	l.anew.Do(func() {
		logger.Info(why, keysAndValues...)
		path, err := os.Executable()
		err = errors.Join(err, os.Setenv(identityVariable, l.identity))
		if err == nil {
			klog.Flush()
			err = syscall.Exec(path, os.Args, os.Environ())
		}
		exit(logger, err, "Cannot start anew")
	})
}

// wentBack starts anew, as the API has gone back. Keys and values say what has done so. The new process tells the others, if this one leads.
func (l *leadership) wentBack(logger klog.Logger, keysAndValues ...any) {
	select {
	case <-l.elected:
		if err := os.Setenv(wentBackVariable, time.Now().UTC().Format(time.RFC3339)); err != nil {
			logger.Error(err, "Cannot tell other replicas that the API has gone back")
		}
	default:
	}
	l.startAnew(logger, "The API has gone back, as if restored from a copy. Starting anew", keysAndValues...)
}

// gate makes a controller start when this process leads, and not before.
func (l *leadership) gate(constructor app.ControllerInitFuncConstructor) app.ControllerInitFuncConstructor {
	construct := constructor.Constructor
	constructor.Constructor = func(init app.ControllerInitContext, completed *config.CompletedConfig, cloud cloudprovider.Interface) app.InitFunc {
		start := construct(init, completed, cloud)
		return func(ctx context.Context, controllers controllermanager.ControllerContext) (controller.Interface, bool, error) {
			go func() {
				select {
				case <-ctx.Done():
					return
				case <-l.elected:
				}
				if _, started, err := start(ctx, controllers); err != nil || !started {
					exit(klog.FromContext(ctx), err, "Cannot start a controller", "client", init.ClientName)
				}
			}()
			return l, true, nil
		}
	}
	return constructor
}

// leave returns when the lease is left to the next leader, after the context of start has ended.
func (l *leadership) leave() {
	if l.stands.Load() {
		<-l.ended
	}
}

// withProblem has the health check of a gated controller fail while there is a problem, too.
func withProblem(constructor app.ControllerInitFuncConstructor, problem func(cloudprovider.Interface) error) app.ControllerInitFuncConstructor {
	construct := constructor.Constructor
	constructor.Constructor = func(init app.ControllerInitContext, completed *config.CompletedConfig, cloud cloudprovider.Interface) app.InitFunc {
		start := construct(init, completed, cloud)
		return func(ctx context.Context, controllers controllermanager.ControllerContext) (controller.Interface, bool, error) {
			started, ok, err := start(ctx, controllers)
			if leader, is := started.(*leadership); is {
				started = &able{leader, func() error { return problem(cloud) }}
			}
			return started, ok, err
		}
	}
	return constructor
}

// able is the health of a controller that waits for leadership, and has something else to wait for.
type able struct {
	*leadership
	problem func() error
}

// HealthChecker returns the check that fails while there is a problem.
func (a *able) HealthChecker() healthz.UnnamedHealthChecker { return a }

// Check implements healthz.UnnamedHealthChecker.
func (a *able) Check(request *http.Request) error {
	return errors.Join(a.problem(), a.leadership.Check(request))
}

// Name returns what the health checks call a controller that waits for leadership.
func (l *leadership) Name() string { return "leadership" }

// HealthChecker returns the check that fails when the lease is held but can no longer be renewed.
func (l *leadership) HealthChecker() healthz.UnnamedHealthChecker { return l }

// Check implements healthz.UnnamedHealthChecker.
func (l *leadership) Check(request *http.Request) error { return l.health.Check(request) }
