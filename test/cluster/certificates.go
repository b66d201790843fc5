package cluster

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// authority signs certificates. Everything it makes is valid for a week, because no test cluster
// lives longer.
type authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	pem         []byte
}

// newAuthority makes a certificate authority and writes its certificate and key to dir/name.{crt,key}.
func newAuthority(dir, name string) (*authority, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	template := certificateTemplate(name)
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	a := &authority{certificate: certificate, key: key, pem: pemCertificate(der)}
	return a, writePair(dir, name, a.pem, key)
}

// client makes a certificate that authenticates a user in groups.
func (a *authority) client(user string, groups ...string) (certificate, key []byte, err error) {
	template := certificateTemplate(user)
	template.Subject.Organization = groups
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	signer, err := newKey()
	if err != nil {
		return nil, nil, err
	}
	certificate, err = a.sign(template, signer)
	if err != nil {
		return nil, nil, err
	}
	key, err = pemKey(signer)
	return certificate, key, err
}

// writeClient is client, written to dir/name.{crt,key}.
func (a *authority) writeClient(dir, name, user string) error {
	certificate, key, err := a.client(user)
	if err != nil {
		return err
	}
	return writePEM(dir, name, certificate, key)
}

// writeServer makes a certificate for a server that is reached by names and addresses, in
// dir/name.{crt,key}.
func (a *authority) writeServer(dir, name string, names []string, ips []netip.Addr) error {
	template := certificateTemplate(name)
	template.DNSNames = names
	for _, ip := range ips {
		template.IPAddresses = append(template.IPAddresses, net.IP(ip.AsSlice()))
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	signer, err := newKey()
	if err != nil {
		return err
	}
	certificate, err := a.sign(template, signer)
	if err != nil {
		return err
	}
	return writePair(dir, name, certificate, signer)
}

func (a *authority) sign(template *x509.Certificate, key crypto.Signer) ([]byte, error) {
	template.KeyUsage = x509.KeyUsageDigitalSignature
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return nil, err
	}
	return pemCertificate(der), nil
}

// writeKeyPair makes a key pair without a certificate, in dir/name.{pub,key}.
func writeKeyPair(dir, name string) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return err
	}
	private, err := pemKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, name+".key"), private, 0o600); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".pub"), pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public}), 0o644)
}

func certificateTemplate(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand does not fail
	}
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(7 * 24 * time.Hour),
	}
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func pemCertificate(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func pemKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}

func writePair(dir, name string, certificate []byte, key crypto.Signer) error {
	private, err := pemKey(key)
	if err != nil {
		return err
	}
	return writePEM(dir, name, certificate, private)
}

func writePEM(dir, name string, certificate, key []byte) error {
	if err := os.WriteFile(filepath.Join(dir, name+".crt"), certificate, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, name+".key"), key, 0o600)
}
