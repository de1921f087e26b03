package exchange

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/atomicfile"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

const (
	// workFolder is where files are restored and recovered, beside where they go.
	workFolder = "quiesce-restore"
	// noteSwap is the ending of the file with the note of a swap.
	noteSwap = "restoring"
	// asideFolder, with a time behind it, is where what was there is kept until the restore is through.
	asideFolder = "quiesce-replaced-"
)

// swapState is how far a swap has come.
type swapState string

const (
	// swapWorking: files are being restored into folders of their own; nothing at its place was touched.
	swapWorking swapState = "working"
	// swapPlacing: files are being exchanged. A restore that died is put back.
	swapPlacing swapState = "placing"
	// swapPlaced: the restore is through, and what it replaced is being removed.
	swapPlaced swapState = "placed"
	// swapKept: the restored files are in place and are not in use yet; what was there is kept for people.
	swapKept swapState = "kept"
)

// swapNote is what is on disk of a swap, so that the next restore of the group can end what a dead one left.
type swapNote struct {
	Format   int        `json:"format"`
	Instance string     `json:"instance"`
	Item     string     `json:"item"`
	Began    time.Time  `json:"began"`
	State    swapState  `json:"state"`
	Moves    []swapMove `json:"moves,omitempty"`
	// Work are folders and files that hold copies from the backup only.
	Work []string `json:"work,omitempty"`
	// Dismounted are the databases that the restore dismounted.
	Dismounted []string `json:"dismounted,omitempty"`
}

// swapMove replaces one file, or folder.
type swapMove struct {
	// To is its place, Aside where what was there goes, New where the restored one is; empty: nothing takes the place, or the file is written there itself.
	To    string `json:"to"`
	Aside string `json:"aside"`
	New   string `json:"new,omitempty"`
	// Was: something was there.
	Was bool `json:"was,omitempty"`
	// Keep: no backup of the plan has what was there, so it stays aside.
	Keep bool `json:"keep,omitempty"`
}

// left says what a person finds.
func (n swapNote) left() string {
	switch n.State {
	case swapWorking:
		return "nothing was replaced; unfinished copies are in " + strings.Join(n.Work, ", ")
	case swapPlaced:
		return "the restored files are in place; what they replaced is being removed"
	}
	dirs := map[string]bool{}
	for _, m := range n.Moves {
		if there(m.Aside) {
			dirs[filepath.Dir(m.Aside)] = true
		}
	}
	if len(dirs) == 0 {
		return "nothing is set aside"
	}
	return "what was there is in " + strings.Join(sortedKeys(dirs), ", ") + ", each file under its name, and belongs into the folder above"
}

// swap exchanges the files of a group for restored ones. Until it is finished nothing that was there is gone.
type swap struct {
	path string
	note swapNote
	lock *filelock.Lock
	// done is how many of the moves were carried out, by round earlier calls of exchange.
	done, round int
}

// openSwap takes the restore of a group for this process, and reads what another left.
func (s *Source) openSwap(item string) (*swap, error) {
	w := &swap{path: groupPath(s.opt.StateDir, s.opt.Instance, item, noteSwap)}
	if err := os.MkdirAll(s.opt.StateDir, 0o700); err != nil {
		return nil, err
	}
	var err error
	if w.lock, err = filelock.Take(groupPath(s.opt.StateDir, s.opt.Instance, item, "lock")); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(w.path)
	if err == nil {
		err = json.Unmarshal(text, &w.note)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(fmt.Errorf("read the note of an earlier restore, %s: %w", w.path, err), w.lock.Release())
	}
	return w, nil
}

// close gives the group back.
func (w *swap) close() error { return w.lock.Release() }

func (w *swap) save() error {
	text, err := json.Marshal(w.note)
	if err != nil {
		return err
	}
	return atomicfile.Write(w.path, append(text, '\n'))
}

// begin notes the folders of a new restore before anything is put into them.
func (w *swap) begin(instance, item string, at time.Time, work []string) error {
	w.note = swapNote{Format: 1, Instance: instance, Item: item, Began: at.UTC(), State: swapWorking, Work: work}
	return w.save()
}

// plan adds a move. kept says that what is there is in no backup.
func (w *swap) plan(to, fresh string, kept bool) {
	folder := asideFolder + w.note.Began.Format("20060102T150405.000")
	if w.round > 0 {
		folder += fmt.Sprintf("-%d", w.round)
	}
	aside := filepath.Join(filepath.Dir(to), folder, filepath.Base(to))
	w.note.Moves = append(w.note.Moves, swapMove{To: to, Aside: aside, New: fresh, Was: there(to), Keep: kept})
}

// exchange carries out the moves that were planned since it was called last. When one fails all are undone, those of earlier calls too.
func (w *swap) exchange() error {
	w.note.State = swapPlacing
	if err := w.save(); err != nil {
		return errors.Join(err, w.undo())
	}
	for _, step := range w.steps() {
		if err := step(); err != nil {
			return errors.Join(err, w.undo())
		}
	}
	w.done, w.round = len(w.note.Moves), w.round+1
	return nil
}

