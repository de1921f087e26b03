package s3endpoint

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	tmtypes "github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// source is an object in memory that counts its readers.
type source struct {
	data   []byte
	opened atomic.Int32
	alive  atomic.Int32
	failAt int64 // reads at and behind it fail, when positive
	fail   error // of open
}

func (s *source) open(ctx context.Context, off int64) (io.ReadCloser, error) {
	if s.fail != nil {
		return nil, s.fail
	}
	s.opened.Add(1)
	s.alive.Add(1)
	return &sourceReader{s: s, ctx: ctx, off: off}, nil
}

type sourceReader struct {
	s   *source
	ctx context.Context
	off int64
}

func (r *sourceReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	end := int64(len(r.s.data))
	if r.s.failAt > 0 {
		if r.off >= r.s.failAt {
			return 0, errInjected
		}
		end = r.s.failAt
	}
	n := copy(p, r.s.data[r.off:end])
	if r.off += int64(n); n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (r *sourceReader) Close() error {
	r.s.alive.Add(-1)
	return nil
}

func offer(t testing.TB, e *Endpoint, key string, s *source) *Object {
	t.Helper()
	o, err := e.Offer(t.Context(), key, int64(len(s.data)), s.open)
	require.NoError(t, err)
	return o
}

func getRange(ctx context.Context, c *s3.Client, key string, from, to int) ([]byte, error) {
	in := &s3.GetObjectInput{Bucket: aws.String(bucket), Key: &key}
	if to > 0 {
		in.Range = aws.String(fmt.Sprintf("bytes=%d-%d", from, to-1))
	}
	out, err := c.GetObject(ctx, in)
	if err != nil {
		return nil, err
	}
	defer out.Body.Close()
	return io.ReadAll(out.Body)
}

func TestReadInOrderIsOneReader(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	s := &source{data: noise(1, 3<<20+5)}
	o := offer(t, e, "k", s)
	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	require.NoError(t, err)
	assert.EqualValues(t, len(s.data), *head.ContentLength)
	assert.Zero(t, s.opened.Load(), "HEAD reads nothing")
	var all []byte
	for from := 0; from < len(s.data); from += 512 << 10 {
		part, err := getRange(t.Context(), client, "k", from, min(from+512<<10, len(s.data)))
		require.NoError(t, err)
		all = append(all, part...)
	}
	assert.True(t, bytes.Equal(s.data, all))
	assert.EqualValues(t, 1, s.opened.Load())
	eventually(t, "a reader at the end is closed", func() bool { return s.alive.Load() == 0 })

	tail, err := getRange(t.Context(), client, "k", 0, 100)
	require.NoError(t, err)
	assert.Equal(t, s.data[:100], tail)
	skipped, err := getRange(t.Context(), client, "k", 5000, 6000)
	require.NoError(t, err)
	assert.Equal(t, s.data[5000:6000], skipped)
	assert.EqualValues(t, 2, s.opened.Load(), "a short gap is read over")
	_, err = getRange(t.Context(), client, "k", 3<<20, 3<<20+1)
	require.NoError(t, err)
	assert.EqualValues(t, 3, s.opened.Load(), "a long gap is not")
	_, err = getRange(t.Context(), client, "k", len(s.data), len(s.data)+1)
	require.Error(t, err)
	require.NoError(t, o.Err())
	o.Close()
	o.Close()
	eventually(t, "all readers are closed", func() bool { return s.alive.Load() == 0 })
	_, err = getRange(t.Context(), client, "k", 0, 1)
	requireCode(t, "NoSuchKey", err)
}

func TestReadSideBySide(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	s := &source{data: noise(2, 9<<20+5)}
	offer(t, e, "k", s)
	got := make([]byte, len(s.data))
	var group errgroup.Group
	const step = 300_000
	for from := 0; from < len(got); from += step {
		group.Go(func() error {
			part, err := getRange(t.Context(), client, "k", from, min(from+step, len(got)))
			copy(got[from:], part)
			return err
		})
	}
	require.NoError(t, group.Wait())
	assert.True(t, bytes.Equal(s.data, got))
	eventually(t, "few readers are kept", func() bool { return s.alive.Load() <= maxIdle })

	var file writerAt
	_, err := transfermanager.New(client, func(o *transfermanager.Options) {
		o.GetObjectType, o.PartSizeBytes = tmtypes.GetObjectRanges, 1<<20
	}).DownloadObject(t.Context(), &transfermanager.DownloadObjectInput{
		Bucket: aws.String(bucket), Key: aws.String("k"), WriterAt: &file})
	require.NoError(t, err)
	assert.True(t, bytes.Equal(s.data, file.bytes()))
}

func TestReadOfEmptyObject(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	s := &source{}
	offer(t, e, "k", s)
	data, err := getRange(t.Context(), newClient(t, e, pool, nil), "k", 0, 0)
	require.NoError(t, err)
	assert.Empty(t, data)
	assert.Zero(t, s.opened.Load())
}

func TestReadsThatFail(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	for name, s := range map[string]*source{
		"open": {data: noise(1, 1000), fail: errInjected},
		"read": {data: noise(1, 1<<20), failAt: 1 << 19},
	} {
		o := offer(t, e, name, s)
		_, err := getRange(t.Context(), client, name, 0, 0)
		require.Error(t, err, name)
		require.ErrorIs(t, o.Err(), errInjected, name)
		assert.Zero(t, s.alive.Load(), name)
	}
	s := &source{data: noise(1, 1000)}
	o, err := e.Offer(t.Context(), "short", 2000, s.open)
	require.NoError(t, err)
	_, err = getRange(t.Context(), client, "short", 0, 0)
	require.Error(t, err)
	require.ErrorIs(t, o.Err(), io.ErrUnexpectedEOF)
}

func TestList(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	for _, key := range []string{"b/2", "a/1", "b/1", "c", "b/x/1"} {
		offer(t, e, key, &source{data: []byte(key)})
	}
	receive(t, e, "b/expected", &kept{}) // not there yet
	receive(t, e, "b/received", &kept{})
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("b/received"), Body: strings.NewReader("data")})
	require.NoError(t, err)

	names := func(prefix, delimiter string, limit int32) (keys []string) {
		for p := s3.NewListObjectsV2Paginator(client, &s3.ListObjectsV2Input{Bucket: aws.String(bucket), Prefix: &prefix, Delimiter: &delimiter, MaxKeys: &limit}); p.HasMorePages(); {
			page, err := p.NextPage(t.Context())
			require.NoError(t, err)
			for _, o := range page.Contents {
				keys = append(keys, fmt.Sprintf("%s %d", *o.Key, *o.Size))
			}
			for _, o := range page.CommonPrefixes {
				keys = append(keys, *o.Prefix)
			}
		}
		return keys
	}
	all := []string{"a/1 3", "b/1 3", "b/2 3", "b/received 4", "b/x/1 5", "c 1"}
	assert.Equal(t, all, names("", "", 1000))
	assert.Equal(t, all, names("", "", 2))
	assert.Equal(t, all[1:5], names("b/", "", 1))
	assert.ElementsMatch(t, []string{"a/", "b/", "c 1"}, names("", "/", 1000))
	assert.Equal(t, []string{"a/", "b/", "c 1"}, names("", "/", 1))
	assert.Equal(t, []string{"b/1 3", "b/2 3", "b/received 4", "b/x/"}, names("b/", "/", 1000))
	assert.Empty(t, names("nothing", "", 1000))

	old, err := client.ListObjects(t.Context(), &s3.ListObjectsInput{Bucket: aws.String(bucket), Marker: aws.String("b/2"), MaxKeys: aws.Int32(1)})
	require.NoError(t, err)
	require.Len(t, old.Contents, 1)
	assert.Equal(t, "b/received", *old.Contents[0].Key)
	assert.Equal(t, "b/received", *old.NextMarker)
}

