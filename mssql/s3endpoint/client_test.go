package s3endpoint

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/xml"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const bucket = "backup"

var errInjected = errors.New("injected")

// start runs an endpoint until the test ends, and returns what a client trusts.
func start(t testing.TB, change func(*Config)) (*Endpoint, *x509.CertPool) {
	t.Helper()
	certificate, key, err := NewCertificate(time.Now(), time.Hour, "127.0.0.1", "localhost")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	c := Config{Certificate: pair}
	if change != nil {
		change(&c)
	}
	e, err := Start(c)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certificate))
	return e, pool
}

// keys are the endpoint's, as AWS's SDK wants them.
func keys(e *Endpoint) aws.CredentialsProvider {
	return aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{AccessKeyID: e.cfg.AccessKey, SecretAccessKey: e.cfg.SecretKey}, nil
	})
}

func transport(t testing.TB, pool *x509.CertPool) *http.Client {
	tr := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, MaxIdleConnsPerHost: 32}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// newClient is AWS's own client. It does not repeat what failed, unless change says so.
func newClient(t testing.TB, e *Endpoint, pool *x509.CertPool, change func(*s3.Options)) *s3.Client {
	o := s3.Options{
		Region: e.cfg.Region, BaseEndpoint: aws.String("https://" + e.host), UsePathStyle: true, Credentials: keys(e),
		HTTPClient: transport(t, pool), RetryMaxAttempts: 1,
	}
	if change != nil {
		change(&o)
	}
	return s3.New(o)
}

// kept is a destination in memory.
type kept struct {
	bytes.Buffer
	commits int
	fail    error // of commit
}

func (k *kept) commit() error {
	k.commits++
	return k.fail
}

func receive(t testing.TB, e *Endpoint, key string, k *kept) *Upload {
	t.Helper()
	u, err := e.Receive(t.Context(), key, k, k.commit)
	require.NoError(t, err)
	return u
}

// noise is content that repeats nowhere.
func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	var s [32]byte
	s[0] = byte(seed)
	_, _ = rand.NewChaCha8(s).Read(b)
	return b
}

func create(t testing.TB, c *s3.Client, key string) string {
	t.Helper()
	out, err := c.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: &key})
	require.NoError(t, err)
	return *out.UploadId
}

func putPart(ctx context.Context, c *s3.Client, key, id string, n int, data []byte) (types.CompletedPart, error) {
	out, err := c.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(int32(n)), Body: bytes.NewReader(data)})
	if err != nil {
		return types.CompletedPart{}, err
	}
	return types.CompletedPart{PartNumber: aws.Int32(int32(n)), ETag: out.ETag}, nil
}

func complete(ctx context.Context, c *s3.Client, key, id string, parts ...types.CompletedPart) error {
	_, err := c.CompleteMultipartUpload(ctx, &s3.CompleteMultipartUploadInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id,
		MultipartUpload: &types.CompletedMultipartUpload{Parts: parts}})
	return err
}

// requireCode checks the S3 error that a client understood.
func requireCode(t testing.TB, code string, err error) {
	t.Helper()
	var api smithy.APIError
	require.ErrorAs(t, err, &api)
	require.Equal(t, code, api.ErrorCode(), err.Error())
}

// held is what an upload has in memory.
func (u *Upload) inMemory() int64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.held
}

// eventually waits for what another goroutine does; how long it takes is not judged.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for range 6000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	require.FailNow(t, "never happened: "+what)
}

// raw is a request that is signed by AWS's signer at a time of our choice.
type raw struct {
	method, path, body string
	sum                string // of the payload; empty means the body's
	at                 time.Time
	access, secret     string
	region             string
	header             http.Header
	tamper             func(*http.Request)
}

// send sends it and returns status and S3 error code.
func (q raw) send(t testing.TB, e *Endpoint, pool *x509.CertPool) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), q.method, "https://"+e.host+q.path, strings.NewReader(q.body))
	require.NoError(t, err)
	for k, v := range q.header {
		r.Header[k] = v
	}
	if q.sum == "" {
		sum := sha256.Sum256([]byte(q.body))
		q.sum = hex.EncodeToString(sum[:])
	}
	r.Header.Set("X-Amz-Content-Sha256", q.sum)
	if q.at.IsZero() {
		q.at = time.Now()
	}
	if q.access == "" {
		q.access = e.cfg.AccessKey
	}
	if q.secret == "" {
		q.secret = e.cfg.SecretKey
	}
	if q.region == "" {
		q.region = e.cfg.Region
	}
	require.NoError(t, v4.NewSigner(func(o *v4.SignerOptions) { o.DisableURIPathEscaping = true }).SignHTTP(t.Context(),
		aws.Credentials{AccessKeyID: q.access, SecretAccessKey: q.secret}, r, q.sum, "s3", q.region, q.at))
	if q.tamper != nil {
		q.tamper(r)
	}
	answer, err := transport(t, pool).Do(r)
	require.NoError(t, err)
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	require.NoError(t, err)
	var said errorAnswer
	if answer.StatusCode >= 300 && q.method != http.MethodHead {
		require.NoError(t, xml.Unmarshal(text, &said), string(text))
	}
	return answer.StatusCode, said.Code
}

// gate is a writer that waits until it is opened.
type gate struct {
	io.Writer
	open chan struct{}
	once sync.Once
}

func newGate(w io.Writer) *gate { return &gate{Writer: w, open: make(chan struct{})} }

func (g *gate) Open() { g.once.Do(func() { close(g.open) }) }

func (g *gate) Write(p []byte) (int, error) {
	<-g.open
	return g.Writer.Write(p)
}

// hanging delivers so many bytes, then nothing until its context is done.
type hanging struct {
	left int
	ctx  context.Context
}

func (h *hanging) Read(p []byte) (int, error) {
	if h.left == 0 {
		<-h.ctx.Done()
		return 0, h.ctx.Err()
	}
	n := min(len(p), h.left)
	h.left -= n
	return n, nil
}

// unsigned lets AWS's client send what it cannot read twice.
func unsigned(s *middleware.Stack) error {
	return v4.SwapComputePayloadSHA256ForUnsignedPayloadMiddleware(s)
}
