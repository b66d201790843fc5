package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestTheAnnouncerWaitsUntilAnAPIServerCanBeReachedAndNoLonger(t *testing.T) {
	for _, status := range []int{http.StatusOK, http.StatusUnauthorized, http.StatusInternalServerError} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		asked := 0
		api := &httptest.Server{Listener: listener, Config: &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if asked++; asked == 1 { // as if nothing were there
				panic(http.ErrAbortHandler)
			}
			w.WriteHeader(status)
		})}}
		api.Start()
		kube := kubernetes.NewForConfigOrDie(&rest.Config{Host: "http://" + listener.Addr().String()})
		if err := awaitAPIServer(t.Context(), kube.Discovery().RESTClient()); err != nil || asked < 2 {
			t.Errorf("status %d: after %d questions: %v", status, asked, err)
		}
		api.Close()
	}
}
