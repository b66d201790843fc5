package kube

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/announce/plan"
	"github.com/clarionlb/clarion/api/v1alpha1"
	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/claims"
)

// claimsAPI is the API of the Announcer of one node and its ClaimSlices, with a watch for each kind.
type claimsAPI struct {
	clients.AnnouncerInterface
	node      *corev1.Node
	version   int
	announcer *v1alpha1.Announcer
	slices    map[string]*v1alpha1.ClaimSlice
	watches   []*claimsWatch
	// listed and sliced count the writes, and sent is the size of what they have sent to each watch.
	listed, sliced, sent int
	// older says that an announcer reads no ClaimSlices.
	older bool
}

// sliceClient is the part of a claimsAPI that is about ClaimSlices.
type sliceClient struct {
	clients.ClaimSliceInterface
	*claimsAPI
}

// claimsWatch has what a reader has not been told yet, of each kind.
type claimsWatch struct {
	announcers []*v1alpha1.Announcer
	slices     []func(*claimsCache)
	cache      claimsCache
	view       *plan.View
}

// claimsCache is what a reader has been told.
type claimsCache struct {
	announcer *v1alpha1.Announcer
	slices    map[string]*v1alpha1.ClaimSlice
	view      *plan.View
	older     func() bool
	node      *corev1.Node
}

func (c *claimsCache) Node(string) *corev1.Node             { return c.node }
func (c *claimsCache) Announcer(string) *v1alpha1.Announcer { return c.announcer }
func (c *claimsCache) AllReadClaimSlices() bool             { return !c.older() }
func (c *claimsCache) ClaimSlices(string) []*v1alpha1.ClaimSlice {
	return slices.Collect(maps.Values(c.slices))
}

func newClaimsAPI() *claimsAPI {
	return &claimsAPI{
		node:   &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n1", UID: "uid-1"}},
		slices: map[string]*v1alpha1.ClaimSlice{},
	}
}

// watch lists both kinds and watches them. The gossip sees the announcer.
func (a *claimsAPI) watch() *claimsWatch {
	view := plan.NewView()
	plan.NewLayer2Planner(view, "reader").SetAlive([]string{"n1", "reader"})
	w := &claimsWatch{view: view, cache: claimsCache{
		announcer: a.announcer, slices: maps.Clone(a.slices), view: view, older: func() bool { return a.older }, node: a.node,
	}}
	if rand.N(2) == 0 && a.announcer != nil {
		view.SetAnnouncer("n1", a.announcer)
	}
	for name, s := range a.slices {
		view.SetClaimSlice(name, s)
	}
	if a.announcer != nil {
		view.SetAnnouncer("n1", a.announcer)
	}
	a.watches = append(a.watches, w)
	return w
}

func (a *claimsAPI) store(o *v1alpha1.Announcer) {
	a.version++
	o.ResourceVersion = strconv.Itoa(a.version)
	a.announcer = o
	text, _ := json.Marshal(o)
	a.sent += len(text)
	for _, w := range a.watches {
		w.announcers = append(w.announcers, o)
	}
}

func (a *claimsAPI) storeSlice(o *v1alpha1.ClaimSlice) {
	a.version++
	o.ResourceVersion = strconv.Itoa(a.version)
	a.slices[o.Name] = o
	text, _ := json.Marshal(o)
	a.sent += len(text)
	a.tellSlice(o.Name, o)
}

func (a *claimsAPI) tellSlice(name string, o *v1alpha1.ClaimSlice) {
	for _, w := range a.watches {
		w.slices = append(w.slices, func(c *claimsCache) {
			if o == nil {
				delete(c.slices, name)
			} else {
				c.slices[name] = o
			}
			c.view.SetClaimSlice(name, o)
		})
	}
}

// copied is a copy of all that the API has.
type copied struct {
	version   int
	announcer *v1alpha1.Announcer
	slices    map[string]*v1alpha1.ClaimSlice
}

func (a *claimsAPI) copy() copied { return copied{a.version, a.announcer, maps.Clone(a.slices)} }

