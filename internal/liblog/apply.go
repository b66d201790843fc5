package liblog

import (
	"bytes"
	"strings"

	"github.com/go-logr/logr"
	"k8s.io/component-base/featuregate"
	logsapi "k8s.io/component-base/logs/api/v1"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"
)

// routine is how lines begin by which the libraries say that a part of them starts, waits for its caches or stops, as it always does, or
// warn of what is as it is meant to be. They are for --v=2. What goes wrong meanwhile is another line.
var routine = []string{
	"Caches are synced",
	"Generated self-signed cert",
	"Neither --kubeconfig nor --master was specified.  Using the inClusterConfig.",
	"Sending events to api server",
	"Serving securely on ",
	"Shutting down controller",
	"Shutting down DynamicServingCertificateController",
	"Shutting down RequestHeaderAuthRequestController",
	"Shutting down service controller",
	"Starting controller",
	"Starting DynamicServingCertificateController",
	"Starting RequestHeaderAuthRequestController",
	"Starting service controller",
	"Stopped listening on ",
	"Waiting for caches to sync",
	"Waiting for informer caches to sync",
	"Warning: resync period is smaller than resync check period",
	`Started "`,
	`"cloud-node-lifecycle-controller" is disabled`,
}

func isRoutine(message string) bool {
	for _, start := range routine {
		if strings.HasPrefix(message, start) {
			return true
		}
	}
	return false
}

// Apply has the program log as the flags say, but for the routine of the libraries, which is for --v=2.
func Apply(config *logsapi.LoggingConfiguration, gate featuregate.FeatureGate) error {
	return apply(config, nil, gate)
}

// apply is Apply with the streams to write to; nil are those of the process.
func apply(config *logsapi.LoggingConfiguration, streams *logsapi.LoggingOptions, gate featuregate.FeatureGate) error {
	if err := logsapi.ValidateAndApplyWithOptions(config, streams, gate); err != nil {
		return err
	}
	if config.Options.Text.InfoBufferSize.Value() > 0 || config.Options.JSON.InfoBufferSize.Value() > 0 {
		return nil // only the logger that is there knows how to write its buffer out
	}
	inner := klog.Background()
	sink := inner.GetSink()
	options := []klog.LoggerOption{klog.ContextualLogger(true)}
	if text, is := sink.(textlogger.KlogBufferWriter); is {
		options = append(options, klog.WriteKlogBuffer(func(line []byte) { writeUnlessRoutine(text, line) }))
	}
	klog.SetLoggerWithOptions(inner.WithSink(quiet{deeper(sink, 1)}), options...)
	return nil
}

// writeUnlessRoutine writes a line of text of which klog has made the header.
func writeUnlessRoutine(text textlogger.KlogBufferWriter, line []byte) {
	_, message, _ := bytes.Cut(line, []byte("] "))
	if !isRoutine(string(message)) || klog.V(level).Enabled() {
		text.WriteKlogBuffer(line)
	}
}

// quiet raises the level of the routine of the libraries.
type quiet struct{ logr.LogSink }

// Enabled and Error are written out, so that they count as functions in between.
func (q quiet) Enabled(at int) bool { return q.LogSink.Enabled(at) }

func (q quiet) Info(at int, message string, keysAndValues ...any) {
	if at < level && isRoutine(message) {
		if !q.Enabled(level) {
			return
		}
		at = level
	}
	q.LogSink.Info(at, message, keysAndValues...)
}

func (q quiet) Error(err error, message string, keysAndValues ...any) {
	q.LogSink.Error(err, message, keysAndValues...)
}

func (q quiet) WithValues(keysAndValues ...any) logr.LogSink {
	return quiet{q.LogSink.WithValues(keysAndValues...)}
}

func (q quiet) WithName(name string) logr.LogSink { return quiet{q.LogSink.WithName(name)} }

// WithCallDepth implements logr.CallDepthLogSink.
func (q quiet) WithCallDepth(depth int) logr.LogSink { return quiet{deeper(q.LogSink, depth)} }

// deeper has lines come from where they came from before, with so many more functions in between.
func deeper(sink logr.LogSink, depth int) logr.LogSink {
	if s, is := sink.(logr.CallDepthLogSink); is {
		return s.WithCallDepth(depth)
	}
	return sink
}
