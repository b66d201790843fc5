package announce

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/gossipkey"
	"github.com/clarionlb/clarion/internal/notify"
)

// roundTrip is how long anything takes that goes over the network.
const roundTrip = time.Millisecond

var errUnreachable = errors.New("connection refused")

// fakeAPI is the API of a cluster: it numbers what is written and tells every connection of it in
// that order.
type fakeAPI struct {
	journal *journal

	mu         sync.Mutex
	announcers map[string]*v1alpha1.Announcer
	nodes      map[string]*corev1.Node
	others     []func(*plan.View)
	version    int
	// writes and reads count what was asked of the API server, by node.
	writes, reads map[string]int
	key           []byte
	connections   []*connection
}

func newFakeAPI(j *journal) *fakeAPI {
	return &fakeAPI{
		journal:    j,
		announcers: map[string]*v1alpha1.Announcer{},
		nodes:      map[string]*corev1.Node{},
		writes:     map[string]int{},
		reads:      map[string]int{},
		key:        make([]byte, gossipkey.Size),
	}
}

// connect returns the connection of one run of an announcer.
func (f *fakeAPI) connect(node string) *connection {
	c := &connection{
		api: f, node: node, reachable: true, changed: notify.New(), keyChanged: notify.New(), listed: make(chan struct{}),
		failed: make(chan error, 1), cache: map[string]*v1alpha1.Announcer{},
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.connections = append(f.connections, c)
	return c
}

// set changes an object that is no Announcer.
func (f *fakeAPI) set(change func(*plan.View)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.others = append(f.others, change)
	f.tell(change)
}

func (f *fakeAPI) setNode(n *corev1.Node) {
	f.mu.Lock()
	f.nodes[n.Name] = n
	f.mu.Unlock()
	f.set(func(v *plan.View) { v.SetNode(n.Name, n) })
}

func (f *fakeAPI) setKey(key []byte) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.key = key
	for _, c := range f.connections {
		c.keyChanged.Notify()
	}
}

// announcer returns the Announcer of a node; nil if there is none.
func (f *fakeAPI) announcer(name string) *v1alpha1.Announcer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.announcers[name]
}

// setAnnouncer takes a new state of the Announcer of a node, whoever wrote it.
func (f *fakeAPI) setAnnouncer(a *v1alpha1.Announcer, node string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a.Name = node
	f.store(a)
}

// store takes a new state of an Announcer, under mu.
func (f *fakeAPI) store(a *v1alpha1.Announcer) {
	f.version++
	a.ResourceVersion = strconv.Itoa(f.version)
	f.announcers[a.Name] = a
	f.tell(func(v *plan.View) { v.SetAnnouncer(a.Name, a) })
	for _, c := range f.connections {
		if c.reachable && c.running {
			c.cache[a.Name] = a
		}
	}
}

// deleteAnnouncers deletes all Announcers.
func (f *fakeAPI) deleteAnnouncers() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.announcers {
		delete(f.announcers, name)
		f.tell(func(v *plan.View) { v.SetAnnouncer(name, nil) })
		for _, c := range f.connections {
			if c.reachable && c.running {
				delete(c.cache, name)
			}
		}
	}
}

// copied is what a copy of the API has of Announcers.
type copied struct {
	announcers map[string]*v1alpha1.Announcer
	version    int
}

func (f *fakeAPI) copy() copied {
	f.mu.Lock()
	defer f.mu.Unlock()
	return copied{maps.Clone(f.announcers), f.version}
}

// restore puts a copy of the Announcers in place of those that there are, and the version with it.
// Every connection lists them anew.
func (f *fakeAPI) restore(from copied) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for name := range f.announcers {
		if from.announcers[name] == nil {
			f.tell(func(v *plan.View) { v.SetAnnouncer(name, nil) })
		}
	}
	f.announcers, f.version = maps.Clone(from.announcers), from.version
	for name, a := range f.announcers {
		f.tell(func(v *plan.View) { v.SetAnnouncer(name, a) })
	}
	for _, c := range f.connections {
		if c.reachable && c.running {
			c.cache = maps.Clone(f.announcers)
		}
	}
}

