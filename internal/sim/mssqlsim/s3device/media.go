package s3device

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
)

const (
	region      = "us-east-1"
	minPart     = 5 << 20
	maxPart     = 20 << 20
	defaultPart = 10 << 20
	maxParts    = 10_000
	maxURL      = 259 // characters
	sideBySide  = 3   // parts on their way
)

// Media keeps devices behind s3:// URLs.
type Media struct {
	id, secret string
	client     *http.Client
}

// Remote gives Media that trust the certificates of roots, for each credential: a key id and its secret.
func Remote(roots *x509.CertPool) func(id, secret string) mssqlsim.Media {
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, MaxIdleConnsPerHost: sideBySide, IdleConnTimeout: time.Second,
	}}
	return func(id, secret string) mssqlsim.Media { return &Media{id: id, secret: secret, client: client} }
}

// place is what a URL names.
type place struct {
	api         *s3.Client
	bucket, key *string
}

func (m *Media) place(path string) (place, error) {
	u, err := url.Parse(path)
	if err != nil || u.Scheme != "s3" || len(path) > maxURL {
		return place{}, &mssqlsim.DeviceError{Code: 123, Text: "The filename, directory name, or volume label syntax is incorrect."}
	}
	bucket, key, ok := strings.Cut(strings.TrimPrefix(u.Path, "/"), "/")
	if !ok || bucket == "" || key == "" {
		return place{}, unsupported()
	}
	api := s3.New(s3.Options{
		Region: region, BaseEndpoint: aws.String("https://" + u.Host), UsePathStyle: true, HTTPClient: m.client,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: m.id, SecretAccessKey: m.secret}, nil
		}),
		Retryer:                    retry.NewStandard(func(o *retry.StandardOptions) { o.MaxBackoff = 200 * time.Millisecond }),
		RequestChecksumCalculation: aws.RequestChecksumCalculationWhenRequired,
		ResponseChecksumValidation: aws.ResponseChecksumValidationWhenRequired,
	})
	return place{api: api, bucket: &bucket, key: &key}, nil
}

// size asks how large the object is.
func (p place) size(ctx context.Context) (int64, error) {
	head, err := p.api.HeadObject(ctx, &s3.HeadObjectInput{Bucket: p.bucket, Key: p.key})
	var response *smithyhttp.ResponseError
	if errors.As(err, &response) && response.HTTPStatusCode() == http.StatusForbidden {
		// The answer to HEAD has no body that would say why.
		if got, again := p.api.GetObject(ctx, &s3.GetObjectInput{Bucket: p.bucket, Key: p.key, Range: aws.String("bytes=0-0")}); again == nil {
			got.Body.Close()
		} else {
			err = again
		}
	}
	if err != nil {
		return 0, systemError(ctx, err)
	}
	return aws.ToInt64(head.ContentLength), nil
}

func unsupported() error {
	return &mssqlsim.DeviceError{Code: 50, Text: "The request is not supported."}
}

// systemError is what the server's operating system says.
func systemError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var api smithy.APIError
	var response *smithyhttp.ResponseError
	var untrusted *tls.CertificateVerificationError
	code := ""
	if errors.As(err, &api) {
		code = api.ErrorCode()
	}
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	switch {
	case errors.As(err, &untrusted):
		return &mssqlsim.DeviceError{Code: 12175, Text: "A security error has occurred"}
	case code == "RequestTimeTooSkewed":
		return &mssqlsim.DeviceError{Code: 5, Text: "Access is denied."}
	case code == "NoSuchKey" || code == "NotFound":
		return &mssqlsim.DeviceError{Code: 2, Text: "The system cannot find the file specified."}
	case status >= 400 && status < 500:
		return unsupported()
	}
	return &mssqlsim.DeviceError{Code: 1117, Text: fmt.Sprintf("The request could not be performed because of an I/O device error: %v", err)}
}

// Read does what mssqlsim.MediaReader says.
func (m *Media) Read(ctx context.Context, path string) (mssqlsim.Family, []mssqlsim.Set, error) {
	r, err := m.open(ctx, path)
	if err != nil {
		return mssqlsim.Family{}, nil, err
	}
	defer r.Close()
	family, sets, _, err := mssqlsim.ReadTape(ctx, r, path)
	return family, sets, err
}

// Load does what mssqlsim.MediaReader says.
func (m *Media) Load(ctx context.Context, path string, position int, sums bool) ([]mssqlsim.Record, error) {
	r, err := m.open(ctx, path)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return mssqlsim.LoadTape(ctx, r, path, position, sums)
}

var _ mssqlsim.Media = (*Media)(nil)
