package announced

import (
	"net/netip"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/clarionlb/clarion/api/v1alpha1"
	"github.com/clarionlb/clarion/internal/guard"
)

func TestAServiceSaysThatClarionFailedOnIt(t *testing.T) {
	failed := guard.Do("test", nil, func() { panic("odd") })
	onLayer2 := statement{address: netip.MustParseAddr("192.0.2.1"), reason: v1alpha1.ReasonAnnounced, layer2: announcement{"n1", "eth0", 0}}
	announced := onLayer2
	announced.failed = failed.Error()
	for _, tt := range []struct {
		name   string
		of     statement
		status metav1.ConditionStatus
		reason string
	}{
		{"which is announced", announced, metav1.ConditionTrue, v1alpha1.ReasonAnnounced},
		{"of which nothing is known", statement{reason: v1alpha1.ReasonInternalError, failed: failed.Error()}, metav1.ConditionFalse, v1alpha1.ReasonInternalError},
	} {
		c := announcedCondition([]statement{tt.of})
		if c.Status != tt.status || c.Reason != tt.reason || !strings.Contains(c.Message, "please report") {
			t.Errorf("%s: %+v", tt.name, c)
		}
	}
}

func TestAFaultAboutOneServiceIsNoneAboutOthers(t *testing.T) {
	e := newEvaluator()
	name := types.NamespacedName{Namespace: "default", Name: "web"}
	e.failedOn(name, guard.Do("test", nil, func() { panic("odd") }))
	said := e.statementsOf(name, metav1.Now().Time)
	if len(said) != 1 || said[0].reason != v1alpha1.ReasonInternalError {
		t.Errorf("says %v", said)
	}
	if said := e.statementsOf(types.NamespacedName{Namespace: "default", Name: "other"}, metav1.Now().Time); len(said) != 0 {
		t.Errorf("the other one says %v", said)
	}
	e.setService(name, nil)
	if said := e.statementsOf(name, metav1.Now().Time); len(said) != 0 {
		t.Errorf("after it was taken in, it says %v", said)
	}
}
