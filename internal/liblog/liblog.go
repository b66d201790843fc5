// Package liblog has of what Kubernetes' libraries log what says something to an operator, and the rest at --v=2.
//
// While the API server is away, every informer, every event and the election complain again and again. That it is away is said once, by
// apiserver.Monitor: so there are loggers for client-go. That a part of a library starts or stops is its routine: see Apply.
package liblog

import (
	"context"

	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
)

// level is from which verbosity on everything is logged.
const level = 2

// Informers returns a context in which informers and recorders of events log what an API server has answered, as a right that is
// missing. The rest is for --v=2.
func Informers(ctx context.Context) context.Context { return with(ctx, level) }

// Errors returns a context in which errors without an answer of an API server are for --v=2.
func Errors(ctx context.Context) context.Context { return with(ctx, 0) }

func with(ctx context.Context, raise int) context.Context {
	logger := klog.FromContext(ctx)
	inner := logger.GetSink()
	if inner == nil {
		return ctx
	}
	return klog.NewContext(ctx, logger.WithSink(sink{deeper(inner, 1), raise}))
}

// sink raises the level of lines by raise, and that of errors without an answer.
type sink struct {
	logr.LogSink
	raise int
}

func (s sink) Enabled(at int) bool { return s.LogSink.Enabled(at + s.raise) }

func (s sink) Info(at int, message string, keysAndValues ...any) {
	s.LogSink.Info(at+s.raise, message, keysAndValues...)
}

func (s sink) Error(err error, message string, keysAndValues ...any) {
	switch {
	case err != nil && apierrors.ReasonForError(err) != metav1.StatusReasonUnknown:
		s.LogSink.Error(err, message, keysAndValues...)
	case s.LogSink.Enabled(level):
		s.LogSink.Info(level, message, append(keysAndValues, "err", err)...)
	}
}

func (s sink) WithValues(keysAndValues ...any) logr.LogSink {
	return sink{s.LogSink.WithValues(keysAndValues...), s.raise}
}

func (s sink) WithName(name string) logr.LogSink { return sink{s.LogSink.WithName(name), s.raise} }
