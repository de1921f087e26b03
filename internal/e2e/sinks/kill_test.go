package sinks

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	awss3 "github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/quiesce-go/quiesce/sink"
	"github.com/quiesce-go/quiesce/sink/s3"
)

// childEnv tells this test binary, run again, which target to write to.
const childEnv = "QUIESCE_E2E_CHILD"

const killedKey, killedSize = "job/runs/1/part", 40 << 20

// TestWriterProcess is no test: it is the process the others kill. It puts an object and tells on its standard output how far
// the reader got.
func TestWriterProcess(t *testing.T) {
	spec := os.Getenv(childEnv)
	if spec == "" {
		t.Skip("runs as the child of TestKill")
	}
	kind, where, _ := strings.Cut(spec, " ")
	var target sink.Target
	switch kind {
	case "directory":
		d, err := sink.OpenDir(where)
		require.NoError(t, err)
		target = d
	case "fileblob":
		target = openFileblob(t, where)
	case "s3":
		endpoint, bucket, _ := strings.Cut(where, " ")
		target = openS3(t, endpoint, bucket, true)
	}
	err := target.Put(context.Background(), killedKey, &tellingReader{left: killedSize})
	fmt.Println("done", err)
}

// tellingReader writes a line for every MiB it has given.
type tellingReader struct{ left, given int64 }

func (r *tellingReader) Read(p []byte) (int, error) {
	if r.left == 0 {
		return 0, io.EOF
	}
	n := min(int64(len(p)), r.left, 1<<20-r.given%(1<<20))
	r.left -= n
	r.given += n
	if r.given%(1<<20) == 0 {
		fmt.Println("given", r.given>>20)
		time.Sleep(2 * time.Millisecond) // a source is slower than memory, and kills shall hit every phase
	}
	return int(n), nil
}

// killAt runs the writer and kills it as soon as it has read so many MiB, or some microseconds later.
func killAt(t *testing.T, spec string, mib int, delay time.Duration) {
	t.Helper()
	self, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(self, "-test.run", "^TestWriterProcess$")
	cmd.Env = append(os.Environ(), childEnv+"="+spec)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if lines.Text() == "given "+strconv.Itoa(mib) {
			time.Sleep(delay)
			break
		}
		assert.NotContains(t, lines.Text(), "done", "the writer ended before it was killed")
	}
	require.NoError(t, cmd.Process.Kill())
	io.Copy(io.Discard, out)
	cmd.Wait()
}

// absentAfterKill kills writers at many points and checks that none left anything to be seen at the key, except, when the kill came
// after the last byte was taken, the whole object.
func absentAfterKill(t *testing.T, target sink.Target, spec string) {
	t.Helper()
	points := []int{1, 2, 8, 17, 33, 39, 40, 40, 40}
	for i, mib := range points {
		delay := time.Duration(rand.IntN(3000)) * time.Microsecond
		if i == len(points)-1 {
			delay = 30 * time.Millisecond
		}
		killAt(t, spec, mib, delay)
		size := int64(-1)
		for o, err := range target.List(t.Context(), "") {
			require.NoError(t, err)
			require.Equal(t, killedKey, o.Key, "something else is listed")
			size = o.Size
		}
		rc, err := target.Get(t.Context(), killedKey)
		if size < 0 {
			require.ErrorIs(t, err, fs.ErrNotExist, "killed after %d MiB", mib)
			continue
		}
		require.NoError(t, err)
		n, err := io.Copy(io.Discard, rc)
		rc.Close()
		require.NoError(t, err)
		require.EqualValues(t, killedSize, size, "killed after %d MiB", mib)
		require.EqualValues(t, killedSize, n, "killed after %d MiB", mib)
		require.Equal(t, 40, mib, "whole before the writer had given all")
		require.NoError(t, target.Delete(t.Context(), killedKey))
	}
}

