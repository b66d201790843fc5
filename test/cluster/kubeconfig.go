package cluster

import (
	"os"
	"path/filepath"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// writeKubeconfig writes what a user needs to reach the API server to a file in the cluster's run
// folder.
func (c *Cluster) writeKubeconfig(ca *authority, file, user string, groups ...string) error {
	certificate, key, err := ca.client(user, groups...)
	if err != nil {
		return err
	}
	config := clientcmdapi.NewConfig()
	config.Clusters["cluster"] = &clientcmdapi.Cluster{Server: c.topology.apiURL(), CertificateAuthorityData: ca.pem}
	config.AuthInfos["user"] = &clientcmdapi.AuthInfo{ClientCertificateData: certificate, ClientKeyData: key}
	config.Contexts["context"] = &clientcmdapi.Context{Cluster: "cluster", AuthInfo: "user"}
	config.CurrentContext = "context"
	if err := os.MkdirAll(filepath.Dir(c.kubeconfig(file)), 0o700); err != nil {
		return err
	}
	return clientcmd.WriteToFile(*config, c.kubeconfig(file))
}

// kubeconfig returns the path of a kubeconfig.
func (c *Cluster) kubeconfig(file string) string {
	return filepath.Join(runDir(c.config.Name), "kubeconfig", file)
}