func (f *fakeAPI) tell(change func(*plan.View)) {
	for _, c := range f.connections {
		if c.running {
			c.deliver(change)
		}
	}
}

// connection is the API as one run of an announcer sees it: a watch, a client, and the watch of the
// key.
type connection struct {
	clients.AnnouncerInterface
	api        *fakeAPI
	node       string
	changed    notify.Signal
	keyChanged notify.Signal
	listed     chan struct{}
	failed     chan error

	// The API's mu guards the rest.
	running, reachable bool
	// listDelay is how long the first list takes, and createFailures how often a Create still fails.
	listDelay      time.Duration
	createFailures int
	// pending is what the watch has delivered and nobody has applied, and held what comes once the
	// API can be reached again.
	pending, held []func(*plan.View)
	cache         map[string]*v1alpha1.Announcer
}

func (c *connection) deliver(change func(*plan.View)) {
	if !c.reachable {
		c.held = append(c.held, change)
		return
	}
	c.pending = append(c.pending, change)
	c.changed.Notify()
}

// setReachable cuts the connection, or has it deliver what came meanwhile.
func (c *connection) setReachable(reachable bool) {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	c.reachable = reachable
	if reachable {
		maps.Copy(c.cache, c.api.announcers)
		c.pending, c.held = append(c.pending, c.held...), nil
		c.changed.Notify()
	}
}

// Problem is that of nobody who is not forbidden anything.
func (c *connection) Problem() error { return nil }

// Run lists and watches, as kube.Watcher does.
func (c *connection) Run(ctx context.Context) error {
	select {
	case <-time.After(max(roundTrip, c.listDelay)):
	case <-ctx.Done():
		return nil
	}
	c.api.mu.Lock()
	c.running = true
	for _, change := range c.api.others {
		c.deliver(change)
	}
	for name, a := range c.api.announcers {
		c.deliver(func(v *plan.View) { v.SetAnnouncer(name, a) })
		c.cache[name] = a
	}
	c.api.mu.Unlock()
	c.api.journal.add(c.node, "has the state")
	close(c.listed)
	defer func() {
		c.api.mu.Lock()
		defer c.api.mu.Unlock()
		c.running = false
	}()
	select {
	case <-ctx.Done():
		return nil
	case err := <-c.failed:
		return err
	}
}

func (c *connection) Wait(ctx context.Context) bool {
	select {
	case <-c.listed:
		return true
	case <-ctx.Done():
		return false
	}
}

func (c *connection) Changed() <-chan struct{} { return c.changed }

func (c *connection) Apply(view *plan.View) {
	c.api.mu.Lock()
	pending := c.pending
	c.pending = nil
	c.api.mu.Unlock()
	for _, change := range pending {
		change(view)
	}
}

func (c *connection) Announcer(name string) *v1alpha1.Announcer {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	return c.cache[name]
}

func (c *connection) Node(name string) *corev1.Node {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	return c.api.nodes[name]
}

func (c *connection) Create(_ context.Context, a *v1alpha1.Announcer, _ metav1.CreateOptions) (*v1alpha1.Announcer, error) {
	time.Sleep(roundTrip)
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	if c.createFailures > 0 || !c.reachable {
		c.createFailures--
		c.api.journal.add(c.node, "cannot create its Announcer")
		return nil, errUnreachable
	}
	if c.api.announcers[a.Name] != nil {
		return nil, apierrors.NewAlreadyExists(v1alpha1.Resource("announcers"), a.Name)
	}
	c.api.journal.add(c.node, "creates its Announcer")
	c.api.store(a.DeepCopy())
	return a, nil
}

