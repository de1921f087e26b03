package sink_test

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"gocloud.dev/blob/fileblob"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

func TestOpenRefusesAndSaysWhatToDo(t *testing.T) {
	for url, want := range map[string]struct{ text, hint string }{
		"s3://bucket?secret=hunter2": {`"s3"`, `import _ "gocloud.dev/blob/s3blob"`},
		"gs://bucket":                {`"gs"`, `import _ "gocloud.dev/blob/gcsblob"`},
		"azblob://bucket":            {`"azblob"`, `import _ "gocloud.dev/blob/azureblob"`},
		"ftp://host/path":            {`"ftp"`, "s3, gs and azblob"},
		"/var/backups":               {"not a URL", "file:///path"},
		`C:\backups`:                 {"not a URL", "file:///path"},
		"":                           {"not a URL", "file:///path"},
		"file://server/share":        {`"server"`, "file:///path"},
		"file://":                    {"no path", "file:///path"},
		"file:///x?create_dir=1":     {"no parameters", "file:///path"},
	} {
		_, err := sink.Open(t.Context(), url, nil)
		require.Error(t, err, url)
		assert.Contains(t, err.Error(), want.text, url)
		assert.Contains(t, backup.Hint(err), want.hint, url)
		assert.NotContains(t, err.Error(), "hunter2", "parameters may be secrets")
	}
	_, err := sink.Open(t.Context(), "s3://bucket", nil)
	assert.ErrorContains(t, err, "linked: file, mem", "says what is there")
}

func TestOpenFileMakesADurableDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a b", "c")
	target, err := sink.Open(t.Context(), "file://"+strings.ReplaceAll(filepath.ToSlash(dir), " ", "%20"), nil)
	require.NoError(t, err)
	d, ok := target.(*sink.Dir)
	require.True(t, ok)
	assert.Equal(t, dir, d.Path())
	assert.DirExists(t, dir)
}

func TestNewDoesNotPromiseAtomicCreationOverFileblob(t *testing.T) {
	b, err := fileblob.OpenBucket(t.TempDir(), &fileblob.Options{NoTempDir: true})
	require.NoError(t, err)
	target := sink.New(b, nil)
	defer target.Close()
	_, atomic := target.(backup.PutIfAbsenter)
	assert.False(t, atomic)
}

func TestLayersPromiseAtomicCreationOnlyWhereItIs(t *testing.T) {
	limiter, err := sink.NewLimiter(sink.Profile{})
	require.NoError(t, err)
	atomic := backup.Sink(backuptest.NewMemSink())
	plain := backup.Sink(struct{ backup.Sink }{atomic})
	for name, layer := range map[string]func(backup.Sink) backup.Sink{
		"retry":    func(s backup.Sink) backup.Sink { return sink.Retry(s, sink.RetryPolicy{}) },
		"throttle": func(s backup.Sink) backup.Sink { return sink.Throttle(s, limiter) },
		"readonly": sink.ReadOnly,
	} {
		_, ok := layer(atomic).(backup.PutIfAbsenter)
		assert.True(t, ok, name)
		_, ok = layer(plain).(backup.PutIfAbsenter)
		assert.False(t, ok, name)
	}
}

func TestReadOnly(t *testing.T) {
	mem := backuptest.NewMemSink()
	require.NoError(t, mem.Put(t.Context(), "a", strings.NewReader("x")))
	s := sink.ReadOnly(mem)
	assert.ErrorIs(t, s.Put(t.Context(), "a", strings.NewReader("y")), backup.ErrReadOnly)
	assert.ErrorIs(t, s.Delete(t.Context(), "a"), backup.ErrReadOnly)
	assert.ErrorIs(t, s.(backup.PutIfAbsenter).PutIfAbsent(t.Context(), "b", strings.NewReader("y")), backup.ErrReadOnly)
	rc, err := s.Get(t.Context(), "a")
	require.NoError(t, err)
	got, err := io.ReadAll(rc)
	require.NoError(t, err)
	assert.Equal(t, "x", string(got))
	assert.Equal(t, []string{"a"}, mem.Keys(""))
}

func TestRetryable(t *testing.T) {
	for _, err := range []error{
		nil, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, errors.ErrUnsupported, backup.ErrReadOnly, backup.ErrCorrupt, backup.ErrKey,
		&backup.Error{Op: "put", Err: status(400)}, status(403), status(404), status(412), status(301 + 100),
	} {
		assert.False(t, sink.Retryable(err), "%v", err)
	}
	for _, err := range []error{
		io.ErrUnexpectedEOF, errors.New("connection reset by peer"), status(408), status(409), status(425), status(429), status(500), status(503), status(0),
	} {
		assert.True(t, sink.Retryable(err), "%v", err)
	}
}

// status is an error of an HTTP answer, as the SDKs of AWS and Azure have them.
type status int

func (s status) Error() string       { return "answer" }
func (s status) HTTPStatusCode() int { return int(s) }

func TestOpenFailsWithNoTarget(t *testing.T) {
	t.Parallel()
	blocked := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(blocked, nil, 0o600))
	target, err := sink.Open(t.Context(), "file://"+filepath.ToSlash(blocked)+"/below", nil)
	require.Error(t, err)
	assert.True(t, target == nil, "a nil pointer in an interface is not nil")
}
