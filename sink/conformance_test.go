package sink_test

import (
	"testing"

	"filippo.io/age"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/backup/backuptest"
	"github.com/quiesce-go/quiesce/sink"
)

func openMem(t *testing.T) sink.Target {
	t.Helper()
	target, err := sink.Open(t.Context(), "mem://", nil)
	require.NoError(t, err)
	t.Cleanup(func() { target.Close() })
	return target
}

func newKeys(t *testing.T) sink.Keys {
	t.Helper()
	id, err := age.GenerateX25519Identity()
	require.NoError(t, err)
	return sink.Keys{Recipients: []age.Recipient{id.Recipient()}, Identities: []age.Identity{id}}
}

func TestTargetsKeepTheContract(t *testing.T) {
	t.Run("memory", func(t *testing.T) {
		t.Parallel()
		backuptest.TestSink(t, func(t *testing.T) backup.Sink { return openMem(t) })
	})
	t.Run("directory", func(t *testing.T) {
		t.Parallel()
		backuptest.TestSink(t, func(t *testing.T) backup.Sink {
			d, err := sink.OpenDir(t.TempDir())
			require.NoError(t, err)
			return d
		})
	})
}

func TestLayersKeepTheContract(t *testing.T) {
	layers := map[string]func(t *testing.T, under backup.Sink) backup.Sink{
		"compress": func(_ *testing.T, under backup.Sink) backup.Sink { return sink.Compress(under, nil) },
		"compress in small frames": func(_ *testing.T, under backup.Sink) backup.Sink {
			return sink.Compress(under, &sink.CompressOptions{Level: sink.Default, FrameSize: 64 << 10})
		},
		"encrypt": func(t *testing.T, under backup.Sink) backup.Sink { return sink.Encrypt(under, newKeys(t)) },
		"retry":   func(_ *testing.T, under backup.Sink) backup.Sink { return sink.Retry(under, sink.RetryPolicy{}) },
		"throttle": func(t *testing.T, under backup.Sink) backup.Sink {
			l, err := sink.NewLimiter(sink.Profile{Rate: sink.Rate{Both: 8 << 30}})
			require.NoError(t, err)
			return sink.Throttle(under, l)
		},
		"seal": func(t *testing.T, under backup.Sink) backup.Sink {
			l, err := sink.NewLimiter(sink.Profile{})
			require.NoError(t, err)
			return sink.Seal(under, newKeys(t), &sink.SealOptions{Throttle: l})
		},
	}
	for name, layer := range layers {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && (name == "encrypt" || name == "compress in small frames") {
				t.Skip("seal has both in it, and a short run is under the race detector, where sums take long")
			}
			t.Parallel()
			backuptest.TestSink(t, func(t *testing.T) backup.Sink { return layer(t, backuptest.NewMemSink()) },
				backuptest.SinkOptions{Big: suiteSize})
		})
	}
}
