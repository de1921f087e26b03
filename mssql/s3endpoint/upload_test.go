package s3endpoint

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/s3/transfermanager"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

func TestUploadInParts(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	for _, concurrency := range []int{1, 5, 10} {
		data := noise(uint64(concurrency), 23<<20+17)
		key := fmt.Sprintf("shop/full-%d.bak", concurrency)
		k := &kept{}
		u := receive(t, e, key, k)
		_, err := transfermanager.New(newClient(t, e, pool, nil), func(o *transfermanager.Options) {
			o.PartSizeBytes, o.Concurrency, o.MultipartUploadThreshold = MinPart, concurrency, MinPart
		}).UploadObject(t.Context(), &transfermanager.UploadObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(data)})
		require.NoError(t, err)
		require.NoError(t, u.Wait(t.Context()))
		assert.Equal(t, 1, k.commits)
		assert.True(t, bytes.Equal(data, k.Bytes()))
		assert.EqualValues(t, len(data), u.Bytes())
		assert.Zero(t, u.inMemory())
		u.Close()
		require.NoError(t, u.Err(), "closing after the commit changes nothing")
	}
}

func TestUploadWhole(t *testing.T) {
	t.Parallel()
	e, pool := start(t, func(c *Config) { c.PartLimit = 1 << 20 })
	client := newClient(t, e, pool, nil)
	for _, size := range []int{0, 1, 1 << 20} {
		key := fmt.Sprintf("whole-%d", size)
		k := &kept{}
		u := receive(t, e, key, k)
		data := noise(1, size)
		for range 2 { // the second time as when the answer was lost
			out, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: bytes.NewReader(data)})
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprintf("\"%x\"", md5.Sum(data)), *out.ETag)
		}
		require.NoError(t, u.Wait(t.Context()))
		assert.Equal(t, 1, k.commits)
		assert.True(t, bytes.Equal(data, k.Bytes()))
		_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: &key, Body: strings.NewReader("other")})
		requireCode(t, "OperationAborted", err)
	}
	k := &kept{}
	u := receive(t, e, "large", k)
	_, err := client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("large"), Body: bytes.NewReader(noise(1, 1<<20+1))})
	requireCode(t, "EntityTooLarge", err)
	require.NoError(t, u.Err(), "it may still be sent in parts")
}

