package s3endpoint

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

const bucket = "backup"

var errInjected = errors.New("injected")

// start runs an endpoint until the test ends, and returns a client of it whose options are changed before it is made.
func start(t *testing.T, change func(*minio.Options)) (*s3endpoint.Endpoint, *minio.Client) {
	t.Helper()
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), time.Hour, "127.0.0.1")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	e, err := s3endpoint.Start(s3endpoint.Config{Certificate: pair})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })

	pool := x509.NewCertPool()
	require.True(t, pool.AppendCertsFromPEM(certificate))
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}
	t.Cleanup(transport.CloseIdleConnections)
	id, secret, _ := strings.Cut(e.Credential().Secret, ":")
	o := &minio.Options{Creds: credentials.NewStaticV4(id, secret, ""), Secure: true, Transport: transport, MaxRetries: 2}
	if change != nil {
		change(o)
	}
	c, err := minio.New(strings.TrimSuffix(strings.TrimPrefix(e.Credential().Name, "s3://"), "/"+bucket), o)
	require.NoError(t, err)
	return e, c
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func TestUpload(t *testing.T) {
	t.Parallel()
	data := noise(33<<20 + 7)
	for name, o := range map[string]minio.PutObjectOptions{
		"plain":          {NumThreads: 5},
		"ten at once":    {NumThreads: 10},
		"with MD5":       {NumThreads: 5, SendContentMd5: true},
		"no SHA-256":     {NumThreads: 5, DisableContentSha256: true},
		"with checksums": {NumThreads: 5, Checksum: minio.ChecksumCRC32C},
		"a stream":       {NumThreads: 5, ConcurrentStreamParts: true},
		"whole":          {DisableMultipart: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, c := start(t, func(o *minio.Options) { o.TrailingHeaders = true })
			content, size := data, int64(len(data))
			if o.DisableMultipart {
				content, size = data[:7<<20], 7<<20
			}
			var body io.Reader = bytes.NewReader(content)
			if o.ConcurrentStreamParts {
				body, size = io.MultiReader(body), -1
			}
			o.PartSize = s3endpoint.MinPart
			var got bytes.Buffer
			commits := 0
			u, err := e.Receive(t.Context(), "shop/full.bak", &got, func() error { commits++; return nil })
			require.NoError(t, err)
			info, err := c.PutObject(t.Context(), bucket, "shop/full.bak", body, size, o)
			require.NoError(t, err)
			require.NoError(t, u.Wait(t.Context()))
			assert.Equal(t, 1, commits)
			assert.True(t, bytes.Equal(content, got.Bytes()))
			stat, err := c.StatObject(t.Context(), bucket, "shop/full.bak", minio.StatObjectOptions{})
			require.NoError(t, err)
			assert.EqualValues(t, len(content), stat.Size)
			assert.Equal(t, info.ETag, stat.ETag)
		})
	}
}

func TestUploadFails(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		write  int
		commit error
	}{
		"in the writer": {11 << 20, nil},
		"in the commit": {1 << 30, errInjected},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, client := start(t, nil)
			u, err := e.Receive(t.Context(), "k", &failing{c.write}, func() error { return c.commit })
			require.NoError(t, err)
			_, err = client.PutObject(t.Context(), bucket, "k", bytes.NewReader(noise(21<<20)), 21<<20, minio.PutObjectOptions{PartSize: s3endpoint.MinPart, NumThreads: 3})
			require.Error(t, err)
			require.ErrorIs(t, u.Wait(t.Context()), errInjected)
			_, err = client.StatObject(t.Context(), bucket, "k", minio.StatObjectOptions{})
			assert.Equal(t, minio.NoSuchKey, minio.ToErrorResponse(err).Code)
		})
	}
}

// failing takes so many bytes and fails then.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errInjected
	}
	return len(p), nil
}

func TestClientGivesUp(t *testing.T) {
	t.Parallel()
	e, c := start(t, nil)
	u, err := e.Receive(t.Context(), "k", io.Discard, func() error { return errors.New("must not be called") })
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	body := io.MultiReader(bytes.NewReader(noise(12<<20)), readerFunc(func([]byte) (int, error) {
		cancel()
		return 0, errInjected
	}))
	_, err = c.PutObject(ctx, bucket, "k", body, -1, minio.PutObjectOptions{PartSize: s3endpoint.MinPart})
	require.Error(t, err)
	u.Close() // as the agent does when BACKUP failed
	require.Error(t, u.Err())
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestRead(t *testing.T) {
	t.Parallel()
	e, c := start(t, nil)
	data := noise(9<<20 + 3)
	o, err := e.Offer(t.Context(), "run/shop.bak", int64(len(data)), func(_ context.Context, off int64) (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data[off:])), nil
	})
	require.NoError(t, err)
	got := make([]byte, len(data))
	var group errgroup.Group
	for from := 0; from < len(data); from += 1 << 20 {
		group.Go(func() error {
			to := min(from+1<<20, len(data))
			var opt minio.GetObjectOptions
			if err := opt.SetRange(int64(from), int64(to)-1); err != nil {
				return err
			}
			r, err := c.GetObject(t.Context(), bucket, "run/shop.bak", opt)
			if err != nil {
				return err
			}
			defer r.Close()
			_, err = io.ReadFull(r, got[from:to])
			return err
		})
	}
	require.NoError(t, group.Wait())
	assert.True(t, bytes.Equal(data, got))

	r, err := c.GetObject(t.Context(), bucket, "run/shop.bak", minio.GetObjectOptions{}) // seeks by ranges of its own, with If-Match
	require.NoError(t, err)
	defer r.Close()
	_, err = r.ReadAt(got[:100], 5<<20)
	require.NoError(t, err)
	assert.Equal(t, data[5<<20:5<<20+100], got[:100])
	all, err := io.ReadAll(r)
	require.NoError(t, err)
	assert.Equal(t, data, all)

	var keys []string
	for o := range c.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Prefix: "run/", Recursive: true}) {
		require.NoError(t, o.Err)
		keys = append(keys, o.Key)
	}
	assert.Equal(t, []string{"run/shop.bak"}, keys)
	found, err := c.BucketExists(t.Context(), bucket)
	require.NoError(t, err)
	assert.True(t, found)
	assert.Equal(t, minio.AccessDenied, minio.ToErrorResponse(c.RemoveObject(t.Context(), bucket, "run/shop.bak", minio.RemoveObjectOptions{})).Code)
	require.NoError(t, o.Err())
	o.Close()
}

func TestStrangers(t *testing.T) {
	t.Parallel()
	for want, creds := range map[string]func(id, secret string) *credentials.Credentials{
		minio.SignatureDoesNotMatch: func(id, _ string) *credentials.Credentials { return credentials.NewStaticV4(id, "wrong", "") },
		minio.InvalidAccessKeyID:    func(_, secret string) *credentials.Credentials { return credentials.NewStaticV4("wrong", secret, "") },
		minio.AccessDenied:          func(id, secret string) *credentials.Credentials { return credentials.NewStaticV2(id, secret, "") },
	} {
		_, c := start(t, func(o *minio.Options) {
			v, err := o.Creds.GetWithContext(nil)
			require.NoError(t, err)
			o.Creds = creds(v.AccessKeyID, v.SecretAccessKey)
			o.Region = "us-east-1"
		})
		_, err := c.PutObject(t.Context(), bucket, "k", strings.NewReader("x"), 1, minio.PutObjectOptions{})
		assert.Equal(t, want, minio.ToErrorResponse(err).Code)
	}
}
