package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/internal/filelock"
)

// shadowNote is what removes a snapshot: names that were chosen before it was made.
type shadowNote struct {
	Version int            `json:"version"`
	Dir     string         `json:"dir"` // of scripts, metadata and what is exposed
	Volumes []shadowVolume `json:"volumes"`
}

// shadowVolume is one volume of a snapshot.
type shadowVolume struct {
	Name    string `json:"name"`   // as volume.name
	Volume  string `json:"volume"` // as diskshadow was given it
	Alias   string `json:"alias"`
	Exposed string `json:"exposed"` // an empty folder, in which the shadow copy appears
}

const (
	shadowNoteVersion = 1
	scriptFile        = "snapshot.dsh"
	deleteFile        = "delete.dsh"
)

func (n *shadowNote) path(name string) string { return filepath.Join(n.Dir, name) }
func (n *shadowNote) metadata() string        { return n.path("metadata.cab") }

func (n *shadowNote) encode() ([]byte, error) { return json.Marshal(n) }

// decodeShadowNote reads a note, and refuses one that names anything outside of its own folder.
func decodeShadowNote(note []byte) (*shadowNote, error) {
	n := &shadowNote{}
	dec := json.NewDecoder(bytes.NewReader(note))
	dec.DisallowUnknownFields()
	if err := dec.Decode(n); err != nil {
		return nil, fmt.Errorf("the note of a snapshot: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("the note of a snapshot has more behind it")
	}
	if n.Version != shadowNoteVersion || !filepath.IsAbs(n.Dir) || scriptable(n.Dir) != nil {
		return nil, fmt.Errorf("the note of a snapshot in %q is of version %d: want %d and an absolute path", n.Dir, n.Version, shadowNoteVersion)
	}
	for _, v := range n.Volumes {
		if filepath.Dir(v.Exposed) != filepath.Clean(n.Dir) || scriptable(v.Exposed) != nil || !plainName.MatchString(v.Alias) {
			return nil, fmt.Errorf("the note of a snapshot in %s names %q (%s), which is none of it", n.Dir, v.Exposed, v.Alias)
		}
	}
	return n, nil
}

// takeAlive makes sure that the run of a snapshot has ended. Where its folder is gone there is nothing to take.
func takeAlive(g *gate) (*filelock.Lock, error) {
	if _, err := os.Stat(g.dir); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	alive, err := filelock.Take(g.path(gateAlive))
	if errors.Is(err, filelock.ErrHeld) {
		return nil, &backup.Error{Op: "take over", Artifact: g.dir, Err: fmt.Errorf("%w: the run of this snapshot is alive", backup.ErrBusy), Advice: "wait until it has ended"}
	}
	return alive, err
}

// remove deletes the shadow copies of a note, and only those. It is for when its diskshadow has ended.
//
// Whether one is exposed is seen in its folder. One that was created and never exposed, for diskshadow ended in between, is found by the metadata, which diskshadow writes when it has made the snapshot and which are removed here last.
func (d *Diskshadow) remove(ctx context.Context, n *shadowNote) error {
	exposed := n.exposed()
	for _, e := range exposed { // each by a diskshadow of its own, for one that is gone already ends it
		err := d.delete(ctx, n, deletion(e))
		var gone *shadowGone
		if errors.As(err, &gone) {
			err = removed(e) // its mount point may be left
		}
		if err != nil {
			return err
		}
	}
	if left := n.exposed(); len(left) > 0 {
		return fmt.Errorf("diskshadow deleted the shadow copies, and %s still holds something", strings.Join(left, ", "))
	}
	if err := d.removeHidden(ctx, n, exposed); err != nil {
		return err
	}
	return removed(n.metadata())
}

// removeHidden deletes what was never exposed: nothing if the gate was reached, before which all was.
func (d *Diskshadow) removeHidden(ctx context.Context, n *shadowNote, exposed []string) error {
	_, merr := os.Stat(n.metadata())
	_, gerr := os.Stat(n.path(gateReady))
	if errors.Is(merr, fs.ErrNotExist) || gerr == nil {
		return nil
	}
	for _, v := range n.Volumes {
		if slices.Contains(exposed, v.Exposed) {
			continue
		}
		err := d.delete(ctx, n, deletionByAlias(n.metadata(), v.Alias))
		var gone *shadowGone
		if err != nil && !errors.As(err, &gone) {
			return &backup.Error{Op: "delete the shadow copy of", Artifact: v.Volume, Err: err,
				Advice: "look with vssadmin list shadows for a shadow copy of " + v.Volume + " made at the time of that run, delete it, and then delete " + n.metadata()}
		}
	}
	return nil
}

// shadowGone is the answer that there is no such shadow copy.
type shadowGone struct{ error }

// delete runs a script that deletes.
func (d *Diskshadow) delete(ctx context.Context, n *shadowNote, script string) error {
	if err := os.WriteFile(n.path(deleteFile), []byte(script), 0o600); err != nil {
		return err
	}
	e, err := d.program(n, deleteFile).run(ctx)
	switch {
	case err != nil:
		return err
	case e.code == 0:
		return nil
	}
	if v, ok := vssIn(e.output); ok && v.name == "VSS_E_OBJECT_NOT_FOUND" {
		return &shadowGone{d.failed(e)}
	}
	return d.failed(e)
}

// exposed are the folders in which a shadow copy is seen.
func (n *shadowNote) exposed() (out []string) {
	for _, v := range n.Volumes {
		if occupied(v.Exposed) {
			out = append(out, v.Exposed)
		}
	}
	return out
}

// forget removes the files of a snapshot that is gone.
func (n *shadowNote) forget() error {
	var errs []error
	for _, v := range n.Volumes {
		errs = append(errs, removed(v.Exposed))
	}
	for _, name := range []string{scriptFile, deleteFile} {
		errs = append(errs, removed(n.path(name)))
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return removed(n.Dir)
}

// occupied reports whether a folder holds anything. One that cannot be read does: a mount point may outlive what was mounted.
func occupied(dir string) bool {
	f, err := os.Open(dir)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	defer f.Close()
	_, err = f.Readdirnames(1)
	return !errors.Is(err, io.EOF)
}