// steps are the renames, each of which leaves the disk in a state that [swap.undo] and [swap.mend] know.
func (w *swap) steps() (out []func() error) {
	moves := w.note.Moves[w.done:]
	for _, m := range moves {
		if m.Was {
			out = append(out, func() error { return moveFile(m.To, m.Aside) })
		}
	}
	for _, m := range moves {
		if m.New != "" {
			out = append(out, func() error { return moveFile(m.New, m.To) })
		}
	}
	return out
}

// undo puts everything back, as far as it was carried out.
func (w *swap) undo() error {
	var errs []error
	for _, m := range slices.Backward(w.note.Moves) {
		if m.New != "" && !there(m.New) && there(m.To) {
			errs = append(errs, moveFile(m.To, m.New))
		}
		if m.New == "" && there(m.To) && (!m.Was || there(m.Aside)) {
			errs = append(errs, removeTree(m.To))
		}
		if there(m.Aside) {
			errs = append(errs, moveFile(m.Aside, m.To))
			_ = os.Remove(filepath.Dir(m.Aside)) // the last one empties it
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("put back what was there (%s): %w", w.note.left(), err)
	}
	return w.forget()
}

// finish removes what was replaced. What no backup has stays, and is returned.
func (w *swap) finish() (kept []string, err error) {
	w.note.State = swapPlaced
	if err := w.save(); err != nil {
		return nil, err
	}
	return w.sweep()
}

// sweep removes what was replaced and what was only for the restore.
func (w *swap) sweep() (kept []string, err error) {
	var errs []error
	for _, m := range w.note.Moves {
		if m.Keep {
			if there(m.Aside) {
				kept = append(kept, m.Aside)
			}
			continue
		}
		errs = append(errs, removeTree(m.Aside))
		_ = os.Remove(filepath.Dir(m.Aside)) // the last one empties it
	}
	if err := errors.Join(errs...); err != nil {
		return kept, fmt.Errorf("the restore is through; remove what it replaced: %w", err)
	}
	return kept, w.forget()
}

// keep leaves what was there aside, for people.
func (w *swap) keep() error {
	w.note.State = swapKept
	return errors.Join(w.removeWork(), w.save())
}

// forget removes the folders of the restore and its note.
func (w *swap) forget() error {
	if err := w.removeWork(); err != nil {
		return err
	}
	if err := os.Remove(w.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return atomicfile.SyncDir(filepath.Dir(w.path))
}

func (w *swap) removeWork() error {
	var errs []error
	for _, dir := range w.note.Work {
		errs = append(errs, removeTree(dir))
	}
	return errors.Join(errs...)
}

// mended is what mend did, in sentences for people, and what is in the way.
type mended struct {
	told []string
	// both are places of which a dead restore left the restored file and the one that was there: only a person, who allows overwriting, knows which is wanted.
	both []swapMove
}

// mend ends what a dead restore left. With overwrite what was there comes back even where a restored file has its place, unless that is in use already: mounted.
func (w *swap) mend(overwrite, mounted bool) (out mended, err error) {
	n := w.note
	for _, m := range n.Moves {
		if n.State == swapPlacing && m.Was && there(m.Aside) && there(m.To) {
			out.both = append(out.both, m)
		}
	}
	switch {
	case n.State == "":
		return out, nil
	case n.State == swapWorking:
		return out, w.forget()
	case n.State == swapPlaced:
		kept, err := w.sweep()
		if len(kept) > 0 {
			out.told = append(out.told, keptText(kept))
		}
		return out, err
	case len(out.both) > 0 && !overwrite:
		return out, nil
	case n.State == swapKept, len(out.both) > 0 && mounted:
		out.told = append(out.told, fmt.Sprintf("what an earlier restore of %q replaced is still there, to be deleted when it is not wanted: %s", n.Item, n.left()))
		out.both = nil
		return out, w.forget()
	}
	out.both = nil
	out.told = append(out.told, fmt.Sprintf("a restore of %q that began at %s died while it replaced files; what was there before was put back", n.Item, n.Began.Format(time.RFC3339)))
	if len(n.Dismounted) > 0 {
		out.told = append(out.told, "it had dismounted "+strings.Join(n.Dismounted, ", ")+": mount them when they are not restored now")
	}
	// A file that had no place before is not taken away: a person may have put it to use.
	w.note.Moves = slices.DeleteFunc(slices.Clone(n.Moves), func(m swapMove) bool { return !m.Was })
	return out, w.undo()
}

func keptText(kept []string) string {
	return fmt.Sprintf("%d logs that were at the server and are in no backup of this plan were set aside and kept; delete them when they are not wanted: %s", len(kept), filepath.Dir(kept[0]))
}

// moveFile renames durably.
func moveFile(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o750); err != nil {
		return err
	}
	if err := os.Rename(from, to); err != nil {
		return err
	}
	return errors.Join(atomicfile.SyncDir(filepath.Dir(to)), atomicfile.SyncDir(filepath.Dir(from)))
}

// there reports whether something has that name. What cannot be looked at is.
func there(path string) bool {
	_, err := os.Lstat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
