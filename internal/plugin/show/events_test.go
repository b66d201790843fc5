package show

import (
	"context"
	"io"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/clarionlb/clarion/internal/fakeapi"
)

func event(name, source, message string) *corev1.Event {
	return &corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: "shop", Name: name},
		InvolvedObject: corev1.ObjectReference{Kind: "Service", Namespace: "shop", Name: "front"},
		Source:         corev1.EventSource{Component: source}, Reason: "AddressAnnounced", Type: corev1.EventTypeNormal, Message: message,
	}
}

func TestEventsAreFollowedUntilTheCommandIsEnded(t *testing.T) {
	kube := fakeapi.Kube(event("a", "clarion", "the first"), event("b", "kubelet", "of somebody else"))
	ctx, stop := context.WithCancel(t.Context())
	out, in := io.Pipe()
	done := make(chan error)
	go func() {
		err := followEvents(ctx, in, kube)
		in.Close()
		done <- err
	}()
	line := func() string {
		buffer := make([]byte, 1000)
		n, err := out.Read(buffer)
		if err != nil {
			t.Fatal(err)
		}
		return string(buffer[:n])
	}
	if got := line(); !strings.Contains(got, "service/shop/front  the first") {
		t.Error(got)
	}
	for _, e := range []*corev1.Event{event("c", "kubelet", "of somebody else"), event("d", "clarion", "the second")} {
		if _, err := kube.CoreV1().Events("shop").Create(ctx, e, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	if got := line(); !strings.Contains(got, "the second") {
		t.Error(got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
