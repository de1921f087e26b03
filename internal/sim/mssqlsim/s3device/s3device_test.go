package s3device_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/s3device"
	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
	"github.com/quiesce-go/quiesce/mssql/mtf"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

const id, secret = "AKIDQUIESCE", "secretOfTheTest"

// endpoint is the product's, and the pool of certificates that trusts it.
func endpoint(t *testing.T, change ...func(*s3endpoint.Config)) (*s3endpoint.Endpoint, *x509.CertPool) {
	t.Helper()
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), time.Hour, "127.0.0.1")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	c := s3endpoint.Config{Certificate: pair, AccessKey: id, SecretKey: secret}
	for _, f := range change {
		f(&c)
	}
	e, err := s3endpoint.Start(c)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, e.Close()) })
	roots := x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	return e, roots
}

// backup is a full of so many bytes.
func backup(size int64) mssqlsim.Set {
	at := time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)
	s := mssqlsim.Set{
		ID: tds.GUID{1}, Type: mssqlsim.DatabaseSet, Name: "nightly", Database: "sales", Server: "SIM", User: "sa", Created: at, Start: at, Model: mssqlsim.Full,
		First: 36*1e15 + 1e5 + 1, Last: 36*1e15 + 9e5 + 1, Checkpoint: 36*1e15 + 1e5 + 1, Fork: tds.GUID{2}, FirstFork: tds.GUID{2}, FamilyGUID: tds.GUID{3}, Binding: tds.GUID{3},
		Checksum: true, Version: tds.Version{Major: 16, Build: 1000}, Ballast: size, Files: []mssqlsim.File{{ID: 1, Logical: "sales", Physical: `S:\sales.mdf`, Bytes: size}},
	}
	for i := range 20 {
		s.Records = append(s.Records, mssqlsim.Record{LSN: s.First + mssqlsim.LSN(i)*1e5, At: at, Text: fmt.Sprintf("order %d", i)})
	}
	return s
}

func family() mssqlsim.Family {
	return mssqlsim.Family{MediaSet: tds.GUID{9}, ID: tds.GUID{8}, Sequence: 1, Count: 1}
}

func TestBackupAndRestore(t *testing.T) {
	t.Parallel()
	for _, part := range []int{0, 5 << 20} {
		e, roots := endpoint(t)
		m := s3device.Remote(roots)(id, secret)
		var got bytes.Buffer
		u, err := e.Receive(t.Context(), "run/sales.bak", &got, func() error { return nil })
		require.NoError(t, err)
		d, err := m.Create(t.Context(), mssqlsim.Job{Path: u.URL, Family: family(), Set: backup(23 << 20), TransferBytes: part})
		require.NoError(t, err)
		require.NoError(t, d.Advance(t.Context(), 50))
		finish := backup(0).Start.Add(time.Minute)
		require.NoError(t, d.Commit(t.Context(), finish))
		require.NoError(t, d.Close())
		require.NoError(t, u.Wait(t.Context()))
		u.Close()
		media, err := mtf.Verify(t.Context(), bytes.NewReader(got.Bytes()))
		require.NoError(t, err)
		assert.Equal(t, mtf.Summed, media.Depth)
		assert.Greater(t, got.Len(), 23<<20)

		o, err := e.Offer(t.Context(), "run/sales.bak", int64(got.Len()), func(_ context.Context, off int64) (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(got.Bytes()[off:])), nil
		})
		require.NoError(t, err)
		f, sets, err := m.Read(t.Context(), o.URL)
		require.NoError(t, err)
		assert.Equal(t, family(), f)
		require.Len(t, sets, 1)
		assert.Equal(t, []any{"nightly", finish, mssqlsim.Full, false}, []any{sets[0].Name, sets[0].Finish.UTC(), sets[0].Model, sets[0].Incomplete})
		records, err := m.Load(t.Context(), o.URL, 1, true)
		require.NoError(t, err)
		require.Len(t, records, 20)
		assert.Equal(t, "order 19", records[19].Text)
		require.NoError(t, o.Err())
		o.Close()
	}
}

// watch notes what reaches an endpoint of its own that answers nothing but what it must.
type watch struct {
	mu    sync.Mutex
	calls []string
	parts []int64
	fail  int // the part that is refused
}

func (w *watch) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	what := r.Method
	switch q := r.URL.Query(); {
	case q.Has("uploads"):
		what += " uploads"
		_, _ = io.WriteString(rw, `<InitiateMultipartUploadResult><Bucket>b</Bucket><Key>k</Key><UploadId>u1</UploadId></InitiateMultipartUploadResult>`)
	case q.Has("partNumber"):
		what += " part"
		w.parts = append(w.parts, r.ContentLength)
		if q.Get("partNumber") == fmt.Sprint(w.fail) {
			rw.WriteHeader(http.StatusForbidden)
		}
		rw.Header().Set("ETag", `"`+q.Get("partNumber")+`"`)
		_, _ = io.Copy(io.Discard, r.Body)
	case r.Method == http.MethodPost:
		what += " complete"
		_, _ = io.WriteString(rw, `<CompleteMultipartUploadResult><ETag>"x"</ETag></CompleteMultipartUploadResult>`)
	default:
		rw.WriteHeader(http.StatusNotFound)
	}
	w.calls = append(w.calls, what)
}