func (c *connection) Get(_ context.Context, name string, _ metav1.GetOptions) (*v1alpha1.Announcer, error) {
	time.Sleep(roundTrip)
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	if !c.reachable {
		return nil, errUnreachable
	}
	c.api.reads[c.node]++
	return c.api.announcers[name], nil
}

func (c *connection) List(context.Context, metav1.ListOptions) (*v1alpha1.AnnouncerList, error) {
	time.Sleep(roundTrip)
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	if !c.reachable {
		return nil, errUnreachable
	}
	c.api.reads[c.node]++
	list := &v1alpha1.AnnouncerList{}
	for _, a := range c.api.announcers {
		list.Items = append(list.Items, *a)
	}
	return list, nil
}

func (c *connection) Patch(_ context.Context, name string, _ types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*v1alpha1.Announcer, error) {
	time.Sleep(roundTrip)
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	if !c.reachable {
		return nil, errUnreachable
	}
	c.api.writes[c.node]++
	current := c.api.announcers[name]
	if current == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("announcers"), name)
	}
	var patch []struct {
		Path  string
		Value json.RawMessage
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	a := current.DeepCopy()
	var into any = &a.Status.Conditions
	a.Status.Conditions = nil
	if patch[0].Path == "/status" {
		a.Status = v1alpha1.AnnouncerStatus{}
		into = &a.Status
	}
	if err := json.Unmarshal(patch[0].Value, into); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	c.api.journal.add(c.node, "records "+describe(a))
	if !apiequality.Semantic.DeepEqual(current, a) {
		c.api.store(a)
	}
	return a, nil
}

// describe is what an Announcer says, in short.
func describe(a *v1alpha1.Announcer) string {
	text := ""
	for _, address := range a.Status.Layer2.Addresses {
		text += address.IP + " epoch " + strconv.FormatInt(address.Epoch, 10)
		if len(address.Interfaces) == 0 {
			text += " tentative"
		}
		text += ", "
	}
	i := slices.IndexFunc(a.Status.Conditions, func(c metav1.Condition) bool { return c.Type == v1alpha1.ConditionReady })
	if i < 0 {
		return text + "no condition"
	}
	return text + a.Status.Conditions[i].Reason
}

// keyConnection is the part of a connection that is about the gossip's key.
type keyConnection struct{ *connection }

func (c keyConnection) Run(ctx context.Context) error {
	c.keyChanged.Notify()
	<-ctx.Done()
	return nil
}

func (c keyConnection) Changed() <-chan struct{} { return c.keyChanged }

func (c keyConnection) Key() ([]byte, error) {
	c.api.mu.Lock()
	defer c.api.mu.Unlock()
	if c.api.key == nil {
		return nil, nil
	}
	if err := gossipkey.Check(c.api.key); err != nil {
		return nil, err
	}
	return c.api.key, nil
}

// fakeEvents writes events down.
type fakeEvents struct {
	node    string
	journal *journal
}

func (fakeEvents) Start() {}
func (fakeEvents) Stop()  {}

func (e fakeEvents) Moved(services []plan.ServiceRef, m plan.Move) {
	for _, s := range services {
		e.journal.add(e.node, "tells "+s.Name+" that "+m.Address.String()+" moved: "+string(m.Reason))
	}
}

func (e fakeEvents) Failed(services []plan.ServiceRef, f plan.Failure) {
	for _, s := range services {
		e.journal.add(e.node, "tells "+s.Name+" that Clarion failed on "+f.On())
	}
}

func (e fakeEvents) Conflict(services []plan.ServiceRef, c plan.Conflict) {
	for _, s := range services {
		e.journal.add(e.node, "tells "+s.Name+" that "+c.MAC+" has "+c.Address.String())
	}
}

// nobodyWaits is an unanswered that has nobody to tell.
type nobodyWaits struct{}

func (nobodyWaits) Run(ctx context.Context, _ func() bool) { <-ctx.Done() }
