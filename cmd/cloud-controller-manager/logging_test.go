package main

import (
	"testing"

	"github.com/spf13/pflag"
	utilfeature "k8s.io/apiserver/pkg/util/feature"
	"k8s.io/component-base/logs"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
)

func TestWhatIsLoggedBeforeTheFrameworkRunsHasTheSameForm(t *testing.T) {
	if err := logsapi.ResetForTest(utilfeature.DefaultFeatureGate); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = logsapi.ResetForTest(utilfeature.DefaultFeatureGate) })
	text := klog.Background().GetSink()
	options, flags := logs.NewOptions(), pflag.NewFlagSet("", pflag.ContinueOnError)
	logsapi.AddFlags(options, flags)
	if err := flags.Parse([]string{"--logging-format=json", "--v=3"}); err != nil {
		t.Fatal(err)
	}
	applyLogging(flags)
	if klog.Background().GetSink() == text || !klog.Background().V(3).Enabled() || klog.Background().V(4).Enabled() {
		t.Error("it is not what the flags ask for")
	}
	if err := logsapi.ValidateAndApply(options, utilfeature.DefaultFeatureGate); err != nil {
		t.Errorf("the framework applies the same, and fails: %v", err)
	}
}