func TestKillDirectory(t *testing.T) {
	root := t.TempDir()
	target, err := sink.OpenDir(root)
	require.NoError(t, err)
	absentAfterKill(t, target, "directory "+root)

	temps, err := filepath.Glob(filepath.Join(root, ".quiesce-tmp", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, temps, "killed writers leave temporary files")
	for _, name := range temps {
		old := time.Now().Add(-2 * time.Hour)
		require.NoError(t, os.Chtimes(name, old, old))
	}
	next, err := sink.OpenDir(root)
	require.NoError(t, err)
	require.NoError(t, next.Put(t.Context(), "next", strings.NewReader("x")))
	temps, err = filepath.Glob(filepath.Join(root, ".quiesce-tmp", "*"))
	require.NoError(t, err)
	assert.Empty(t, temps, "the next put sweeps what is old")
}

func TestKillFileblob(t *testing.T) {
	root := t.TempDir()
	absentAfterKill(t, openFileblob(t, root), "fileblob "+root)
}

func TestKillS3(t *testing.T) {
	server := startS3(t)
	bucket := server.newBucket(t)
	target := openS3(t, server.endpoint, bucket, true)
	absentAfterKill(t, target, "s3 "+server.endpoint+" "+bucket)

	left := uploads(t, server, bucket)
	require.NotZero(t, left, "killed writers leave unfinished uploads")
	n, err := s3.Sweep(t.Context(), target, bucket, "job/", time.Hour)
	require.NoError(t, err)
	assert.Zero(t, n, "uploads that may still run are left alone")
	n, err = s3.Sweep(t.Context(), target, bucket, "job/", 0)
	require.NoError(t, err)
	assert.Equal(t, left, n)
	assert.Zero(t, uploads(t, server, bucket))
}

// uploads counts the unfinished uploads of a bucket.
func uploads(t *testing.T, server *s3Server, bucket string) int {
	t.Helper()
	page, err := client(server.endpoint).ListMultipartUploads(t.Context(), &awss3.ListMultipartUploadsInput{Bucket: &bucket})
	require.NoError(t, err)
	return len(page.Uploads)
}

// TestCancelledUploadLeavesNoPieces shows the gap that s3.Tune closes: with it nothing is left, without it the pieces stay.
func TestCancelledUploadLeavesNoPieces(t *testing.T) {
	server := startS3(t)
	for _, tuned := range []bool{true, false} {
		bucket := server.newBucket(t)
		target := openS3(t, server.endpoint, bucket, tuned)
		ctx, cancel := context.WithCancel(t.Context())
		r := &cancellingSource{tellingReader: tellingReader{left: killedSize}, at: 35 << 20, cancel: cancel}
		require.ErrorIs(t, target.Put(ctx, killedKey, r), context.Canceled)
		cancel()
		if tuned {
			assert.Zero(t, uploads(t, server, bucket), "pieces of a cancelled upload with s3.Tune")
		} else {
			assert.NotZero(t, uploads(t, server, bucket), "s3blob cleans up by itself now: s3.Tune can go")
		}
	}
}

type cancellingSource struct {
	tellingReader
	at     int64
	cancel context.CancelFunc
}

func (r *cancellingSource) Read(p []byte) (int, error) {
	if r.given >= r.at {
		r.cancel()
	}
	return r.tellingReader.Read(p)
}

func TestS3Errors(t *testing.T) {
	server := startS3(t)
	missing := openS3(t, server.endpoint, "no-such-bucket", true)
	err := missing.Put(t.Context(), "k", strings.NewReader("x"))
	require.ErrorIs(t, err, fs.ErrNotExist)
	assert.False(t, sink.Retryable(err), "a missing bucket does not appear by waiting")

	dead := openS3(t, fmt.Sprintf("http://127.0.0.1:%d", freePort(t)), "bucket", true)
	err = dead.Put(t.Context(), "k", strings.NewReader("x"))
	require.Error(t, err)
	assert.True(t, sink.Retryable(err), "a server that is down may come back: %v", err)

	rows := 0
	for _, err := range missing.List(t.Context(), "") {
		rows++
		assert.ErrorIs(t, err, fs.ErrNotExist)
	}
	assert.Equal(t, 1, rows, "the error is the only row")
}
