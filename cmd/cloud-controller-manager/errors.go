package main

import (
	"context"
	"strings"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"

	"github.com/clarionlb/clarion/provider"
)

// quietRefusals has what the service controller says of an answer that is no, again at every attempt, be for --v=2: it is a line, an
// event and a condition of the Service once. It is known by nothing but its text. Other errors stay, such as that nothing may be written.
func quietRefusals(log utilruntime.ErrorHandler) utilruntime.ErrorHandler {
	return func(ctx context.Context, err error, message string, keysAndValues ...any) {
		logger := klog.FromContext(ctx)
		if err != nil && strings.HasPrefix(err.Error(), "error processing service ") && provider.IsAnswer(err.Error()) {
			logger.V(2).Info("The service controller tries again", "err", err)
			return
		}
		log(klog.NewContext(ctx, logger.WithCallDepth(1)), err, message, keysAndValues...)
	}
}
