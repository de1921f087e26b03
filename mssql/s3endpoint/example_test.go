package s3endpoint_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log"
	"net/http"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// A backup is received and offered for a restore. The place of SQL Server is taken by a client of S3.
func Example() {
	ctx := context.Background()
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), 10*365*24*time.Hour, "localhost")
	if err != nil {
		log.Fatal(err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		log.Fatal(err)
	}
	endpoint, err := s3endpoint.Start(s3endpoint.Config{Addr: "localhost:0", Certificate: pair})
	if err != nil {
		log.Fatal(err)
	}
	defer endpoint.Close()
	credential := endpoint.Credential() // CREATE CREDENTIAL [Name] WITH IDENTITY = 'Identity', SECRET = 'Secret'
	server := newServer(certificate, credential)

	var artifact bytes.Buffer
	upload, err := endpoint.Receive(ctx, "run1/shop.bak", &artifact, func() error {
		fmt.Println("commit: all bytes are here")
		return nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer upload.Close()
	// BACKUP DATABASE shop TO URL = upload.URL WITH FORMAT
	_, err = server.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String("backup"), Key: aws.String("run1/shop.bak"), Body: strings.NewReader("a backup")})
	fmt.Println("BACKUP:", err)
	fmt.Println("upload:", upload.Wait(ctx), upload.Bytes(), "bytes")

	object, err := endpoint.Offer(ctx, "run1/shop-restore.bak", int64(artifact.Len()), func(_ context.Context, off int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(artifact.Bytes()[off:])), nil
	})
	if err != nil {
		log.Fatal(err)
	}
	defer object.Close()
	// RESTORE DATABASE shop FROM URL = object.URL
	out, err := server.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String("backup"), Key: aws.String("run1/shop-restore.bak"), Range: aws.String("bytes=2-")})
	if err != nil {
		log.Fatal(err)
	}
	defer out.Body.Close()
	text, err := io.ReadAll(out.Body)
	fmt.Println("RESTORE:", string(text), err, object.Err())
	// Output:
	// commit: all bytes are here
	// BACKUP: <nil>
	// upload: <nil> 8 bytes
	// RESTORE: backup <nil> <nil>
}

// newServer is a client that trusts the endpoint's certificate and has its credential, as SQL Server must.
func newServer(certificate []byte, c s3endpoint.Credential) *s3.Client {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(certificate)
	host := strings.TrimSuffix(strings.TrimPrefix(c.Name, "s3://"), "/backup")
	id, secret, _ := strings.Cut(c.Secret, ":")
	return s3.New(s3.Options{
		Region: "us-east-1", BaseEndpoint: aws.String("https://" + host), UsePathStyle: true,
		HTTPClient: &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: id, SecretAccessKey: secret}, nil
		}),
	})
}