func TestPartsOutOfOrder(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	parts := make([]types.CompletedPart, 6)
	var want []byte
	for i := range parts {
		want = append(want, noise(uint64(i), 100_000+i)...)
	}
	for _, i := range []int{3, 5, 1, 0, 4, 2} {
		p, err := putPart(t.Context(), client, "k", id, i+1, noise(uint64(i), 100_000+i))
		require.NoError(t, err)
		parts[i] = p
	}
	out, err := client.ListParts(t.Context(), &s3.ListPartsInput{Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: &id, MaxParts: aws.Int32(4), PartNumberMarker: aws.String("1")})
	require.NoError(t, err)
	require.Len(t, out.Parts, 4)
	assert.True(t, *out.IsTruncated)
	assert.EqualValues(t, 2, *out.Parts[0].PartNumber)
	assert.Equal(t, parts[1].ETag, out.Parts[0].ETag)

	_, err = client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	requireCode(t, "NotFound", err)
	require.NoError(t, complete(t.Context(), client, "k", id, parts...))
	require.NoError(t, complete(t.Context(), client, "k", id, parts...), "asked again it answers again")
	require.NoError(t, u.Wait(t.Context()))
	assert.Equal(t, 1, k.commits)
	assert.True(t, bytes.Equal(want, k.Bytes()))

	head, err := client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	require.NoError(t, err)
	assert.EqualValues(t, len(want), *head.ContentLength)
	_, err = client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	requireCode(t, "InvalidObjectState", err)
	_, err = client.DeleteObject(t.Context(), &s3.DeleteObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	requireCode(t, "AccessDenied", err)
	_, err = putPart(t.Context(), client, "k", id, 7, []byte("late"))
	requireCode(t, "OperationAborted", err)
	_, err = client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	requireCode(t, "OperationAborted", err)
}

func TestPartSentAgain(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	lost := create(t, client, "k")
	id := create(t, client, "k") // the answer to the first was lost
	_, err := putPart(t.Context(), client, "k", lost, 1, []byte("lost"))
	requireCode(t, "NoSuchUpload", err)
	one, err := putPart(t.Context(), client, "k", id, 1, []byte("one"))
	require.NoError(t, err)
	three, err := putPart(t.Context(), client, "k", id, 3, []byte("three"))
	require.NoError(t, err)
	for n, text := range map[int]string{1: "one", 3: "three"} {
		again, err := putPart(t.Context(), client, "k", id, n, []byte(text))
		require.NoError(t, err)
		assert.Contains(t, []*string{one.ETag, three.ETag}, again.ETag)
		_, err = putPart(t.Context(), client, "k", id, n, []byte("other"))
		requireCode(t, "OperationAborted", err)
		_, err = putPart(t.Context(), client, "k", id, n, []byte(text+"+"))
		requireCode(t, "OperationAborted", err)
	}
	two, err := putPart(t.Context(), client, "k", id, 2, []byte("two"))
	require.NoError(t, err)
	require.NoError(t, complete(t.Context(), client, "k", id, one, two, three))
	require.NoError(t, u.Wait(t.Context()))
	assert.Equal(t, "onetwothree", k.String())
}

func TestContentMD5IsChecked(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	put := &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), ContentMD5: aws.String("AAAAAAAAAAAAAAAAAAAAAA==")}
	put.Body = strings.NewReader("data")
	_, err := client.PutObject(t.Context(), put)
	requireCode(t, "BadDigest", err)
	assert.Zero(t, u.inMemory())
	sum := md5.Sum([]byte("data"))
	put.Body, put.ContentMD5 = strings.NewReader("data"), aws.String(base64.StdEncoding.EncodeToString(sum[:]))
	_, err = client.PutObject(t.Context(), put)
	require.NoError(t, err)
	require.NoError(t, u.Wait(t.Context()))
	assert.Equal(t, "data", k.String())
}

func TestCompleteIsChecked(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	var p [4]types.CompletedPart
	var err error
	for _, n := range []int{1, 3} {
		p[n], err = putPart(t.Context(), client, "k", id, n, []byte{byte(n)})
		require.NoError(t, err)
	}
	wrong := types.CompletedPart{PartNumber: aws.Int32(1), ETag: p[3].ETag}
	missing := types.CompletedPart{PartNumber: aws.Int32(2), ETag: p[3].ETag}
	requireCode(t, "InvalidPart", complete(t.Context(), client, "k", id, p[1], p[3]))
	requireCode(t, "InvalidPart", complete(t.Context(), client, "k", id, p[1], missing, p[3]))
	requireCode(t, "InvalidPart", complete(t.Context(), client, "k", id, p[1]))
	requireCode(t, "InvalidPart", complete(t.Context(), client, "k", id, wrong))
	p[2], err = putPart(t.Context(), client, "k", id, 2, []byte{2})
	require.NoError(t, err)
	requireCode(t, "InvalidPart", complete(t.Context(), client, "k", id, wrong, p[2], p[3]))
	requireCode(t, "InvalidPartOrder", complete(t.Context(), client, "k", id, p[1], p[1], p[3]))
	requireCode(t, "NoSuchUpload", complete(t.Context(), client, "k", "nope", p[1:]...))
	require.Zero(t, k.commits)
	require.NoError(t, complete(t.Context(), client, "k", id, p[1:]...))
	require.NoError(t, u.Wait(t.Context()))
	assert.Equal(t, 1, k.commits)
}

func TestCommitComesBeforeTheAnswer(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	inCommit, goOn := make(chan struct{}), make(chan struct{})
	var k kept
	u, err := e.Receive(t.Context(), "k", &k, func() error {
		close(inCommit)
		<-goOn
		return nil
	})
	require.NoError(t, err)
	id := create(t, client, "k")
	p, err := putPart(t.Context(), client, "k", id, 1, []byte("data"))
	require.NoError(t, err)
	var answered atomic.Bool
	result := make(chan error, 1)
	go func() {
		err := complete(context.WithoutCancel(t.Context()), client, "k", id, p)
		answered.Store(true)
		result <- err
	}()
	<-inCommit
	assert.False(t, answered.Load())
	_, err = client.AbortMultipartUpload(t.Context(), &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: &id})
	requireCode(t, "NoSuchUpload", err)
	u.fail(errInjected)
	require.NoError(t, u.Err(), "once it is being committed, only the commit decides")
	close(goOn)
	require.NoError(t, <-result)
	require.NoError(t, u.Wait(t.Context()))
}

