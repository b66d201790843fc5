package loadbalancer

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// epoch is when the tests begin.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// newPool makes a pool of addresses.
func newPool(name string, addresses ...string) *v1alpha1.IPAddressPool {
	return &v1alpha1.IPAddressPool{
		ObjectMeta: metav1.ObjectMeta{Name: name, UID: types.UID(name), CreationTimestamp: metav1.NewTime(epoch)},
		Spec:       v1alpha1.IPAddressPoolSpec{Addresses: addresses},
	}
}

// with returns a changed copy of a pool.
func with(p *v1alpha1.IPAddressPool, changes ...func(*v1alpha1.IPAddressPoolSpec)) *v1alpha1.IPAddressPool {
	p = p.DeepCopy()
	for _, change := range changes {
		change(&p.Spec)
	}
	return p
}

func notAutomatic(spec *v1alpha1.IPAddressPoolSpec) {
	no := false
	spec.AutoAssign = &no
}

func reusedAtOnce(spec *v1alpha1.IPAddressPoolSpec) { spec.ReuseAfter = &metav1.Duration{} }

func together(spec *v1alpha1.IPAddressPoolSpec) { spec.Sharing = v1alpha1.SharingCluster }

func only(s v1alpha1.ServiceAllocation) func(*v1alpha1.IPAddressPoolSpec) {
	return func(spec *v1alpha1.IPAddressPoolSpec) { spec.ServiceAllocation = &s }
}

func byLabel(key, value string) v1alpha1.LabelSelector {
	return v1alpha1.LabelSelector{MatchLabels: map[string]v1alpha1.LabelValue{key: v1alpha1.LabelValue(value)}}
}

// script drives an allocator through a story.
type script struct {
	t     *testing.T
	a     *Allocator
	now   time.Time
	pools []*v1alpha1.IPAddressPool
	born  map[string]int
}

func newScript(t *testing.T, pools ...*v1alpha1.IPAddressPool) *script {
	s := &script{t: t, a: New(), now: epoch, born: map[string]int{}}
	for _, namespace := range []string{"default", "other"} {
		s.a.SetNamespace(s.now, namespace, map[string]string{"name": namespace})
	}
	s.setPools(pools...)
	return s
}

// stories runs each story, whose name is a sentence about behaviour, with an allocator of its own.
func stories(t *testing.T, list map[string]func(*script), pools ...*v1alpha1.IPAddressPool) {
	for name, story := range list {
		t.Run(name, func(t *testing.T) { story(newScript(t, pools...)) })
	}
}

func (s *script) setPools(pools ...*v1alpha1.IPAddressPool) string {
	s.pools = pools
	return names(s.a.SetPools(s.now, pools))
}

// service is the request of a Service: IPv4, TCP port 80, namespace default unless the name says
// another. Services are as old as their first mention.
func (s *script) service(name string, changes ...func(*Request)) Request {
	namespace, plain, found := strings.Cut(name, "/")
	if !found {
		namespace, plain = "default", name
	}
	if _, known := s.born[name]; !known {
		s.born[name] = len(s.born)
	}
	r := Request{
		Service:  types.NamespacedName{Namespace: namespace, Name: plain},
		UID:      types.UID("uid of " + name),
		Created:  epoch.Add(time.Duration(s.born[name]) * time.Second),
		Families: []corev1.IPFamily{corev1.IPv4Protocol},
		Policy:   corev1.IPFamilyPolicySingleStack,
		Ports:    []Port{{corev1.ProtocolTCP, 80}},
	}
	for _, change := range changes {
		change(&r)
	}
	return r
}

func asks(addresses ...string) func(*Request) {
	return func(r *Request) { r.Addresses = parse(addresses) }
}

func believes(addresses ...string) func(*Request) {
	return func(r *Request) { r.Current = parse(addresses) }
}

func from(pool string) func(*Request) { return func(r *Request) { r.Pool = pool } }

func shares(key string, port int32) func(*Request) {
	return func(r *Request) { r.SharingKey, r.Ports = key, []Port{{corev1.ProtocolTCP, port}} }
}

func behind(pods string) func(*Request) { return func(r *Request) { r.Backends = pods } }

func labelled(key, value string) func(*Request) {
	return func(r *Request) { r.Labels = map[string]string{key: value} }
}

func born(uid string) func(*Request) { return func(r *Request) { r.UID = types.UID(uid) } }

func stack(policy corev1.IPFamilyPolicy, list ...corev1.IPFamily) func(*Request) {
	return func(r *Request) { r.Policy, r.Families = policy, list }
}

const (
	v4 = corev1.IPv4Protocol
	v6 = corev1.IPv6Protocol

	single  = corev1.IPFamilyPolicySingleStack
	prefer  = corev1.IPFamilyPolicyPreferDualStack
	require = corev1.IPFamilyPolicyRequireDualStack
)

func parse(list []string) (addresses []netip.Addr) {
	for _, text := range list {
		addresses = append(addresses, netip.MustParseAddr(text))
	}
	return addresses
}

// ensure asks and returns the addresses or, if there is an error, its reason, with the addresses
// that are kept in spite of it in brackets.
func (s *script) ensure(r Request) string {
	s.t.Helper()
	answer, _ := s.ask(r)
	return answer
}

func (s *script) ask(r Request) (string, Outcome) {
	s.t.Helper()
	out, err := s.a.Ensure(s.now, r)
	if problem := broken(s.a); problem != "" {
		s.t.Fatal(problem)
	}
	var list []string
	for _, addr := range out.Addresses {
		list = append(list, addr.String())
	}
	answer := strings.Join(list, " ")
	if err != nil {
		answer = string(err.(*Error).Reason)
		if len(list) > 0 {
			answer += " [" + strings.Join(list, " ") + "]"
		}
	}
	return answer, out
}

// sentence asks and returns what the user is told.
func (s *script) sentence(r Request) string {
	s.t.Helper()
	out, err := s.a.Ensure(s.now, r)
	if err != nil {
		return err.Error()
	}
	return out.Message
}

func (s *script) release(r Request) string {
	s.t.Helper()
	requeued := s.a.Release(s.now, r.Service, r.UID)
	if problem := broken(s.a); problem != "" {
		s.t.Fatal(problem)
	}
	return names(requeued)
}

func (s *script) expect(what, got, want string) {
	s.t.Helper()
	if got != want {
		s.t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

// names lists Services, without the default namespace.
func names(list []types.NamespacedName) string {
	var texts []string
	for _, name := range list {
		texts = append(texts, strings.TrimPrefix(name.String(), "default/"))
	}
	return strings.Join(texts, " ")
}

func doubleClaims(list []DoubleClaim) string {
	var texts []string
	for _, c := range list {
		texts = append(texts, fmt.Sprintf("%v: %s, not %s", c.Address, c.Winner.Name, c.Loser.Name))
	}
	slices.Sort(texts)
	return strings.Join(texts, "; ")
}
