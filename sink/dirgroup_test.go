package sink

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
)

// platter stands in for the disk: it counts what is brought to it and fails for some.
type platter struct {
	mu     sync.Mutex
	synced map[string]int
	fails  map[string]error
}

func dirOnPlatter(t *testing.T) (*Dir, *platter) {
	t.Helper()
	d, err := OpenDir(t.TempDir())
	require.NoError(t, err)
	p := &platter{synced: map[string]int{}, fails: map[string]error{}}
	d.deferred.toDisk = func(path string) error {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.synced[filepath.Base(path)]++
		return p.fails[filepath.Base(path)]
	}
	return d, p
}

func later(t *testing.T) context.Context { return backup.DeferDurability(t.Context()) }

func TestDeferredObjectsReachTheDiskBeforeTheNextOther(t *testing.T) {
	t.Parallel()
	d, p := dirOnPlatter(t)
	for i := range 10 {
		require.NoError(t, d.Put(later(t), fmt.Sprintf("job/runs/%d", i), strings.NewReader("x")))
	}
	assert.Empty(t, p.synced, "nothing is waited for yet")
	rc, err := d.Get(t.Context(), "job/runs/3")
	require.NoError(t, err, "but all can be read")
	rc.Close()
	require.NoError(t, d.PutIfAbsent(t.Context(), "job/manifest", strings.NewReader("m")))
	assert.Len(t, p.synced, 10)
	for name, n := range p.synced {
		assert.Equal(t, 1, n, name)
	}
	require.NoError(t, d.Put(t.Context(), "job/other", strings.NewReader("m")))
	assert.Len(t, p.synced, 10, "once is enough")
}

func TestDeferredObjectsGoInGroups(t *testing.T) {
	t.Parallel()
	d, p := dirOnPlatter(t)
	for i := range groupSize + 1 {
		require.NoError(t, d.Put(later(t), fmt.Sprintf("job/runs/%d", i), strings.NewReader("x")))
	}
	assert.Len(t, p.synced, groupSize, "a full group goes by itself")
}

// TestDeferredFailureIsNotForgotten: after a failed fsync the next one may succeed though the data are gone, so the file stays failed
// until it is replaced or deleted, and no manifest of its job can be written.
func TestDeferredFailureIsNotForgotten(t *testing.T) {
	t.Parallel()
	broken := errors.New("input/output error")
	for _, cure := range []string{"replace", "delete"} {
		d, p := dirOnPlatter(t)
		p.fails["bad"] = broken
		require.NoError(t, d.Put(later(t), "job/runs/bad", strings.NewReader("x")))
		require.NoError(t, d.Put(later(t), "job/runs/good", strings.NewReader("x")))
		require.ErrorIs(t, d.Put(t.Context(), "job/manifest", strings.NewReader("m")), broken)
		delete(p.fails, "bad")
		err := d.Put(t.Context(), "job/manifest", strings.NewReader("m"))
		require.ErrorIs(t, err, broken)
		assert.ErrorContains(t, err, "bad", "the file is named")
		require.NoError(t, d.Put(t.Context(), "other/manifest", strings.NewReader("m")), "another job is not concerned")
		if cure == "replace" {
			require.NoError(t, d.Put(later(t), "job/runs/bad", strings.NewReader("y")))
		} else {
			require.NoError(t, d.Delete(t.Context(), "job/runs/bad"))
		}
		require.NoError(t, d.Put(t.Context(), "job/manifest", strings.NewReader("m")), cure)
	}
}