// serve runs w under a certificate that roots trusts.
func serve(t *testing.T, h http.Handler) (host string, roots *x509.CertPool) {
	t.Helper()
	certificate, key, err := s3endpoint.NewCertificate(time.Now(), time.Hour, "127.0.0.1")
	require.NoError(t, err)
	pair, err := tls.X509KeyPair(certificate, key)
	require.NoError(t, err)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{pair}})
	require.NoError(t, err)
	s := &http.Server{Handler: h}
	var serving sync.WaitGroup
	serving.Go(func() { assert.ErrorIs(t, s.Serve(l), http.ErrServerClosed) })
	t.Cleanup(func() { _ = s.Close(); serving.Wait() })
	roots = x509.NewCertPool()
	require.True(t, roots.AppendCertsFromPEM(certificate))
	return l.Addr().String(), roots
}

func TestAFailedBackupAbortsNothing(t *testing.T) {
	t.Parallel()
	w := &watch{fail: 2}
	host, roots := serve(t, w)
	m := s3device.Remote(roots)(id, secret)
	d, err := m.Create(t.Context(), mssqlsim.Job{Path: "s3://" + host + "/b/k", Family: family(), Set: backup(30 << 20), TransferBytes: 5 << 20})
	require.NoError(t, err)
	code(t, d.Commit(t.Context(), time.Time{}), 50)
	require.NoError(t, d.Close())
	w.mu.Lock()
	defer w.mu.Unlock()
	assert.NotContains(t, w.calls, "POST complete")
	assert.NotContains(t, strings.Join(w.calls, " "), "DELETE")
	assert.Equal(t, []string{"HEAD", "POST uploads"}, w.calls[:2])
}

func TestACancelledBackupAbortsNothing(t *testing.T) {
	t.Parallel()
	w := &watch{}
	host, roots := serve(t, w)
	m := s3device.Remote(roots)(id, secret)
	ctx, cancel := context.WithCancel(t.Context())
	d, err := m.Create(ctx, mssqlsim.Job{Path: "s3://" + host + "/b/k", Family: family(), Set: backup(30 << 20), TransferBytes: 5 << 20})
	require.NoError(t, err)
	require.NoError(t, d.Advance(ctx, 40))
	cancel()
	require.ErrorIs(t, d.Commit(ctx, time.Time{}), context.Canceled)
	require.NoError(t, d.Close())
	w.mu.Lock()
	defer w.mu.Unlock()
	assert.NotContains(t, strings.Join(w.calls, " "), "DELETE")
	assert.NotContains(t, w.calls, "POST complete")
}

func TestPartsHaveTheSizeOfATransfer(t *testing.T) {
	t.Parallel()
	w := &watch{}
	host, roots := serve(t, w)
	m := s3device.Remote(roots)(id, secret)
	d, err := m.Create(t.Context(), mssqlsim.Job{Path: "s3://" + host + "/b/k", Family: family(), Set: backup(21 << 20)})
	require.NoError(t, err)
	require.NoError(t, d.Commit(t.Context(), time.Time{}))
	require.NoError(t, d.Close())
	w.mu.Lock()
	defer w.mu.Unlock()
	require.Len(t, w.parts, 3)
	whole := 0
	for _, p := range w.parts {
		if p == 10<<20 {
			whole++
		}
	}
	assert.Equal(t, 2, whole)
	assert.Equal(t, "POST complete", w.calls[len(w.calls)-1])
}

func TestWhatTheSystemAnswers(t *testing.T) {
	t.Parallel()
	e, roots := endpoint(t)
	m := s3device.Remote(roots)(id, secret)
	good := e.URL("k")
	for path, want := range map[string]int{
		good: 50, // nobody expects it
		strings.Replace(good, "/backup/", "/elsewhere/", 1): 50,
		"s3://" + strings.Repeat("x", 260):                  123,
		"https://host/b/k":                                  123,
		"s3://host/b":                                       50,
	} {
		_, err := m.Create(t.Context(), mssqlsim.Job{Path: path, Family: family(), Set: backup(0)})
		code(t, err, want)
	}
	_, _, err := m.Read(t.Context(), good)
	code(t, err, 2)
	_, err = m.Load(t.Context(), good, 1, true)
	code(t, err, 2)
	_, _, err = s3device.Remote(roots)(id, "wrong").Read(t.Context(), good)
	code(t, err, 50)
	_, _, err = s3device.Remote(x509.NewCertPool())(id, secret).Read(t.Context(), good)
	code(t, err, 12175)
	_, err = m.Create(t.Context(), mssqlsim.Job{Path: good, Family: family(), Set: backup(0), TransferBytes: 1 << 20})
	code(t, err, 87)
	_, err = m.Create(t.Context(), mssqlsim.Job{Path: good, Family: family(), Set: backup(0), Add: true})
	code(t, err, 87)
	fast, others := endpoint(t, func(c *s3endpoint.Config) { c.Now = func() time.Time { return time.Now().Add(20 * time.Minute) } })
	_, err = s3device.Remote(others)(id, secret).Create(t.Context(), mssqlsim.Job{Path: fast.URL("k"), Family: family(), Set: backup(0)})
	code(t, err, 5)
}

func code(t *testing.T, err error, want int) {
	t.Helper()
	var d *mssqlsim.DeviceError
	require.True(t, errors.As(err, &d), "%v", err)
	assert.Equal(t, want, d.Code, "%v", err)
}