func TestCommitFails(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, func(o *s3.Options) { o.RetryMaxAttempts = 3 })
	k := &kept{fail: errInjected}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	p, err := putPart(t.Context(), client, "k", id, 1, []byte("data"))
	require.NoError(t, err)
	requireCode(t, "OperationAborted", complete(t.Context(), client, "k", id, p))
	requireCode(t, "OperationAborted", complete(t.Context(), client, "k", id, p))
	err = u.Wait(t.Context())
	require.ErrorIs(t, err, errInjected)
	var told *backup.Error
	require.ErrorAs(t, err, &told)
	assert.Equal(t, "k", told.Artifact)
	assert.Equal(t, 1, k.commits)
	_, err = client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	requireCode(t, "NotFound", err)
}

// failing takes so many bytes and fails then.
type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errInjected
	}
	return len(p), nil
}

func TestWriterFails(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, func(o *s3.Options) { o.RetryMaxAttempts = 3 })
	commits := 0
	u, err := e.Receive(t.Context(), "k", &failing{left: 12 << 20}, func() error { commits++; return nil })
	require.NoError(t, err)
	_, err = transfermanager.New(client, func(o *transfermanager.Options) {
		o.PartSizeBytes, o.Concurrency, o.MultipartUploadThreshold = MinPart, 3, MinPart
	}).UploadObject(t.Context(), &transfermanager.UploadObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: bytes.NewReader(noise(1, 40<<20))})
	require.Error(t, err)
	require.ErrorIs(t, u.Wait(t.Context()), errInjected)
	assert.Zero(t, commits)
	_, err = client.CreateMultipartUpload(t.Context(), &s3.CreateMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k")})
	requireCode(t, "OperationAborted", err)
}

func TestClientAborts(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	_, err := putPart(t.Context(), client, "k", id, 1, []byte("data"))
	require.NoError(t, err)
	abort := &s3.AbortMultipartUploadInput{Bucket: aws.String(bucket), Key: aws.String("k"), UploadId: aws.String("other")}
	_, err = client.AbortMultipartUpload(t.Context(), abort)
	requireCode(t, "NoSuchUpload", err)
	abort.UploadId = &id
	_, err = client.AbortMultipartUpload(t.Context(), abort)
	require.NoError(t, err)
	require.ErrorIs(t, u.Wait(t.Context()), errClientAborted)
	assert.Zero(t, k.commits)
}

func TestContextEndsUpload(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	ctx, cancel := context.WithCancelCause(t.Context())
	k := &kept{}
	u, err := e.Receive(ctx, "k", k, k.commit)
	require.NoError(t, err)
	id := create(t, client, "k")
	cancel(errInjected)
	require.ErrorIs(t, u.Wait(t.Context()), errInjected)
	_, err = putPart(t.Context(), client, "k", id, 1, []byte("data"))
	requireCode(t, "OperationAborted", err)

	waiting, stop := context.WithCancelCause(t.Context())
	stop(errInjected)
	other := receive(t, e, "other", k)
	require.ErrorIs(t, other.Wait(waiting), errInjected)
	require.NoError(t, other.Err())
}

// stalled sends the head of a request for a part and the first bytes of it, and leaves it so.
func stalled(t *testing.T, e *Endpoint, client *s3.Client, key, id string, n, size int) (hang func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	reader := &hanging{left: size / 2, ctx: ctx}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = client.UploadPart(ctx, &s3.UploadPartInput{Bucket: aws.String(bucket), Key: &key, UploadId: &id, PartNumber: aws.Int32(int32(n)), Body: reader,
			ContentLength: aws.Int64(int64(size))}, s3.WithAPIOptions(unsigned))
	}()
	eventually(t, "the part arrives", func() bool {
		u := e.upload(key)
		u.mu.Lock()
		defer u.mu.Unlock()
		return u.arriving[n] != nil
	})
	return func() {
		cancel()
		<-ended
	}
}

