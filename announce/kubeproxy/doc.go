// Package kubeproxy asks the kube-proxy of a node what it serves. What the API says of endpoints
// comes to announcers and to kube-proxy at the same time, but kube-proxy forwards to them only when it
// has written its rules, up to some seconds later. It tells of a Service whose traffic stays local at
// the port spec.healthCheckNodePort of the node: 200 if there are endpoints on the node to which it
// forwards, 503 if not (kubernetes/pkg/proxy/healthcheck).
package kubeproxy
