package sinks

import (
	"strings"
	"testing"
	"time"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
	"github.com/quiesce-go/quiesce/sink/s3"
)

func TestMemory(t *testing.T) {
	backuptest.TestSink(t, func(t *testing.T) backup.Sink {
		target, err := sink.Open(t.Context(), "mem://", nil)
		require.NoError(t, err)
		return target
	})
}

func TestDirectory(t *testing.T) {
	backuptest.TestSink(t, func(t *testing.T) backup.Sink {
		target, err := sink.Open(t.Context(), "file://"+t.TempDir(), nil)
		require.NoError(t, err)
		return target
	})
}

func TestFileblob(t *testing.T) {
	backuptest.TestSink(t, func(t *testing.T) backup.Sink {
		target := openFileblob(t, t.TempDir())
		_, atomic := target.(backup.PutIfAbsenter)
		require.False(t, atomic, "fileblob lets several writers win")
		return target
	})
}

func TestS3(t *testing.T) {
	server := startS3(t)
	backuptest.TestSink(t, func(t *testing.T) backup.Sink {
		return overDirectories(openS3(t, server.endpoint, server.newBucket(t), true))
	})
}

// overDirectories forgives the one thing in which versitygw is not S3: it keeps objects as files, and a put beside the removal of
// the last neighbour is now and then refused with this word. S3 knows no directories. Every other error stays final.
func overDirectories(s backup.Sink) backup.Sink {
	return sink.Retry(s, sink.RetryPolicy{Initial: 20 * time.Millisecond, Tries: 20, Retryable: func(err error) bool {
		return strings.Contains(err.Error(), "ExistingObjectIsDirectory")
	}})
}

func TestS3SealedByURL(t *testing.T) {
	server := startS3(t)
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secretKey)
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	keys := sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
	backuptest.TestSink(t, func(t *testing.T) backup.Sink {
		target, err := sink.Open(t.Context(), "s3://"+server.newBucket(t)+"?region=us-east-1&use_path_style=true&endpoint="+server.endpoint,
			&sink.Options{Tune: s3.Tune, PartSize: 5 << 20, Concurrency: 2})
		require.NoError(t, err)
		t.Cleanup(func() { target.Close() })
		return sink.Seal(target, keys, nil)
	})
}

func TestGCS(t *testing.T) {
	open := startGCS(t)
	backuptest.TestSink(t, func(t *testing.T) backup.Sink { return open(t) })
}

func TestAzure(t *testing.T) {
	open := startAzurite(t)
	backuptest.TestSink(t, func(t *testing.T) backup.Sink { return open(t) })
}