func TestBucket(t *testing.T) {
	t.Parallel()
	for _, region := range []string{"", "eu-central-1"} {
		e, pool := start(t, func(c *Config) { c.Region = region })
		client := newClient(t, e, pool, nil)
		_, err := client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String(bucket)})
		require.NoError(t, err)
		_, err = client.HeadBucket(t.Context(), &s3.HeadBucketInput{Bucket: aws.String("other")})
		requireCode(t, "NotFound", err)
		where, err := client.GetBucketLocation(t.Context(), &s3.GetBucketLocationInput{Bucket: aws.String(bucket)})
		require.NoError(t, err)
		assert.Equal(t, region, string(where.LocationConstraint))
	}
}

func TestWhatIsNotOffered(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	key := aws.String("k")
	offer(t, e, "k", &source{data: []byte("data")})
	for name, call := range map[string]func() error{
		"AccessDenied put": func() error {
			_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: key, Body: strings.NewReader("x")})
			return err
		},
		"AccessDenied create": func() error {
			_, err := client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("unknown")})
			return err
		},
		"AccessDenied delete": func() error {
			_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: key})
			return err
		},
		"NotImplemented tags": func() error {
			_, err := client.GetObjectTagging(t.Context(), &s3.GetObjectTaggingInput{Bucket: aws.String(bucket), Key: key})
			return err
		},
		"NotImplemented copy": func() error {
			_, err := client.CopyObject(t.Context(), &s3.CopyObjectInput{Bucket: aws.String(bucket), Key: aws.String("c"), CopySource: aws.String("backup/k")})
			return err
		},
		"NotImplemented buckets": func() error { _, err := client.ListBuckets(t.Context(), nil); return err },
		"NotImplemented create bucket": func() error {
			_, err := client.CreateBucket(t.Context(), &s3.CreateBucketInput{Bucket: aws.String(bucket)})
			return err
		},
		"NoSuchBucket other bucket": func() error {
			_, err := client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String("other"), Key: key})
			return err
		},
		"NoSuchKey unknown": func() error { _, err := getRange(t.Context(), client, "unknown", 0, 0); return err },
	} {
		t.Run(name, func(t *testing.T) {
			code, _, _ := strings.Cut(name, " ")
			requireCode(t, code, call())
		})
	}
	_, err := client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("unknown")})
	require.NoError(t, err, "S3 deletes what is not there")
}

// writerAt is a file in memory.
type writerAt struct {
	mu   sync.Mutex
	data []byte
}

func (w *writerAt) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if short := int(off) + len(p) - len(w.data); short > 0 {
		w.data = append(w.data, make([]byte, short)...)
	}
	return copy(w.data[off:], p), nil
}

func (w *writerAt) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.data
}
