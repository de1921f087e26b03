package exchangesim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// Errors of the volume shadow copy service.
const (
	vssBadState     esebcli.HRESULT = 0x80042301
	vssNotFound     esebcli.HRESULT = 0x80042308
	vssNotSupported esebcli.HRESULT = 0x8004230C
	vssInProgress   esebcli.HRESULT = 0x80042316
	vssWriterFailed esebcli.HRESULT = 0x800423F4
)

// shadows is the volume shadow copy service of a program.
type shadows struct{ c *Client }

// shadow is a snapshot of some volumes. It outlives its program.
type shadow struct {
	c       *Client // nil: it died
	id      int
	dir     string
	time    time.Time
	volumes []string
	groups  []*group // that are in the backup
	first   map[*group]uint32
	marks   map[*group]esefile.Mark
	copy    bool
	done    bool // completed
	over    bool
}

// note is what Remove needs.
type note struct{ Shadow int }

// Create makes a snapshot: copies of the volumes as they are at one moment.
func (a *shadows) Create(ctx context.Context, r exchange.ShadowRequest) (exchange.Shadow, error) {
	h := &shadow{c: a.c, copy: r.Copy, first: map[*group]uint32{}, marks: map[*group]esefile.Mark{}}
	err := a.c.remote(ctx, "Shadows.Create", nil, func() error { return a.c.s.prepare(h, r) })
	if err != nil {
		return nil, err
	}
	if err := h.tell(r.Note); err != nil {
		return nil, err
	}
	if err := a.c.remote(ctx, "Shadows.Snapshot", nil, h.snapshot); err != nil {
		if !errors.Is(err, ErrDead) {
			err = errors.Join(err, a.c.s.locked(h.end))
		}
		return nil, err
	}
	if err := h.tell(r.Note); err != nil {
		return nil, errors.Join(err, a.c.s.locked(h.end))
	}
	return h, nil
}

func (h *shadow) tell(f func([]byte) error) error {
	if f == nil {
		return nil
	}
	b, err := json.Marshal(note{h.id})
	if err != nil {
		return err
	}
	return f(b)
}

// prepare refuses what cannot be.
func (s *Server) prepare(h *shadow, r exchange.ShadowRequest) error {
	if s.cfg.Version < 2003 {
		return fmt.Errorf("this server has no volume shadow copies: %w", vssNotSupported)
	}
	if i, err := os.Stat(r.WorkDir); err != nil || !i.IsDir() {
		return fmt.Errorf("working directory %q: %w", r.WorkDir, esebcli.HrFileNotFound)
	}
	if len(r.Exclude) > 0 && s.cfg.Version < 2010 && !r.Copy {
		return fmt.Errorf("groups cannot be left out before Exchange 2010: %w", esebcli.HrInvalidArgument)
	}
	for _, f := range r.Files {
		v, err := s.volume(f)
		if err != nil {
			return err
		}
		if !slices.Contains(h.volumes, v) {
			h.volumes = append(h.volumes, v)
		}
	}
	if len(h.volumes) == 0 {
		return fmt.Errorf("no volume: %w", esebcli.HrInvalidArgument)
	}
	listed := func(groups []exchange.Group, g *group) bool {
		return slices.ContainsFunc(groups, func(x exchange.Group) bool { return x.Name == g.name })
	}
	for _, x := range append(slices.Clone(r.Include), r.Exclude...) {
		if _, err := s.group(x.Name); err != nil {
			return errors.Join(err, vssNotFound)
		}
	}
	for _, g := range s.groups {
		if listed(r.Exclude, g) {
			if listed(r.Include, g) {
				return fmt.Errorf("%s is both in and out: %w", g.name, esebcli.HrInvalidArgument)
			}
			continue
		}
		h.groups = append(h.groups, g)
	}
	h.id = s.newSerial()
	return nil
}

// volume is the folder below the directory of the server in which a file lies.
func (s *Server) volume(path string) (string, error) {
	rel, err := filepath.Rel(s.dir, path)
	first, _, _ := strings.Cut(filepath.ToSlash(rel), "/")
	if err != nil || first == ".." || first == "." || first == shadowsDir {
		return "", fmt.Errorf("%s is on no volume of the server: %w", path, vssNotSupported)
	}
	return first, nil
}

const shadowsDir = "shadows"

// snapshot is the moment.
func (h *shadow) snapshot() error {
	s := h.c.s
	for _, g := range h.groups {
		if g.snapshots > 0 {
			return fmt.Errorf("%s: another snapshot set is in progress: %w", g.name, vssInProgress)
		}
		if g.backup != nil {
			return fmt.Errorf("the writer of Exchange failed, %s is in backup: %w", g.name, vssWriterFailed)
		}
	}
	h.time, h.dir = s.cfg.Now(), filepath.Join(s.dir, shadowsDir, fmt.Sprint(h.id))
	for _, g := range h.groups {
		if g.log == nil {
			continue
		}
		h.first[g] = g.needed()
		h.marks[g] = esefile.Mark{At: g.log.End(), Time: s.stamp(), First: g.needed(), Last: g.generation()}
	}
	err := h.freeze(true)
	for _, v := range h.volumes {
		if err == nil {
			err = os.CopyFS(filepath.Join(h.dir, v), os.DirFS(filepath.Join(s.dir, v)))
		}
	}
	if err = errors.Join(err, h.freeze(false)); err != nil {
		return errors.Join(err, removeTree(h.dir))
	}
	for _, g := range h.groups {
		g.snapshots++
	}
	s.shadows[h.id] = h
	h.c.shadows[h] = true
	return nil
}

