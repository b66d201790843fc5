package snapshot

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/tools/pager"

	"github.com/clarionlb/clarion/client/versioned"
	"github.com/clarionlb/clarion/internal/deadnodes"
)

// source lists and watches objects.
type source struct {
	list    pager.ListPageFunc
	watch   cache.WatchFuncWithContext
	options metav1.ListOptions
}

// client is that of one kind.
type client[L runtime.Object] interface {
	List(context.Context, metav1.ListOptions) (L, error)
	Watch(context.Context, metav1.ListOptions) (watch.Interface, error)
}

func from[L runtime.Object](c client[L], options metav1.ListOptions) source {
	return source{
		list: func(ctx context.Context, o metav1.ListOptions) (runtime.Object, error) {
			page, err := c.List(ctx, o)
			if err != nil {
				return nil, err // and not a nil of type L
			}
			return page, nil
		},
		watch:   c.Watch,
		options: options,
	}
}

// sources are where the objects of each kind are. Of some kinds there may be several.
func sources(kube kubernetes.Interface, clarion versioned.Interface) map[string][]source {
	core, api, all := kube.CoreV1(), clarion.ClarionV1alpha1(), metav1.NamespaceAll
	every := metav1.ListOptions{}
	labelled := func(selector string) metav1.ListOptions { return metav1.ListOptions{LabelSelector: selector} }
	return map[string][]source{
		"services":                           {from(core.Services(all), every)},
		"endpointslices.discovery.k8s.io":    {from(kube.DiscoveryV1().EndpointSlices(all), labelled(discoveryv1.LabelServiceName+",!"+corev1.IsHeadlessService))},
		"nodes":                              {from(core.Nodes(), every)},
		"namespaces":                         {from(core.Namespaces(), every)},
		"servicecidrs.networking.k8s.io":     {from(kube.NetworkingV1().ServiceCIDRs(), every)},
		"ipaddresspools.clarionlb.io":        {from(api.IPAddressPools(), every)},
		"ipaddressreservations.clarionlb.io": {from(api.IPAddressReservations(), every)},
		"l2advertisements.clarionlb.io":      {from(api.L2Advertisements(), every)},
		"bgppeers.clarionlb.io":              {from(api.BGPPeers(), every)},
		"bgpadvertisements.clarionlb.io":     {from(api.BGPAdvertisements(), every)},
		"communities.clarionlb.io":           {from(api.Communities(), every)},
		"bfdprofiles.clarionlb.io":           {from(api.BFDProfiles(), every)},
		"announcers.clarionlb.io":            {from(api.Announcers(), every)},
		"claimslices.clarionlb.io":           {from(api.ClaimSlices(), every)},
		"leases.coordination.k8s.io": {
			from(kube.CoordinationV1().Leases(ControllerNamespace), metav1.ListOptions{FieldSelector: "metadata.name=" + ControllerName}),
			from(kube.CoordinationV1().Leases(deadnodes.Namespace), every),
		},
		"pods": {
			from(core.Pods(ControllerNamespace), labelled(labelName+"="+ControllerName)),
			from(core.Pods(AnnouncerNamespace), labelled(labelName+"="+AnnouncerName)),
		},
		"events": {from(core.Events(all), every)},
	}
}

// Read reads all objects once, in pages, with the caller's rights. A kind that the caller may not read,
// or that the cluster does not have, is in Unread. It fails if the API server does not answer.
func Read(ctx context.Context, kube kubernetes.Interface, clarion versioned.Interface) (*Snapshot, error) {
	s := &Snapshot{Time: time.Now()}
	var mu sync.Mutex
	group, ctx := errgroup.WithContext(ctx)
	sources := sources(kube, clarion)
	for _, l := range s.lists() {
		group.Go(func() error {
			for _, source := range sources[l.kind] {
				err := source.read(ctx, l)
				switch {
				case err == nil:
				case apierrors.IsForbidden(err) || apierrors.IsNotFound(err):
					mu.Lock()
					s.Unread = append(s.Unread, Unread{l.kind, err.Error()})
					mu.Unlock()
				default:
					return fmt.Errorf("read %s: %w", l.kind, err)
				}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.tidy()
	return s, nil
}

// read adds what a source has to a list.
func (f source) read(ctx context.Context, to list) error {
	return pager.New(f.list).EachListItem(ctx, f.options, func(o runtime.Object) error {
		if m, err := meta.Accessor(o); err == nil {
			m.SetManagedFields(nil) // nothing reads them, and they are most of an object
		}
		if !to.add(o) {
			return fmt.Errorf("the API server sent a %T", o)
		}
		return nil
	})
}

// tidy puts everything into order, and leaves out events that are about something else.
func (s *Snapshot) tidy() {
	for _, l := range s.lists() {
		l.sort()
	}
	s.Events = slices.DeleteFunc(s.Events, func(e *corev1.Event) bool { return !concerns(e) })
	slices.SortFunc(s.Unread, func(a, b Unread) int { return strings.Compare(a.Kind+a.Why, b.Kind+b.Why) })
}

// concerns says whether an event is about something that a Snapshot has.
func concerns(e *corev1.Event) bool {
	switch e.InvolvedObject.Kind {
	case "Service", "Node":
		return true
	case "Pod":
		return e.InvolvedObject.Namespace == AnnouncerNamespace || strings.HasPrefix(e.InvolvedObject.Name, ControllerName)
	}
	return strings.HasPrefix(e.InvolvedObject.APIVersion, "clarionlb.io/")
}
