package provider

import (
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
)

// quietLog is a logger for the service controller. Its recorder logs every event, also those that tell no news and that
// transitionEvents keeps from the API: two lines for every Service whenever nodes come or go. Of a failure it logs the event and the
// error; the error is enough.
func quietLog(logger logr.Logger) logr.Logger {
	sink := logger.GetSink()
	if sink == nil {
		return logger
	}
	if deeper, is := sink.(logr.CallDepthLogSink); is {
		sink = deeper.WithCallDepth(1) // lines come from where they came from before
	}
	return logger.WithSink(newsSink{sink})
}

// newsSink leaves routine events out.
type newsSink struct{ logr.LogSink }

func (s newsSink) Info(level int, message string, keysAndValues ...any) {
	if message == "Event occurred" {
		if event := eventIn(keysAndValues); event.Reason == eventSyncFailed || isRoutine(event) {
			return
		}
	}
	s.LogSink.Info(level, message, keysAndValues...)
}

func (s newsSink) WithValues(keysAndValues ...any) logr.LogSink {
	return newsSink{s.LogSink.WithValues(keysAndValues...)}
}

func (s newsSink) WithName(name string) logr.LogSink { return newsSink{s.LogSink.WithName(name)} }

// eventIn is what record.EventBroadcaster.StartStructuredLogging has of an event in a line of the log.
func eventIn(keysAndValues []any) *corev1.Event {
	event := &corev1.Event{}
	for i := 0; i+1 < len(keysAndValues); i += 2 {
		text, _ := keysAndValues[i+1].(string)
		switch keysAndValues[i] {
		case "reason":
			event.Reason = text
		case "message":
			event.Message = text
		}
	}
	return event
}
