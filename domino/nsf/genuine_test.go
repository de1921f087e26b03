package nsf_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/nsf"
)

// genuine is the folder of files that Notes wrote, with a README.md whose table says what each is.
func genuine(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("QUIESCE_TESTDATA")
	if dir == "" {
		t.Skip("QUIESCE_TESTDATA is not set: no genuine files")
	}
	return filepath.Join(dir, "nsf")
}

// tableRow is a row of the README: name, origin, facts, digest.
var tableRow = regexp.MustCompile(`(?m)^\| (\S+\.(?:nsf|ntf)) \|[^|]*\| ([^|]*) \| ([0-9a-f]{64}) \|$`)

// TestGenuineFacts compares what is decoded from each genuine file with the table beside it.
func TestGenuineFacts(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile(filepath.Join(genuine(t), "README.md"))
	require.NoError(t, err)
	rows := tableRow.FindAllStringSubmatch(string(table), -1)
	require.Len(t, rows, 8)
	for _, row := range rows {
		t.Run(row[1], func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(filepath.Join(genuine(t), row[1]))
			require.NoError(t, err)
			require.Equal(t, row[3], fmt.Sprintf("%x", sha256.Sum256(b)))
			f, err := verify(t, b)
			require.NoError(t, err)
			assert.True(t, nsf.Match(b))
			assert.Equal(t, nsf.Measured, f.Depth)
			facts(t, row[2], f)
			plausible(t, f)
			spoil(t, b, f)
		})
	}
}

// facts are told by the table in words.
func facts(t *testing.T, says string, f *nsf.File) {
	t.Helper()
	told := 0
	fact := func(pattern string, got any) {
		t.Helper()
		if m := regexp.MustCompile(pattern).FindStringSubmatch(says); m != nil {
			assert.Equal(t, m[1], fmt.Sprint(got), says)
			told++
		}
	}
	fact(`ODS (\d+)`, f.ODS)
	fact(`, (\d+) bytes`, f.FileBytes)
	fact(`size field says (\d+)`, f.SizeBytes)
	fact(`title "([^"]*)"`, f.Title)
	fact(`empty (title)`, "title"+f.Title)
	fact(`header of (\d+) bytes`, f.HeaderBytes)
	fact(`^(template)`, f.Class)
	require.Positive(t, told, says)
	assert.Equal(t, strings.Contains(says, "LogID"), !f.LogID.IsZero(), says)
	assert.Equal(t, strings.Contains(says, "template name"), f.Template != "", says)
	assert.Equal(t, strings.Contains(says, "title plus categories"), f.Categories != "" && f.Title != "", says)
	assert.Equal(t, strings.Contains(says, "flags with bit 0 set"), f.Flags&1 != 0, says)
	assert.Equal(t, strings.Contains(says, "may be smaller than the file"), len(f.Notes) > 0, says)
}

// plausible checks what all genuine files have in common.
func plausible(t *testing.T, f *nsf.File) {
	t.Helper()
	assert.Len(t, f.ReplicaID, 16)
	assert.False(t, f.BucketModified.IsZero() || f.NotDataModified.IsZero())
	for _, at := range []time.Time{f.Modified, f.NextPurge, f.BucketModified, f.DesignModified, f.NotDataModified, f.Fixup, f.FullCompaction, f.Compaction} {
		assert.True(t, at.IsZero() || at.Year() >= 1990 && at.Year() <= 2026, "%s", at)
	}
	assert.True(t, f.DBIID.IsZero(), "the field would have been seen for the first time; say so in the package comment")
	assert.Equal(t, int64(f.HeaderBytes), f.Superblocks[0].Offset)
	assert.Equal(t, f.Superblocks[0].Offset+f.Superblocks[0].SizeBytes, f.Superblocks[1].Offset)
}

// spoil damages a genuine file in many ways, each of which must be found.
func spoil(t *testing.T, b []byte, f *nsf.File) {
	t.Helper()
	for n := int64(0); n < f.SizeBytes; n += f.SizeBytes / 61 {
		damaged(t, b[:n])
	}
	damaged(t, b[:len(b)-1])
	for _, at := range []int64{0, 1, 2, 3, 4, 5, 43, 91, 560, 561, 562, 563, 567, 568, 569, 570, 571, 575, f.Superblocks[0].Offset, f.Superblocks[1].Offset, f.Superblocks[1].Offset + 1} {
		for bit := range 8 {
			c := bytes.Clone(b)
			c[at] ^= 1 << bit
			damaged(t, c)
		}
	}
}

var errGone = errors.New("gone")

func cancelled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errGone)
	return ctx
}

// TestHeadersOfOthers puts the header of each genuine file before the rest of each other one. Where that is not found, both must have the same shape: no header tells more.
func TestHeadersOfOthers(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob(filepath.Join(genuine(t), "*.n*"))
	require.NoError(t, err)
	found := 0
	for _, a := range names {
		for _, b := range names {
			x, err := os.ReadFile(a)
			require.NoError(t, err)
			y, err := os.ReadFile(b)
			require.NoError(t, err)
			fx, err := verify(t, x)
			require.NoError(t, err)
			fy, err := verify(t, y)
			require.NoError(t, err)
			mixed := append(bytes.Clone(x[:fx.HeaderBytes]), y[min(int(fx.HeaderBytes), len(y)):]...)
			if _, err := verify(t, mixed); err != nil {
				require.ErrorIs(t, err, backup.ErrCorrupt)
				found++
				continue
			}
			assert.True(t, fx.Superblocks == fy.Superblocks && fx.SizeBytes <= fy.FileBytes, "%s before %s", filepath.Base(a), filepath.Base(b))
		}
	}
	assert.Positive(t, found)
}
