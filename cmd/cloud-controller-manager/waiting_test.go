package main

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/client-go/rest"
)

func TestTheProgramLivesWhileItWaitsForTheAPIServerAndIsNotReady(t *testing.T) {
	var up atomic.Bool
	api := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if !up.Load() {
			http.Error(w, "starting", http.StatusServiceUnavailable)
		}
	}))
	defer api.Close()
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := free.Addr().(*net.TCPAddr)
	free.Close()

	waited := make(chan error, 1)
	go func() { waited <- waitForCluster(t.Context(), &rest.Config{Host: api.URL}, address.IP, address.Port) }()
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	probe := func(path string) int {
		for {
			response, err := client.Get("https://" + address.String() + path)
			if err == nil {
				response.Body.Close()
				return response.StatusCode
			}
			select {
			case err := <-waited:
				t.Fatalf("it does not wait: %v", err)
			case <-time.After(10 * time.Millisecond): // it does not listen yet
			}
		}
	}
	if got := probe("/healthz?exclude=service-lb-controller"); got != http.StatusOK {
		t.Errorf("the liveness probe gets %d", got)
	}
	if got := probe("/healthz"); got != http.StatusServiceUnavailable {
		t.Errorf("the readiness probe gets %d", got)
	}
	up.Store(true)
	if err := <-waited; err != nil {
		t.Error(err)
	}
	again, err := net.Listen("tcp", address.String())
	if err != nil {
		t.Fatalf("the port is still taken: %v", err)
	}
	again.Close()
}

func TestTheWaitForTheAPIServerEndsWithTheProgram(t *testing.T) {
	api := httptest.NewServer(http.NotFoundHandler())
	api.Close() // nobody is there
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := waitForCluster(ctx, &rest.Config{Host: api.URL}, net.IPv4(127, 0, 0, 1), 0); err == nil {
		t.Error("it says that there is an API server")
	}
}
