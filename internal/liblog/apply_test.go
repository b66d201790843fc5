package liblog

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/tools/cache"
	"k8s.io/client-go/util/cert"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	_ "k8s.io/component-base/logs/json/register"
	"k8s.io/klog/v2"
)

// logged is what a program logs that was started with these flags.
func logged(t *testing.T, format string, verbosity logsapi.VerbosityLevel, do func()) (lines []string) {
	t.Helper()
	gate := featuregate.NewFeatureGate()
	if err := errors.Join(logsapi.AddFeatureGates(gate), logsapi.ResetForTest(gate)); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := logsapi.ResetForTest(gate); err != nil {
			t.Fatal(err)
		}
	}()
	config := logsapi.NewLoggingConfiguration()
	config.Format, config.Verbosity = format, verbosity
	var out bytes.Buffer
	if err := apply(config, &logsapi.LoggingOptions{ErrorStream: &out, InfoStream: &out}, gate); err != nil {
		t.Fatal(err)
	}
	do()
	klog.Flush()
	return slices.Collect(strings.Lines(out.String()))
}

// start has libraries of Kubernetes start and stop parts of them, in the ways in which they log.
func start(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	cache.WaitForNamedCacheSyncWithContext(klog.NewContext(t.Context(), klog.Background().WithName("x").WithValues("a", 1)), func() bool { return true })
	pem, _, err := cert.GenerateSelfSignedCertKey("test", nil, nil)
	file := filepath.Join(t.TempDir(), "ca.crt")
	if err := errors.Join(err, os.WriteFile(file, pem, 0o600)); err != nil {
		t.Fatal(err)
	}
	ca, err := dynamiccertificates.NewDynamicCAContentFromFile("ca", file)
	if err != nil {
		t.Fatal(err)
	}
	ca.Run(ctx, 1)
	klog.Infof("Started %q", "service-lb-controller")
	klog.Warningf("%q is disabled", "cloud-node-lifecycle-controller")
}

func TestThatPartsOfTheLibrariesStartAndStopIsForThoseWhoAsk(t *testing.T) {
	for _, format := range []string{logsapi.DefaultLogFormat, logsapi.JSONLogFormat} {
		if lines := logged(t, format, 0, func() { start(t) }); len(lines) > 0 {
			t.Errorf("%s: it logs %q", format, lines)
		}
		lines := strings.Join(logged(t, format, 2, func() { start(t) }), "")
		for _, said := range []string{
			"Waiting for caches to sync", "Caches are synced", "Starting controller", "Shutting down controller", "service-lb-controller", "is disabled",
		} {
			if !strings.Contains(lines, said) {
				t.Errorf("%s, --v=2: it does not say %q: %s", format, said, lines)
			}
		}
	}
}

func TestWhatElseIsLoggedComesFromWhereItCameFromBefore(t *testing.T) {
	for _, format := range []string{logsapi.DefaultLogFormat, logsapi.JSONLogFormat} {
		lines := logged(t, format, 0, func() {
			klog.Background().Info("contextual")
			klog.Background().WithName("x").WithValues("a", 1).Error(errors.New("no"), "contextual error")
			klog.InfoS("structured")
			klog.ErrorS(errors.New("no"), "structured error")
			klog.Infof("formatted %d", 1)
			klog.Warningf("formatted %d", 2)
			klog.Errorf("formatted %d", 3)
			klog.Background().V(1).Info("for others")
		})
		if len(lines) != 7 {
			t.Errorf("%s: it logs %q", format, lines)
		}
		for _, line := range lines {
			if !strings.Contains(line, "apply_test.go:") {
				t.Errorf("%s: it does not come from here: %s", format, line)
			}
		}
	}
}