// restore puts a copy in place of everything. All watches list anew.
func (a *claimsAPI) restore(c copied) {
	gone := a.slices
	a.version, a.announcer, a.slices = c.version, c.announcer, maps.Clone(c.slices)
	for _, w := range a.watches {
		w.announcers, w.slices = []*v1alpha1.Announcer{c.announcer}, nil
	}
	for name := range gone {
		if a.slices[name] == nil {
			a.tellSlice(name, nil)
		}
	}
	for name, s := range a.slices {
		a.tellSlice(name, s)
	}
}

// deliver tells a reader of the next change of one kind; false if there is none.
func (w *claimsWatch) deliver(slice bool) bool {
	switch {
	case slice && len(w.slices) > 0:
		w.slices[0](&w.cache)
		w.slices = w.slices[1:]
	case !slice && len(w.announcers) > 0:
		w.cache.announcer = w.announcers[0]
		w.view.SetAnnouncer("n1", w.announcers[0])
		w.announcers = w.announcers[1:]
	default:
		return false
	}
	return true
}

func (w *claimsWatch) deliverAll() {
	for w.deliver(true) || w.deliver(false) {
	}
}

func (a *claimsAPI) Create(_ context.Context, o *v1alpha1.Announcer, _ metav1.CreateOptions) (*v1alpha1.Announcer, error) {
	if a.announcer != nil {
		return nil, apierrors.NewAlreadyExists(v1alpha1.Resource("announcers"), o.Name)
	}
	o = o.DeepCopy()
	o.UID = types.UID(fmt.Sprintf("%08d-a", a.version))
	a.store(o)
	return o, nil
}

func (a *claimsAPI) Patch(_ context.Context, name string, _ types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*v1alpha1.Announcer, error) {
	if a.announcer == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("announcers"), name)
	}
	o := a.announcer.DeepCopy()
	into := map[string]any{"/status": &o.Status, "/status/conditions": &o.Status.Conditions}
	var patch []struct {
		Path  string
		Value json.RawMessage
	}
	if err := json.Unmarshal(data, &patch); err != nil || len(patch) != 1 {
		return nil, apierrors.NewBadRequest(string(data))
	}
	if patch[0].Path == "/status" {
		o.Status = v1alpha1.AnnouncerStatus{}
	}
	if err := json.Unmarshal(patch[0].Value, into[patch[0].Path]); err != nil {
		return nil, err
	}
	a.listed++
	a.store(o)
	return o, nil
}

func (c sliceClient) Create(_ context.Context, o *v1alpha1.ClaimSlice, _ metav1.CreateOptions) (*v1alpha1.ClaimSlice, error) {
	if c.slices[o.Name] != nil {
		return nil, apierrors.NewAlreadyExists(v1alpha1.Resource("claimslices"), o.Name)
	}
	c.sliced++
	c.storeSlice(o.DeepCopy())
	return o, nil
}

func (c sliceClient) Patch(_ context.Context, name string, _ types.PatchType, data []byte, _ metav1.PatchOptions, _ ...string) (*v1alpha1.ClaimSlice, error) {
	if c.slices[name] == nil {
		return nil, apierrors.NewNotFound(v1alpha1.Resource("claimslices"), name)
	}
	o := c.slices[name].DeepCopy()
	var patch []struct {
		Op, Path string
		Value    json.RawMessage
	}
	if err := json.Unmarshal(data, &patch); err != nil {
		return nil, err
	}
	has := map[string]string{"/announcer": o.Announcer, "/number": strconv.Itoa(int(o.Number)), "/metadata/ownerReferences/0/uid": string(claims.OwnerOf(o))}
	o.Addresses, o.Released = nil, nil
	into := map[string]any{"/revision": &o.Revision, "/addresses": &o.Addresses, "/released": &o.Released}
	for _, p := range patch {
		if p.Op == "test" {
			if !bytes.Contains(p.Value, []byte(cmp.Or(has[p.Path], "null"))) {
				return nil, apierrors.NewInvalid(v1alpha1.SchemeGroupVersion.WithKind("ClaimSlice").GroupKind(), name, nil)
			}
			continue
		}
		if err := json.Unmarshal(p.Value, into[p.Path]); err != nil {
			return nil, err
		}
	}
	if len(o.Addresses)+len(o.Released) > v1alpha1.MaxClaimsPerSlice {
		return nil, apierrors.NewBadRequest("too many claims")
	}
	c.sliced++
	c.storeSlice(o)
	return o, nil
}

