package status

import (
	"strings"
	"testing"

	"github.com/go-logr/logr/funcr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

func TestAConditionThatBecomesAnotherIsOneLineWithItsReason(t *testing.T) {
	valid := []metav1.Condition{ReadyCondition("Valid", "in use", 1), {Type: "Established", Status: metav1.ConditionTrue, Reason: "AllNodes"}}
	otherMessage := []metav1.Condition{ReadyCondition("Valid", "in use by another one", 2), valid[1]}
	wrong := []metav1.Condition{ReadyCondition("InvalidAddress", "192.0.2 is no address", 2), valid[1]}
	for _, test := range []struct {
		name          string
		before, after []metav1.Condition
		want          []string // one of each line
	}{
		{"it is new", nil, valid, []string{`"reason"="Valid"`, `"reason"="AllNodes"`}},
		{"it says the same", valid, valid, nil},
		{"it says it in other words", valid, otherMessage, nil},
		{"it becomes wrong", valid, wrong, []string{`"status"="False" "reason"="InvalidAddress" "message"="192.0.2 is no address"`}},
		{"it is mended", wrong, valid, []string{`"status"="True" "reason"="Valid"`}},
	} {
		var lines []string
		logger := funcr.New(func(_, args string) { lines = append(lines, args) }, funcr.Options{})
		LogChanges(klog.NewContext(t.Context(), logger), "IPAddressPool", "public", test.before, test.after)
		if len(lines) != len(test.want) {
			t.Errorf("%s: %q", test.name, lines)
			continue
		}
		for i, want := range test.want {
			if !strings.Contains(lines[i], want) || !strings.Contains(lines[i], `"name"="public"`) {
				t.Errorf("%s: %s", test.name, lines[i])
			}
		}
	}
}
