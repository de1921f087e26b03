package exchange

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/atomicfile"
)

// restoredNote is kept in the state directory from a restore into the place of a group until a full of it is safe: the server goes on with logs that may have the numbers and the signature of those in the backups, and
// are of another history.
type restoredNote struct {
	Format int       `json:"format"`
	Item   string    `json:"item"`
	At     time.Time `json:"at"`
}

// groupPath is a file of ours about one group of one server.
func groupPath(stateDir, instance, group, what string) string {
	sum := sha256.Sum256([]byte(instance + "\x00" + strings.ToLower(group)))
	return filepath.Join(stateDir, "exchange-"+hex.EncodeToString(sum[:8])+"."+what)
}

// noteRestored notes that a group is about to be restored. What is noted needlessly costs one full.
func noteRestored(stateDir, instance, group string, at time.Time) error {
	text, err := json.Marshal(restoredNote{Format: 1, Item: group, At: at.UTC()})
	if err != nil {
		return err
	}
	return atomicfile.Write(groupPath(stateDir, instance, group, "restored"), append(text, '\n'))
}

// restoredSince tells whether a group was restored and has no full since. A note that cannot be read counts as one.
func restoredSince(stateDir, instance, group string) (at time.Time, restored bool, err error) {
	text, err := os.ReadFile(groupPath(stateDir, instance, group, "restored"))
	if errors.Is(err, fs.ErrNotExist) {
		return at, false, nil
	}
	if err != nil {
		return at, false, err
	}
	var n restoredNote
	if err := json.Unmarshal(text, &n); err != nil {
		return at, true, nil //nolint:nilerr // torn or not: there was a restore
	}
	return n.At, true, nil
}

// forgetRestored is called when a full of the group, begun at a moment, is safe. A note of a later restore stays.
func forgetRestored(stateDir, instance, group string, begun time.Time) error {
	at, restored, err := restoredSince(stateDir, instance, group)
	if err != nil || !restored || at.After(begun) {
		return err
	}
	if err := os.Remove(groupPath(stateDir, instance, group, "restored")); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// reportRestores names what restores left that did not come to their end, a sentence each, and changes nothing: the next restore of the group ends it.
func (s *Source) reportRestores(context.Context) []string {
	files, err := filepath.Glob(filepath.Join(s.opt.StateDir, "exchange-*."+noteSwap))
	if err != nil {
		return nil
	}
	var out []string
	for _, f := range files {
		text, err := os.ReadFile(f)
		var n swapNote
		if err == nil {
			err = json.Unmarshal(text, &n)
		}
		if err != nil || n.Instance != s.opt.Instance {
			continue
		}
		out = append(out, fmt.Sprintf("a restore of %q that began at %s did not come to its end: %s", n.Item, n.Began.Format(time.RFC3339), n.left()))
	}
	return out
}
