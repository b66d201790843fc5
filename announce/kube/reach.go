package kube

import (
	"context"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clients "github.com/clarionlb/clarion/client/versioned/typed/api/v1alpha1"
)

// Answers reports whether the API server answers within a second. An API server that is cut off
// from its own peers, on this very node perhaps, does not count: the question is one that it cannot
// answer from a cache.
func Answers(ctx context.Context, announcers clients.AnnouncerInterface, node string) bool {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := announcers.Get(ctx, node, metav1.GetOptions{})
	return err == nil
}