func TestClientVanishes(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	vanish := stalled(t, e, client, "k", id, 1, 1<<20)
	assert.EqualValues(t, 1<<20, u.inMemory())
	vanish()
	eventually(t, "the part's room is given back", func() bool { return u.inMemory() == 0 })
	require.NoError(t, u.Err(), "the client may come back")
	assert.Zero(t, k.Len(), "half a part is not written")

	p, err := putPart(t.Context(), client, "k", id, 1, noise(1, 1<<20))
	require.NoError(t, err)
	require.NoError(t, complete(t.Context(), client, "k", id, p))
	require.NoError(t, u.Wait(t.Context()))
	assert.True(t, bytes.Equal(noise(1, 1<<20), k.Bytes()))
}

func TestPartOverHangingConnection(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	defer stalled(t, e, client, "k", id, 1, 1<<20)()
	p, err := putPart(t.Context(), client, "k", id, 1, noise(1, 1<<20))
	require.NoError(t, err)
	require.NoError(t, complete(t.Context(), client, "k", id, p))
	require.NoError(t, u.Wait(t.Context()))
	assert.True(t, bytes.Equal(noise(1, 1<<20), k.Bytes()))
}

func TestSlowWriterHoldsClientsBack(t *testing.T) {
	t.Parallel()
	const size, window = 1 << 20, 3 << 20
	e, pool := start(t, func(c *Config) { c.Window = window })
	client := newClient(t, e, pool, nil)
	k := &kept{}
	g := newGate(k)
	u, err := e.Receive(t.Context(), "k", g, k.commit)
	require.NoError(t, err)
	id := create(t, client, "k")
	parts := make([]types.CompletedPart, 12)
	var accepted atomic.Int32
	var group errgroup.Group
	for i := range parts {
		group.Go(func() (err error) {
			parts[i], err = putPart(t.Context(), client, "k", id, i+1, noise(uint64(i), size))
			accepted.Add(1)
			return err
		})
	}
	eventually(t, "the window is full", func() bool { return accepted.Load() >= window/size })
	assert.LessOrEqual(t, u.inMemory(), int64(window+size))
	assert.LessOrEqual(t, accepted.Load(), int32(window/size+1))
	g.Open()
	require.NoError(t, group.Wait())
	require.NoError(t, complete(t.Context(), client, "k", id, parts...))
	require.NoError(t, u.Wait(t.Context()))
	for i := range parts {
		require.True(t, bytes.Equal(noise(uint64(i), size), k.Next(size)), i)
	}
}

func TestPartsThatCannotWaitComeLater(t *testing.T) {
	t.Parallel()
	e, pool := start(t, func(c *Config) { c.Window, c.Patience = 1000, time.Millisecond })
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	id := create(t, client, "k")
	three, err := putPart(t.Context(), client, "k", id, 3, noise(3, 1000))
	require.NoError(t, err)
	_, err = putPart(t.Context(), client, "k", id, 2, noise(2, 1000))
	requireCode(t, "SlowDown", err) // the window is full, part 1 has not come, and the connection is free for it again
	one, err := putPart(t.Context(), client, "k", id, 1, noise(1, 1000))
	require.NoError(t, err)
	eventually(t, "part 1 is written", func() bool { return u.Bytes() == 1000 })
	two, err := putPart(t.Context(), client, "k", id, 2, noise(2, 1000))
	require.NoError(t, err)
	require.NoError(t, complete(t.Context(), client, "k", id, one, two, three))
	require.NoError(t, u.Wait(t.Context()))
	assert.Len(t, k.Bytes(), 3000)
}

