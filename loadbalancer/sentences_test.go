package loadbalancer

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/api/v1alpha1"
)

// However much there is to name or to repeat, a sentence stays one that can be read, and says that there is more.
func TestHowMuchASentenceNames(t *testing.T) {
	items := func(n int) (all []string) {
		for i := range n {
			all = append(all, fmt.Sprint("p", i))
		}
		return all
	}
	for n, want := range map[int]string{1: "p0", mostNamed: "p0, p1, p2, p3", mostNamed + 1: "p0, p1, p2, p3, and others", 100: "p0, p1, p2, p3, and others"} {
		if got := enumerate(items(n), ", "); got != want {
			t.Errorf("of %d: %q", n, got)
		}
	}
	for n, cut := range map[int]bool{0: false, longestQuote: false, longestQuote + 1: true} {
		if got := strings.HasSuffix(quote(strings.Repeat("x", n)), "..."); got != cut {
			t.Errorf("%d bytes are cut: %t", n, got)
		}
	}
}

func TestOfMorePoolsThanASentenceNamesThereAreOthers(t *testing.T) {
	for n, others := range map[int]bool{mostNamed: false, mostNamed + 1: true, mostNamed + 2: true} {
		var pools []*v1alpha1.IPAddressPool
		for i := range n {
			pools = append(pools, with(newPool(fmt.Sprint("p", i), fmt.Sprintf("10.0.%d.0/24", i)), notAutomatic))
		}
		s := newScript(t, pools...)
		if got := s.sentence(s.service("a")); strings.Contains(got, "and others") != others || !strings.Contains(got, `"p3"`) {
			t.Errorf("of %d pools: %s", n, got)
		}
	}
}

func TestWhatHelpsAgainstAPoolThatRefuses(t *testing.T) {
	for why, want := range map[string]bool{isDeleted: false, onlyOnRequest: true} {
		if got := strings.Contains(poolRefuses("lan", why).Remedy, "change spec.serviceAllocation"); got != want {
			t.Errorf("%q: %s", why, poolRefuses("lan", why).Remedy)
		}
	}
}

func TestASizeThatDoesNotFitIsTheLargestThatDoes(t *testing.T) {
	for _, tt := range []struct {
		size size
		want int64
	}{
		{size{}, 0},
		{size{lo: 7}, 7},
		{size{lo: math.MaxInt64}, math.MaxInt64},
		{size{lo: math.MaxInt64 + 1}, math.MaxInt64},
		{size{hi: 1}, math.MaxInt64},
	} {
		if got := tt.size.int64(); got != tt.want {
			t.Errorf("%+v: got %d", tt.size, got)
		}
	}
}

func TestSinceWhenAServiceHasWhatItHasIsInItsCondition(t *testing.T) {
	since := metav1.NewTime(epoch)
	for status, want := range map[metav1.ConditionStatus]bool{metav1.ConditionTrue: true, metav1.ConditionFalse: false, metav1.ConditionUnknown: false} {
		service := &corev1.Service{Spec: corev1.ServiceSpec{Type: corev1.ServiceTypeLoadBalancer, IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol}}}
		service.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionAddressAssigned, Status: status, LastTransitionTime: since}}
		r, err := NewRequest(service)
		if err != nil {
			t.Fatal(err)
		}
		if r.Since.Equal(since.Time) != want {
			t.Errorf("%s: since %s", status, r.Since)
		}
	}
}

func TestHowManyFamiliesAServiceCanHave(t *testing.T) {
	both := []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}
	for _, tt := range []struct {
		policy   corev1.IPFamilyPolicy
		families []corev1.IPFamily
		want     int
	}{
		{corev1.IPFamilyPolicySingleStack, both, 1},
		{corev1.IPFamilyPolicySingleStack, both[:1], 1},
		{corev1.IPFamilyPolicySingleStack, nil, 0},
		{corev1.IPFamilyPolicyPreferDualStack, both, 2},
		{corev1.IPFamilyPolicyRequireDualStack, slices.Concat(both, both), 2},
	} {
		r := &Request{Policy: tt.policy, Families: tt.families}
		if got := len(r.wanted()); got != tt.want {
			t.Errorf("%s of %v: %d", tt.policy, tt.families, got)
		}
	}
}
