package s3endpoint

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// NewCertificate makes a certificate that is made out to the given names and addresses, signed by itself, and its key, both as PEM;
// tls.X509KeyPair reads them. It is valid from an hour before now, for clocks that differ, until now plus validity.
//
// Make it once, keep both files where only the agent reads them, and have SQL Server trust the certificate (see the package comment). It is no
// authority: whoever gets hold of its key can pose as this endpoint, and as nothing else.
func NewCertificate(now time.Time, validity time.Duration, hosts ...string) (certificate, key []byte, err error) {
	fail := func(err error) ([]byte, []byte, error) {
		return nil, nil, &backup.Error{Op: "make a certificate for the S3 endpoint", App: application, Err: err}
	}
	if len(hosts) == 0 || validity <= 0 {
		return fail(errors.New("it needs a host and a validity"))
	}
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fail(err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return fail(err)
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: hosts[0], Organization: []string{"Quiesce S3 endpoint"}},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(validity),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
	}
	for _, h := range hosts {
		if ip := net.ParseIP(h); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, h)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return fail(fmt.Errorf("sign for %q: %w", hosts, err))
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return fail(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}), nil
}
