// Package echo is the server that stands for every workload in a test cluster. It answers each
// request, over HTTP, raw TCP and UDP, with who answered (pod, namespace, node) and what it saw of
// the client, so that a test can tell from one answer which way the packets went and whose address
// survived.
//
// What a pod can ask of it, through the environment of its container:
//
//	ECHO_MESSAGE     a word that every answer carries, to tell two versions of a workload apart
//	ECHO_STOP_DELAY  how long it goes on serving after SIGTERM (a Go duration, default none), never longer than the pod's
//	                 grace period, because the kubelet then kills it
//
// It knows nothing about Kubernetes; the kubelet of the test cluster tells it its name and ports.
package echo

import (
	"fmt"
	"net/netip"
	"strings"
)

// Answer is what the server says about one request. It is the JSON body when the client accepts
// application/json, and otherwise one line of text that Parse reads back.
type Answer struct {
	Pod       string `json:"pod"`
	Namespace string `json:"namespace"`
	Node      string `json:"node"`
	// Client is the source of the request as the server saw it, after whatever translation happened
	// on the way.
	Client netip.AddrPort `json:"client"`
	// Local is the address the request arrived at, after translation: an address of the pod or of
	// the node.
	Local netip.AddrPort `json:"local"`
	// Path is the request path; empty on raw TCP and UDP.
	Path string `json:"path,omitempty"`
	// Message is what ECHO_MESSAGE says.
	Message string `json:"message,omitempty"`
}

// String gives the answer as one line without its end, such as
// "pod=web-1 namespace=default node=n1 client=192.168.10.100:40000 local=10.244.1.2:8080 path=/".
func (a Answer) String() string {
	line := fmt.Sprintf("pod=%s namespace=%s node=%s client=%s local=%s", a.Pod, a.Namespace, a.Node, a.Client, a.Local)
	if a.Path != "" {
		line += " path=" + escape(a.Path)
	}
	if a.Message != "" {
		line += " message=" + escape(a.Message)
	}
	return line
}

// escape keeps a value free of the space that ends it.
func escape(value string) string {
	return strings.NewReplacer(" ", "%20", "\n", "%0A", "\r", "%0D").Replace(value)
}

// Parse reads back the line that String made. Unknown keys are ignored; a line that names no pod is
// an error.
func Parse(line string) (Answer, error) {
	var a Answer
	for _, field := range strings.Fields(line) {
		key, value, _ := strings.Cut(field, "=")
		var err error
		switch key {
		case "pod":
			a.Pod = value
		case "namespace":
			a.Namespace = value
		case "node":
			a.Node = value
		case "client":
			a.Client, err = netip.ParseAddrPort(value)
		case "local":
			a.Local, err = netip.ParseAddrPort(value)
		case "path":
			a.Path = value
		case "message":
			a.Message = value
		}
		if err != nil {
			return Answer{}, fmt.Errorf("parse %s of echo answer %q: %w", key, line, err)
		}
	}
	if a.Pod == "" {
		return Answer{}, fmt.Errorf("parse echo answer %q: no pod", line)
	}
	return a, nil
}
