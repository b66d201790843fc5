package e2e

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// token creates a ServiceAccount and returns a token for it.
func (d *deployment) token(account string) string {
	d.t.Helper()
	d.kubectl("create", "serviceaccount", account)
	request, err := d.Kubernetes().CoreV1().ServiceAccounts(metav1.NamespaceDefault).CreateToken(d.ctx, account, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		d.t.Fatal(err)
	}
	return request.Status.Token
}

// metrics returns the metrics of the cloud-controller-manager that leads, as a monitoring system
// with a token gets them.
func (d *deployment) metrics(ctx context.Context, token string) (text string, status int) {
	d.t.Helper()
	leader, err := d.Leader(ctx)
	if err != nil {
		d.t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, protocol, address string) (net.Conn, error) {
			return leader.DialContext(ctx, protocol, address)
		},
		TLSClientConfig:   &tls.Config{InsecureSkipVerify: true}, // it signs its certificate itself
		DisableKeepAlives: true,
	}}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("https://%s:10258/metrics", leader.IPs()[0]), nil)
	if err != nil {
		d.t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return err.Error(), 0
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return err.Error(), 0
	}
	return string(body), response.StatusCode
}
