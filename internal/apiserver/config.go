package apiserver

import (
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// Config is how to reach the API server: by its URL, which may be "", and a kubeconfig file; without either, as a pod does. clientcmd
// would warn of that, though it is what a pod is meant to do.
func Config(url, kubeconfig string) (*rest.Config, error) {
	if url == "" && kubeconfig == "" {
		return rest.InClusterConfig()
	}
	return clientcmd.BuildConfigFromFlags(url, kubeconfig)
}