// claimant is an announcer that records claims.
type claimant struct {
	api    *claimsAPI
	writer *StatusWriter
	watch  *claimsWatch
	claims map[string]v1alpha1.Layer2Address
}

func newClaimant(api *claimsAPI) *claimant {
	c := &claimant{api: api, claims: map[string]v1alpha1.Layer2Address{}}
	c.start()
	return c
}

// start starts the process anew, which lists what the API has.
func (c *claimant) start() {
	if c.watch != nil {
		c.api.watches = slices.DeleteFunc(c.api.watches, func(w *claimsWatch) bool { return w == c.watch })
	}
	c.watch = c.api.watch()
	c.writer = NewStatusWriter("n1", c.api, &c.watch.cache, klog.Background())
	c.writer.UseClaimSlices(sliceClient{claimsAPI: c.api}, &c.watch.cache)
}

func addressOf(n int) string { return fmt.Sprintf("10.0.%d.%d", n/256, n%256) }

// claimAll claims so many addresses at one moment, which are listed then.
func (c *claimant) claimAll(t *testing.T, addresses int) {
	t.Helper()
	for i := range addresses {
		c.claim(i, 1)
	}
	c.settle(t)
}

func (c *claimant) claim(n int, epoch int64) {
	c.claims[addressOf(n)] = v1alpha1.Layer2Address{
		IP: addressOf(n), Epoch: epoch, Interfaces: []string{"eth0"}, Since: metav1.NewTime(time.Unix(1_700_000_000, 0)),
	}
}