func TestCloseWhileUploadsHang(t *testing.T) {
	t.Parallel()
	e, pool := start(t, func(c *Config) { c.Window = 1000 })
	client := newClient(t, e, pool, nil)
	var uploads []*Upload
	for _, key := range []string{"idle", "half", "waiting"} {
		uploads = append(uploads, receive(t, e, key, &kept{}))
	}
	create(t, client, "idle")
	id := create(t, client, "half")
	defer stalled(t, e, client, "half", id, 1, 1<<20)()
	id = create(t, client, "waiting")
	answers := countAnswers(e)
	waiter := make(chan error, 1)
	go func() {
		_, err := putPart(context.WithoutCancel(t.Context()), client, "waiting", id, 2, noise(1, 1001))
		waiter <- err
	}()
	eventually(t, "the part waits for room", func() bool { return countAnswers(e) > answers })
	require.NoError(t, e.Close())
	for _, u := range uploads {
		require.ErrorIs(t, u.Wait(t.Context()), ErrClosed)
	}
	require.Error(t, <-waiter)
	_, err := e.Receive(t.Context(), "late", &kept{}, func() error { return nil })
	require.ErrorIs(t, err, ErrClosed)
	_, err = e.Offer(t.Context(), "late", 1, nil)
	require.ErrorIs(t, err, ErrClosed)
	_, err = net.Dial("tcp", e.host)
	require.Error(t, err)
}

func TestFailureEndsPartsOnTheirWay(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	u := receive(t, e, "k", &kept{})
	defer stalled(t, e, client, "k", create(t, client, "k"), 1, 1<<20)()
	u.Close()
	eventually(t, "the part is given up while its connection hangs", func() bool { return u.inMemory() == 0 })

	u = receive(t, e, "k", &kept{})
	id, err := u.begin(false)
	require.NoError(t, err)
	_, err = u.receive(t.Context(), id, &arrival{number: 1, size: 4, interrupt: func() {}, body: io.MultiReader(strings.NewReader("data"), reader(func() {
		u.fail(errInjected)
	}))})
	requireFault(t, "OperationAborted", err)
	require.ErrorIs(t, u.Wait(t.Context()), errInjected)
}

// reader is at its end, and does something when that is found.
type reader func()

func (r reader) Read([]byte) (int, error) {
	r()
	return 0, io.EOF
}

// Writers that give up only when the run fails must not hold up each other's end.
func TestCloseFailsAllBeforeItWaits(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	var uploads [2]*Upload
	var entered sync.WaitGroup
	entered.Add(2)
	for i, key := range []string{"a", "b"} {
		u, err := e.Receive(t.Context(), key, writer(func(p []byte) (int, error) {
			entered.Done()
			eventually(t, "the other fails", func() bool { return uploads[1-i].Err() != nil })
			return len(p), nil
		}), func() error { return errors.New("must not be called") })
		require.NoError(t, err)
		uploads[i] = u
	}
	for _, key := range []string{"a", "b"} {
		_, err := putPart(t.Context(), client, key, create(t, client, key), 1, []byte("data"))
		require.NoError(t, err)
	}
	entered.Wait()
	require.NoError(t, e.Close())
}

type writer func([]byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }

// countAnswers counts the requests that came so far.
func countAnswers(e *Endpoint) int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.requests
}

func TestCloseOfAnUpload(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	k := &kept{}
	u := receive(t, e, "k", k)
	_, err := e.Receive(t.Context(), "k", k, k.commit)
	require.ErrorContains(t, err, "in use")
	id := create(t, client, "k")
	u.Close()
	u.Close()
	require.ErrorIs(t, u.Err(), ErrClosed)
	_, err = putPart(t.Context(), client, "k", id, 1, []byte("data"))
	requireCode(t, "AccessDenied", err)
	receive(t, e, "k", k)
	create(t, client, "k")
}

