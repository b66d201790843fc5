package kube

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"

	"github.com/clarionlb/clarion/client/versioned"
)

func TestWhatIsWrittenOfAnAnnouncerIsNotSentBack(t *testing.T) {
	const patch = `[{"op":"add","path":"/status","value":{}}]`
	var asked, path, kind, body string
	var status int
	var answer string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		asked, path, kind, body = r.Header.Get("Accept"), r.Method+" "+r.URL.Path, r.Header.Get("Content-Type"), string(text)
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	defer server.Close()
	clarion := versioned.NewForConfigOrDie(&rest.Config{Host: server.URL})
	client := NewAnnouncerClient(clarion.ClarionV1alpha1())
	write := func(ctx context.Context) error {
		_, err := client.Patch(ctx, "n1", types.JSONPatchType, []byte(patch), metav1.PatchOptions{}, "status")
		return err
	}

	status, answer = http.StatusOK, `{"kind":"PartialObjectMetadata","apiVersion":"meta.k8s.io/v1","metadata":{"name":"n1"}}`
	if err := write(t.Context()); err != nil {
		t.Errorf("a write that succeeds returns %v", err)
	}
	if asked != metadataAlone || path != "PATCH /apis/clarionlb.io/v1alpha1/announcers/n1/status" || kind != string(types.JSONPatchType) || body != patch {
		t.Errorf("the API server was asked for %q by %s with %s %s", asked, path, kind, body)
	}

	status, answer = http.StatusNotFound, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`
	if err := write(t.Context()); !apierrors.IsNotFound(err) {
		t.Errorf("a write to an Announcer that is gone returns %v", err)
	}
	status, answer = http.StatusUnprocessableEntity, `{"kind":"Status","apiVersion":"v1","status":"Failure","message":"too long","reason":"Invalid","code":422}`
	if err := write(t.Context()); !apierrors.IsInvalid(err) || err.Error() != "too long" {
		t.Errorf("a write that is refused returns %v", err)
	}
	server.CloseClientConnections()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if err := write(cancelled); err == nil {
		t.Error("a write that was given up returns no error")
	}
}