func (c *claimant) record(t *testing.T) {
	t.Helper()
	status := v1alpha1.AnnouncerStatus{Conditions: []metav1.Condition{{Type: v1alpha1.ConditionReady}}}
	for _, ip := range slices.Sorted(maps.Keys(c.claims)) {
		status.Layer2.Addresses = append(status.Layer2.Addresses, c.claims[ip])
	}
	c.writer.Write(status)
	if _, _, err := c.writer.flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// settle has everybody hear everything, and the claimant write what is missing.
func (c *claimant) settle(t *testing.T) {
	t.Helper()
	for before := -1; before != c.api.version; {
		before = c.api.version
		for _, w := range c.api.watches {
			w.deliverAll()
		}
		c.record(t)
	}
}

// sees says what a reader takes an address for: its epoch, or 0 if nobody claims it.
func (w *claimsWatch) sees(ip string) int64 {
	claim, _ := w.view.Claim(netip.MustParseAddr(ip))
	return claim.Epoch
}

// check fails if somebody sees other claims than there are.
func (c *claimant) check(t *testing.T, most int) {
	t.Helper()
	for n, w := range c.api.watches {
		for i := range most {
			if want, got := c.claims[addressOf(i)].Epoch, w.sees(addressOf(i)); got != want {
				t.Fatalf("reader %d sees epoch %d of %s, want %d", n, got, addressOf(i), want)
			}
		}
	}
	var all []*v1alpha1.ClaimSlice
	for _, s := range c.api.slices {
		all = append(all, s)
	}
	recorded := claims.Of(c.api.announcer, all)
	if len(recorded) != len(c.claims) {
		t.Fatalf("%d claims are recorded, want %d", len(recorded), len(c.claims))
	}
	for _, r := range recorded {
		if !claims.Equal(r, c.claims[r.IP]) {
			t.Fatalf("%+v is recorded, want %+v", r, c.claims[r.IP])
		}
	}
}

// Of each kind a reader hears everything in order, but not of the two in the order in which they were written; the writer is such a reader
// itself. Claims that nobody touches are never missing.
func TestWhateverReadersHearFirstTheySeeTheClaimsThatThereAre(t *testing.T) {
	const most, untouched = 150, 40
	for seed := range uint64(20) {
		random := rand.New(rand.NewPCG(seed, 1))
		api := newClaimsAPI()
		c := newClaimant(api)
		for i := range untouched + random.IntN(60) {
			c.claim(i, 1)
		}
		c.settle(t)
		backup, restored := api.copy(), false
		for range 2 {
			api.watch()
		}
		for step := range 120 {
			switch what := random.IntN(20); {
			case what < 6:
				for range 1 + random.IntN(3) {
					i := untouched + random.IntN(most-untouched)
					if random.IntN(3) == 0 {
						delete(c.claims, addressOf(i))
					} else {
						c.claim(i, int64(step+2))
					}
				}
				c.record(t)
			case what < 7:
				for i := untouched; i < untouched+30; i++ {
					c.claim(i, int64(step+2))
				}
				c.record(t)
			case what < 8:
				c.record(t)
			case what < 9 && random.IntN(3) == 0:
				c.watch.deliverAll()
				c.start()
			case what < 10 && random.IntN(3) == 0:
				api.watch()
			case what < 11 && random.IntN(3) == 0:
				c.writer.claimSlices.foldAt = time.Now().Add(-time.Second)
				c.record(t)
			case what < 12 && random.IntN(3) == 0:
				api.older = !api.older
				c.record(t)
			case what < 13 && !restored && random.IntN(6) == 0:
				restored = true
				api.restore(backup)
			default:
				w := api.watches[random.IntN(len(api.watches))]
				slice := random.IntN(2) == 0
				for range random.IntN(4) {
					w.deliver(slice)
				}
			}
			for n, w := range api.watches {
				for i := range untouched {
					if w.sees(addressOf(i)) != 1 {
						t.Fatalf("seed %d, step %d: reader %d does not see %s", seed, step, n, addressOf(i))
					}
				}
			}
		}
		c.settle(t)
		c.check(t, most)
	}
}

func TestWhatANewServiceCostsDoesNotGrow(t *testing.T) {
	cost := func(have int) int {
		api := newClaimsAPI()
		c := newClaimant(api)
		c.claimAll(t, have)
		before := api.sent
		const more = 300
		for i := range more {
			c.claim(have+i, 1)
			c.record(t)
			c.watch.deliverAll()
		}
		return (api.sent - before) / more
	}
	few, many := cost(200), cost(2000)
	t.Logf("%d bytes for a new claim with 200, %d with 2,000", few, many)
	if many > 2*few || many > 5000 {
		t.Errorf("a new claim takes %d bytes with 200 claims, and %d with 2,000", few, many)
	}
}

func TestFewClaimsAreAlwaysListed(t *testing.T) {
	api := newClaimsAPI()
	c := newClaimant(api)
	for i := range 20 {
		c.claim(i, 1)
		c.record(t)
		c.settle(t)
	}
	if api.sliced > 0 || len(api.announcer.Status.Layer2.Addresses) != 20 {
		t.Errorf("%d writes of ClaimSlices, %+v", api.sliced, api.announcer.Status.Layer2)
	}
}

func TestWhileAnAnnouncerReadsNoClaimSlicesAllClaimsAreListed(t *testing.T) {
	api := newClaimsAPI()
	c := newClaimant(api)
	c.claimAll(t, 30)
	c.claim(30, 1)
	c.record(t)
	c.settle(t)
	if api.sliced != 1 || len(api.announcer.Status.Layer2.Addresses) != 30 {
		t.Fatalf("%d writes of ClaimSlices, %d addresses are listed", api.sliced, len(api.announcer.Status.Layer2.Addresses))
	}
	api.older = true
	c.record(t)
	if got := len(api.announcer.Status.Layer2.Addresses); got != 31 {
		t.Fatalf("%d addresses are listed", got)
	}
	c.settle(t)
	c.claim(31, 1)
	c.settle(t)
	if got := len(api.announcer.Status.Layer2.Addresses); api.sliced != 1 || got != 32 {
		t.Errorf("%d writes of ClaimSlices, %d addresses are listed", api.sliced, got)
	}
}

func TestAClaimSliceThatSomebodyElseHasMadeIsLeftAlone(t *testing.T) {
	api := newClaimsAPI()
	c := newClaimant(api)
	c.claimAll(t, 30)
	foreign := &v1alpha1.ClaimSlice{ObjectMeta: metav1.ObjectMeta{Name: sliceName(api.announcer, 0)}, Announcer: "n1", Revision: 1}
	api.storeSlice(foreign)
	c.settle(t)
	c.claim(30, 1)
	c.settle(t)
	if got := len(api.announcer.Status.Layer2.Addresses); api.sliced != 0 || got != 31 {
		t.Errorf("%d writes of ClaimSlices, %d addresses are listed", api.sliced, got)
	}
	c.check(t, 31)
}

func TestClaimSlicesThatAreDeletedOrEditedAreMadeGood(t *testing.T) {
	for _, test := range []struct {
		name   string
		tamper func(*claimsAPI, *v1alpha1.ClaimSlice)
	}{
		{"deleted", func(api *claimsAPI, s *v1alpha1.ClaimSlice) {
			delete(api.slices, s.Name)
			api.tellSlice(s.Name, nil)
		}},
		{"without claims", func(api *claimsAPI, s *v1alpha1.ClaimSlice) {
			s.Addresses = nil
			api.storeSlice(s)
		}},
		{"of an earlier revision", func(api *claimsAPI, s *v1alpha1.ClaimSlice) {
			s.Revision = 1
			api.storeSlice(s)
		}},
		{"of the last revision that there may be", func(api *claimsAPI, s *v1alpha1.ClaimSlice) {
			s.Revision = 1 << 53
			api.storeSlice(s)
		}},
		{"of nobody", func(api *claimsAPI, s *v1alpha1.ClaimSlice) {
			s.OwnerReferences = nil
			api.storeSlice(s)
		}},
		{"with more than there is", func(api *claimsAPI, s *v1alpha1.ClaimSlice) {
			s.Addresses[0].IP, s.Released = "192.0.2.1", []string{addressOf(0)}
			api.storeSlice(s)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			api := newClaimsAPI()
			c := newClaimant(api)
			c.claimAll(t, 100)
			c.claim(100, 1)
			c.settle(t)
			test.tamper(api, api.slices[sliceName(api.announcer, 0)].DeepCopy())
			c.settle(t)
			c.check(t, 101)
			c.claim(101, 1)
			c.settle(t)
			c.check(t, 102)
		})
	}
}

func TestWhoIsStoppedListsAllClaims(t *testing.T) {
	api := newClaimsAPI()
	c := newClaimant(api)
	c.claimAll(t, 30)
	c.claim(30, 1)
	c.settle(t)
	stopped := []metav1.Condition{{Type: v1alpha1.ConditionReady, Reason: v1alpha1.ReasonStopped}}
	if err := c.writer.WriteStopped(t.Context(), stopped); err != nil {
		t.Fatal(err)
	}
	if s := api.announcer.Status; len(s.Layer2.Addresses) != 31 || s.Conditions[0].Reason != v1alpha1.ReasonStopped {
		t.Errorf("the Announcer says %+v", s)
	}
}

func TestWhatWaitsForTheListIsListedInTheEnd(t *testing.T) {
	api := newClaimsAPI()
	c := newClaimant(api)
	c.claimAll(t, 30)
	c.claim(30, 1)
	c.settle(t)
	due := time.Until(c.writer.claimSlices.foldAt)
	if due <= 30*time.Second || due > 31*time.Second {
		t.Errorf("the list is written in %s", due)
	}
	c.writer.claimSlices.foldAt = time.Now()
	c.settle(t)
	if got := len(api.announcer.Status.Layer2.Addresses); got != 31 || !c.writer.claimSlices.foldAt.IsZero() {
		t.Errorf("%d addresses are listed", got)
	}
}