// freeze says in the headers of the databases, while the moment lasts, that it is one.
func (h *shadow) freeze(on bool) error {
	for _, g := range h.groups {
		for _, d := range g.mounted() {
			head := d.header
			head.SnapshotCur = esefile.Mark{}
			if on {
				head.SnapshotCur = h.marks[g]
			}
			if err := d.writeHeader(head); err != nil {
				return err
			}
		}
	}
	return nil
}

// Time is when the snapshot was made.
func (h *shadow) Time() time.Time { return h.time }

// Path is where a file is in the snapshot.
func (h *shadow) Path(live string) (path string, err error) {
	s := h.c.s
	err = s.locked(func() error {
		v, err := s.volume(live)
		switch {
		case err != nil:
			return err
		case h.over:
			return fmt.Errorf("the snapshot is gone: %w", vssNotFound)
		case !slices.Contains(h.volumes, v):
			return fmt.Errorf("%s: volume %s is not in the snapshot: %w", live, v, vssNotFound)
		}
		rel, err := filepath.Rel(s.dir, live)
		path = filepath.Join(h.dir, rel)
		return err
	})
	return path, err
}

// Complete tells the writer that the backup is safe. The writer marks the databases and deletes logs, and the snapshot goes.
func (h *shadow) Complete(ctx context.Context) error {
	return h.c.call(ctx, "Shadow.Complete", nil, func() error {
		if h.over {
			if h.done {
				return nil
			}
			return fmt.Errorf("the backup was given up: %w", vssBadState)
		}
		if h.c.s.down {
			return errors.Join(fmt.Errorf("the writer of Exchange does not answer: %w", vssWriterFailed), h.end())
		}
		h.done = true
		for _, g := range h.groups {
			if err := h.truncate(g); err != nil {
				return err
			}
		}
		return h.end()
	})
}

// truncate is what the writer does after BackupComplete with a group.
func (h *shadow) truncate(g *group) error {
	mark, ok := h.marks[g]
	if !ok || g.log == nil {
		return nil
	}
	if g.log.Header.Generation < mark.Last {
		return nil // other logs are there than those of the snapshot
	}
	healthy := true
	for _, d := range g.dbs {
		if !d.mounted {
			healthy = false
			continue
		}
		head := d.header
		if h.copy {
			head.CopyPrev, head.CopyPrevBy = mark, esefile.ByOSSnapshot
			d.lastCopy = g.s.cfg.Now()
		} else {
			head.FullPrev, head.FullPrevBy, head.IncPrev, head.IncPrevBy = mark, esefile.ByOSSnapshot, esefile.Mark{}, 0
			d.lastFull = g.s.cfg.Now()
		}
		if err := d.writeHeader(head); err != nil {
			return err
		}
	}
	if h.copy || !healthy {
		return nil
	}
	g.full, g.fullTime, g.lastFullCheckpointAt = mark.At, mark.Time, g.checkpoint()
	return errors.Join(g.truncate(min(h.first[g], g.needed())), g.writeCheckpoint())
}

// Abort tells the writer that the backup is not safe, and the snapshot goes.
func (h *shadow) Abort(ctx context.Context) error {
	return h.c.call(ctx, "Shadow.Abort", nil, func() error {
		if h.over {
			return nil
		}
		return h.end()
	})
}

// end removes the snapshot, if it was made.
func (h *shadow) end() error {
	if h.over || h.c.s.shadows[h.id] != h {
		return nil
	}
	if err := removeTree(h.dir); err != nil {
		return err
	}
	s := h.c.s
	h.over = true
	if h.c.shadows[h] {
		h.forsake()
	}
	delete(h.c.shadows, h)
	delete(s.shadows, h.id)
	return nil
}

// forsake ends the backup at the writer, and leaves the snapshot.
func (h *shadow) forsake() {
	for _, g := range h.groups {
		g.snapshots--
	}
}

// Remove removes a snapshot by its note.
func (a *shadows) Remove(ctx context.Context, b []byte) error {
	return a.c.call(ctx, "Shadows.Remove", nil, func() error {
		var n note
		if err := json.Unmarshal(b, &n); err != nil || n.Shadow == 0 {
			return errors.Join(fmt.Errorf("%q is no note of a snapshot: %w", b, esebcli.HrInvalidArgument), err)
		}
		if h := a.c.s.shadows[n.Shadow]; h != nil {
			return h.end()
		}
		return nil
	})
}

var (
	_ exchange.Shadows = (*shadows)(nil)
	_ exchange.Shadow  = (*shadow)(nil)
)