// The order of 10,000 parts is shuffled in windows as ten connections may do; at no time is more in memory than was allowed.
func TestMemoryIsBounded(t *testing.T) {
	const count, size, window = 10_000, 10_000, 20 * 10_000
	sum := sha256.New()
	u := &Upload{key: "k", window: window, patience: time.Hour, now: time.Now, done: make(chan struct{}), changed: make(chan struct{}),
		parts: map[int]part{}, waiting: map[int][]byte{}, arriving: map[int]*arrival{}, turn: 1, commit: func() error { return nil }}
	w := &watched{hash: sum, u: u}
	u.w = w
	before := heap()
	go u.run()
	id, err := u.begin(false)
	require.NoError(t, err)

	order := rand.New(rand.NewPCG(1, 2))
	numbers := make([]int, count)
	for i := range numbers {
		numbers[i] = i + 1
	}
	for i := 0; i < count; i += 16 {
		w := numbers[i:min(i+16, count)]
		order.Shuffle(len(w), func(a, b int) { w[a], w[b] = w[b], w[a] })
	}
	work := make(chan int)
	list := make([]listedPart, count)
	var senders sync.WaitGroup
	for range 10 {
		senders.Go(func() {
			for n := range work {
				tag, err := u.receive(t.Context(), id, &arrival{number: n, size: size, body: bytes.NewReader(noise(uint64(n), size)), interrupt: func() {}})
				assert.NoError(t, err)
				list[n-1] = listedPart{PartNumber: n, ETag: tag}
			}
		})
	}
	for _, n := range numbers {
		work <- n
	}
	close(work)
	senders.Wait()
	_, err = u.complete(t.Context(), id, list)
	require.NoError(t, err)
	want := sha256.New()
	for n := range count {
		want.Write(noise(uint64(n+1), size))
	}
	assert.Equal(t, want.Sum(nil), sum.Sum(nil))
	assert.EqualValues(t, count*size, u.Bytes())
	assert.LessOrEqual(t, w.peak, int64(window+size))
	assert.Greater(t, w.peak, int64(size), "nothing ever waited: the test proves nothing")
	assert.Zero(t, u.inMemory())
	assert.Less(t, w.heap-before, uint64(count*size/4), "the heap grows with the upload")
}

// watched notes how much the upload holds each time it is written, and now and then what is alive on the heap.
type watched struct {
	hash   hash.Hash
	u      *Upload
	peak   int64
	heap   uint64
	writes int
}

func (w *watched) Write(p []byte) (int, error) {
	w.peak = max(w.peak, w.u.inMemory())
	if w.writes++; w.writes%1000 == 0 {
		w.heap = max(w.heap, heap())
	}
	return w.hash.Write(p)
}

// heap is what is alive on the heap, in bytes.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestNothingRunsOn(t *testing.T) {
	before := runtime.NumGoroutine()
	e, pool := start(t, nil)
	web := transport(t, pool)
	client := newClient(t, e, pool, func(o *s3.Options) { o.HTTPClient = web })
	ctx, cancel := context.WithCancel(t.Context())
	for _, key := range []string{"done", "idle", "half", "closed", "cancelled"} {
		k := &kept{}
		_, err := e.Receive(ctx, key, k, k.commit)
		require.NoError(t, err)
	}
	_, err := client.PutObject(ctx, &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("done"), Body: strings.NewReader("data")})
	require.NoError(t, err)
	vanish := stalled(t, e, client, "half", create(t, client, "half"), 1, 1<<20)
	e.upload("closed").Close()
	source := &source{data: noise(1, 1<<20)}
	_, err = e.Offer(ctx, "offered", 1<<20, source.open)
	require.NoError(t, err)
	out, err := client.GetObject(ctx, &s3.GetObjectInput{Bucket: aws.String(bucket), Key: aws.String("offered")})
	require.NoError(t, err)
	cancel()
	require.NoError(t, e.Close())
	assert.Zero(t, source.alive.Load(), "a reader was left open")
	out.Body.Close()
	vanish()
	web.CloseIdleConnections()
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= before })
}

func TestShortWriteFails(t *testing.T) {
	t.Parallel()
	e, pool := start(t, nil)
	client := newClient(t, e, pool, nil)
	u, err := e.Receive(t.Context(), "k", short{}, func() error { return errors.New("must not be called") })
	require.NoError(t, err)
	_, err = client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: aws.String(bucket), Key: aws.String("k"), Body: strings.NewReader("data")})
	requireCode(t, "OperationAborted", err)
	require.ErrorContains(t, u.Wait(t.Context()), "short write")
}

type short struct{}

func (short) Write(p []byte) (int, error) { return len(p) - 1, nil }
