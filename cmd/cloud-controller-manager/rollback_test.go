package main

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
	"k8s.io/cloud-provider/app/config"

	"github.com/clarionlb/clarion/internal/rollback"
)

// goneBack is an API whose Services were at revision 10 when they were listed, and are at 5 whenever it
// is asked again.
type goneBack struct{}

func (goneBack) RoundTrip(r *http.Request) (*http.Response, error) {
	query, revision, code := r.URL.Query(), 10, http.StatusOK
	if query.Get("sendInitialEvents") != "" { // it does not know that, so that all are listed
		code = http.StatusUnprocessableEntity
	}
	if query.Get("limit") == "1" {
		revision = 5
	}
	body := fmt.Sprintf(`{"kind":"ServiceList","apiVersion":"v1","metadata":{"resourceVersion":"%d"}}`, revision)
	if code != http.StatusOK {
		body = `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"Invalid","code":422}`
	}
	return &http.Response{
		StatusCode: code, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(body)), Request: r,
	}, nil
}

func TestTheInformersThatTheControllersShareNoticeThatTheAPIHasGoneBack(t *testing.T) {
	completed := (&config.Config{Kubeconfig: &rest.Config{Host: "http://api", Transport: goneBack{}, QPS: -1}}).Complete()
	noticed := make(chan string, 100)
	if err := guardInformers(t.Context(), completed, rollback.NewGuard(func(path string) {
		select {
		case noticed <- path:
		default:
		}
	})); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	completed.SharedInformers.Core().V1().Services().Informer()
	completed.SharedInformers.Start(stop)
	if path := <-noticed; path != "/api/v1/services" {
		t.Errorf("what has gone back is %s", path)
	}
	close(stop)
	completed.SharedInformers.Shutdown()
}
