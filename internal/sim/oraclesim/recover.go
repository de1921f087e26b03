package oraclesim

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// recovery is media recovery that is under way, in one session.
type recovery struct {
	session       int
	files         map[int]*recovering
	order         []int
	database      bool
	backupControl bool
	automatic     bool
	from          string
	untilCancel   bool
	untilSCN      uint64    // 0: none
	untilTime     time.Time // wall clock of the server, as UTC
	threads       map[int]*cursor
	pending       []change
	applied       uint64 // all changes below are applied
}

// cursor is how far redo of a thread is there.
type cursor struct {
	covered  uint64 // all below
	sequence uint32 // next; 0: not known
	until    time.Time
}

// recovering is a file that redo is applied to.
type recovering struct {
	file    *dataFile
	header  header
	blocks  map[uint32]*block
	torn    map[uint32]bool
	changed map[uint32]bool
}

func (r *recovery) incomplete() bool {
	return r.untilCancel || r.untilSCN != 0 || !r.untilTime.IsZero()
}

// newRecovery reads the headers of files.
func (i *Instance) newRecovery(files []*dataFile) (*recovery, error) {
	r := &recovery{files: map[int]*recovering{}, applied: noSCN, threads: map[int]*cursor{}}
	for _, f := range files {
		h, err := i.header(f)
		if err != nil {
			return nil, err
		}
		r.files[f.No] = &recovering{file: f, header: h, blocks: map[uint32]*block{}, torn: map[uint32]bool{}, changed: map[uint32]bool{}}
		r.order = append(r.order, f.No)
		r.applied = min(r.applied, h.CheckpointSCN+1)
	}
	return r, nil
}

// begin starts a recovery in a session, and asks for the first log.
func (i *Instance) begin(r *recovery) error {
	for _, t := range i.ctl.sortedThreads() {
		c := &cursor{covered: r.applied}
		if !r.backupControl || t == 1 {
			c.sequence = i.sequenceOf(t, r)
		}
		r.threads[t] = c
	}
	i.recovery = r
	return i.advance("")
}

// sequenceOf is the log that recovery of a thread begins with; 0: not known.
func (i *Instance) sequenceOf(thread int, r *recovery) uint32 {
	for _, a := range i.ctl.Archived {
		if a.Thread == thread && a.ResetlogsSCN == i.ctl.incarnation().SCN && a.First <= r.applied && r.applied < a.Next {
			return a.Sequence
		}
	}
	for _, g := range i.ctl.Groups {
		if g.Thread == thread && g.Status != "UNUSED" && g.First <= r.applied && r.applied < g.Next {
			return g.Sequence
		}
	}
	// What the control file does not know, the headers do, for the thread that wrote them. A checkpoint at the very end of a log has the next one's changes behind it.
	for _, no := range r.order {
		if h := r.files[no].header; int(h.Thread) == thread && h.CheckpointSCN+1 == r.applied {
			return h.Sequence
		}
	}
	return 0
}

// needed is the thread whose redo comes next, 0 when there is all of it.
func (r *recovery) needed() (thread int) {
	lowest := uint64(noSCN)
	for t, c := range r.threads {
		if c.covered < lowest || c.covered == lowest && c.covered != noSCN && t < thread {
			lowest, thread = c.covered, t
		}
	}
	return thread
}

// advance applies what there is, and then asks for the next log, unless it is online or automatic recovery finds it.
func (i *Instance) advance(used string) error {
	r := i.recovery
	for {
		stopped, err := i.applyCovered(r)
		if err != nil {
			i.recovery = nil
			return stack(fault(283, "recovery session canceled due to errors"), asFault(err))
		}
		if stopped || r.needed() == 0 {
			return i.complete(!stopped)
		}
		if err := i.writeBack(r); err != nil {
			return err
		}
		t := r.needed()
		path := i.onlineLog(r, t)
		if path == "" && r.automatic {
			path = i.suggestion(r, t)
			if _, err := os.Stat(path); err != nil {
				return stack(asFault(i.ask(used)), fault(308, "cannot open archived log '%s'", path), fault(27037, "unable to obtain file status"))
			}
		}
		if path == "" {
			return i.ask(used)
		}
		if err := i.supply(path); err != nil {
			return err
		}
		used = path
	}
}

// onlineLog is the log that recovery takes by itself: online logs are used with a current control file.
func (i *Instance) onlineLog(r *recovery, thread int) string {
	if r.backupControl {
		return ""
	}
	for _, g := range i.ctl.Groups {
		if g.Thread == thread && g.Sequence == r.threads[thread].sequence && g.Status != "UNUSED" && !g.Archived {
			return g.Members[0]
		}
	}
	return ""
}

// ask is the answer that names the next log.
func (i *Instance) ask(used string) error {
	r := i.recovery
	t := r.needed()
	c := r.threads[t]
	e := fault(279, "change %d generated at %s needed for thread %d", c.covered, stamp(i.timeOf(r)), t)
	if c.sequence != 0 {
		e = stack(e, fault(289, "suggestion : %s", i.suggestion(r, t)), fault(280, "change %d for thread %d is in sequence #%d", c.covered, t, c.sequence))
	}
	if used != "" {
		e = stack(e, fault(278, "log file '%s' no longer needed for this recovery", used))
	}
	return e
}

func (i *Instance) timeOf(r *recovery) time.Time {
	var last time.Time
	for _, no := range r.order {
		if h := r.files[no].header; last.IsZero() || h.CheckpointTime.Before(last) {
			last = h.CheckpointTime
		}
	}
	return last
}

// suggestion is a name made of the first destination and LOG_ARCHIVE_FORMAT.
func (i *Instance) suggestion(r *recovery, thread int) string {
	c := r.threads[thread]
	if c.sequence == 0 {
		return ""
	}
	name := expand(i.params.get("log_archive_format"), thread, c.sequence, i.ctl.incarnation().ResetlogsID)
	if r.from != "" {
		return filepath.Join(r.from, name)
	}
	d := i.dest(1)
	if !d.FRA {
		return filepath.Join(d.Dir, name)
	}
	for _, a := range i.ctl.Archived {
		if a.Thread == thread && a.Sequence == c.sequence && a.ResetlogsSCN == i.ctl.incarnation().SCN {
			return a.Name
		}
	}
	return filepath.Join(d.Dir, i.ctl.Name, "archivelog", "%u", name)
}

// supply reads a log for the thread that needs one.
func (i *Instance) supply(path string) error {
	r := i.recovery
	t := r.needed()
	c := r.threads[t]
	l, err := readRedo(path)
	if err == nil {
		err = i.fits(l, path, t, c)
	}
	if err != nil {
		if i.config.RecoveryEndsOnError {
			i.recovery = nil
			return stack(fault(283, "recovery session canceled due to errors"), asFault(err))
		}
		return err
	}
	c.covered, c.sequence, c.until = l.Next, l.Sequence+1, l.NextTime
	r.pending = append(r.pending, l.changes...)
	return nil
}

// fits says why a log is not the one that is needed.
func (i *Instance) fits(l *redoFile, path string, thread int, c *cursor) error {
	name := fault(334, "archived log: '%s'", path)
	switch {
	case l.DBID != i.ctl.DBID || l.ResetlogsSCN != i.ctl.incarnation().SCN:
		return stack(fault(342, "archived log does not have expected resetlogs SCN %d", i.ctl.incarnation().SCN), name)
	case int(l.Thread) != thread:
		return stack(fault(330, "archived log ends at change %d, need change %d of thread %d", l.Next, c.covered, thread), name)
	case c.sequence != 0 && l.Sequence != c.sequence && l.First <= c.covered && c.covered < l.Next:
		// The control file or a header named the log before; by its SCN this is the one.
		return nil
	case c.sequence != 0 && l.Sequence != c.sequence:
		return stack(fault(310, "archived log contains sequence %d; sequence %d required", l.Sequence, c.sequence), name)
	case l.First > c.covered:
		return stack(fault(326, "log begins at change %d, need earlier change %d", l.First, c.covered), name)
	case l.Next <= c.covered && l.Next != noSCN && c.sequence == 0:
		return stack(fault(328, "archived log ends at change %d, need later change %d", l.Next, c.covered), name)
	}
	return nil
}

// applyCovered applies the changes that no other thread can precede. stopped: the moment was reached.
func (i *Instance) applyCovered(r *recovery) (stopped bool, err error) {
	horizon, passed := uint64(noSCN), true
	for _, c := range r.threads {
		horizon = min(horizon, c.covered)
		passed = passed && !c.until.IsZero() && !c.until.Before(r.untilTime)
	}
	if r.untilSCN != 0 && horizon >= r.untilSCN {
		return true, i.apply(r, r.untilSCN)
	}
	if !r.untilTime.IsZero() {
		for _, c := range r.sorted() {
			if c.SCN < horizon && !i.wall(c.At).Before(r.untilTime) {
				return true, i.apply(r, c.SCN)
			}
		}
		if passed && horizon != noSCN {
			return true, i.apply(r, horizon)
		}
	}
	return false, i.apply(r, horizon)
}

// wall is a time as the server's clock shows it, in whole seconds, as redo has it.
func (i *Instance) wall(ns int64) time.Time {
	t := time.Unix(0, ns).In(i.config.Now().Location())
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, time.UTC)
}

func (r *recovery) sorted() []change {
	slices.SortStableFunc(r.pending, func(a, b change) int {
		switch {
		case a.SCN < b.SCN:
			return -1
		case a.SCN > b.SCN:
			return 1
		}
		return 0
	})
	return r.pending
}

// apply applies the pending changes below an SCN.
func (i *Instance) apply(r *recovery, below uint64) error {
	n := 0
	for _, c := range r.sorted() {
		if c.SCN >= below {
			break
		}
		n++
		if err := i.applyOne(r, c); err != nil {
			r.pending = r.pending[n-1:]
			r.applied = max(r.applied, c.SCN)
			return errors.Join(err, i.writeBack(r))
		}
		r.applied = max(r.applied, c.SCN+1)
	}
	r.pending = r.pending[n:]
	if below != noSCN {
		r.applied = max(r.applied, below)
	}
	return nil
}

func (i *Instance) applyOne(r *recovery, c change) error {
	if c.Kind == created && i.ctl.file(c.New.No) == nil && r.database {
		return i.unnamed(c)
	}
	s := r.files[c.File]
	if s == nil || c.SCN <= s.header.CheckpointSCN {
		return nil
	}
	switch c.Kind {
	case ended:
		if s.header.BackupSCN == c.Begin {
			s.header.Status = 0
		}
		return nil
	case cleaned:
		if s.header.Status&blocks.InBackup == 0 {
			s.header.Status = 0
		}
		return nil
	case added, touched, imaged:
		return s.change(c)
	}
	return nil
}

// change applies a change to a block of a file.
func (s *recovering) change(c change) error {
	b, err := s.block(c.Block)
	if err != nil {
		return err
	}
	torn := s.torn[c.Block]
	switch {
	case c.Kind == imaged && (torn || b.scn < c.Prev):
		delete(s.torn, c.Block)
	case c.Kind == imaged:
		return nil
	case torn:
		return stack(fault(1578, "ORACLE data block corrupted (file # %d, block # %d)", c.File, c.Block), dataFileFault(s.file))
	case b.scn >= c.SCN:
		return nil
	case b.scn != c.Prev:
		return stack(fault(600, "internal error code, arguments: [3020], [%d], [%d]", c.File, c.Block), fault(10567, "Redo is inconsistent with data block (file# %d, block# %d)", c.File, c.Block), dataFileFault(s.file))
	}
	b.apply(c)
	s.changed[c.Block] = true
	return nil
}

func (s *recovering) block(no uint32) (*block, error) {
	if b := s.blocks[no]; b != nil {
		return b, nil
	}
	f, err := os.Open(s.file.Name)
	if err != nil {
		return nil, cannotIdentify(s.file)
	}
	defer f.Close()
	b, err := readBlock(f, s.header.DataFile, no)
	if errors.Is(err, blocks.ErrTorn) {
		b, err, s.torn[no] = &block{}, nil, true
	}
	if err != nil {
		return nil, cannotIdentify(s.file)
	}
	s.blocks[no] = b
	return b, nil
}

// unnamed puts a file into the control file that redo tells of.
func (i *Instance) unnamed(c change) error {
	f := *c.New
	was := f.Name
	f.Name = filepath.Join(i.home(), "UNNAMED"+pad5(f.No))
	f.Status = "RECOVER"
	if c.Space != nil && c.Space.No >= len(i.ctl.Tablespaces) {
		i.ctl.Tablespaces = append(i.ctl.Tablespaces, c.Space)
	}
	i.ctl.Files = append(i.ctl.Files, &f)
	if err := i.saveControl(); err != nil {
		return err
	}
	return stack(fault(1244, "unnamed datafile(s) added to control file by media recovery"), fault(1110, "data file %d: '%s'", f.No, was))
}

// writeBack writes what was applied to the files, with headers as of then.
func (i *Instance) writeBack(r *recovery) error {
	for _, no := range r.order {
		s := r.files[no]
		for _, n := range sortedBlocks(s.changed) {
			if s.torn[n] {
				continue
			}
			b, err := s.blocks[n].bytes(s.header.DataFile, n)
			if err != nil {
				return err
			}
			if err := writeAt(s.file.Name, b, s.header.Offset(n)); err != nil {
				return cannotIdentify(s.file)
			}
			delete(s.changed, n)
		}
		if r.applied == noSCN || r.applied-1 <= s.header.CheckpointSCN {
			continue
		}
		s.header.CheckpointSCN = r.applied - 1
		if s.header.absoluteFuzzy < r.applied {
			s.header.absoluteFuzzy = 0
		}
		h := s.header
		h.Sequence = i.nextSequence(r)
		if err := writeHeader(s.file.Name, h); err != nil {
			return cannotIdentify(s.file)
		}
	}
	return nil
}

// nextSequence is the log of thread 1 that a later recovery begins with.
func (i *Instance) nextSequence(r *recovery) uint32 {
	if c := r.threads[1]; c != nil && c.sequence != 0 {
		if c.covered > r.applied && c.sequence > 1 {
			return c.sequence - 1
		}
		return c.sequence
	}
	return i.sequenceAt(i.ctl, r.applied)
}

// finishFiles writes all back; whole: nothing is missing, the files are as good as closed.
func (i *Instance) finishFiles(r *recovery, whole bool) error {
	for _, no := range r.order {
		s := r.files[no]
		if whole {
			s.header.Status, s.header.absoluteFuzzy = 0, 0
			s.file.Begin, s.file.BeginAt = 0, time.Time{}
		}
	}
	if err := i.writeBack(r); err != nil {
		return err
	}
	for _, no := range r.order {
		s := r.files[no]
		if whole {
			if err := writeHeader(s.file.Name, s.header); err != nil {
				return cannotIdentify(s.file)
			}
		}
		if !whole && !r.database {
			continue // the control file goes on asking for what lacks
		}
		s.file.Checkpoint = s.header.CheckpointSCN
		if s.file.Status == "RECOVER" {
			s.file.Status = "OFFLINE"
			if r.database {
				s.file.Status = "ONLINE"
			}
		}
	}
	i.scn = max(i.scn, r.applied*b2u(r.applied != noSCN))
	return i.saveControl()
}

// complete ends a recovery that reached what was asked for; whole: it is the end of all redo.
func (i *Instance) complete(whole bool) error {
	r := i.recovery
	i.recovery = nil
	if err := i.finishFiles(r, whole); err != nil {
		return err
	}
	if r.database && (r.incomplete() || r.backupControl) {
		i.ctl.OpenResetlogs, i.ctl.RecoveredTo = "REQUIRED", r.applied-1
		if err := i.saveControl(); err != nil {
			return err
		}
		return i.wouldFail(r)
	}
	return nil
}

// wouldFail is the warning that OPEN RESETLOGS will not do.
func (i *Instance) wouldFail(r *recovery) error {
	for _, no := range r.order {
		s := r.files[no]
		if err := i.inconsistent(s.file, s.header, i.ctl.RecoveredTo); err != nil {
			return stack(fault(1547, "warning: RECOVER succeeded but OPEN RESETLOGS would get error below"), asFault(err))
		}
	}
	return nil
}

// cancel is RECOVER CANCEL.
func (i *Instance) cancel() error {
	r := i.recovery
	i.recovery = nil
	if err := i.finishFiles(r, false); err != nil {
		return err
	}
	if !r.database || !r.incomplete() && !r.backupControl {
		return nil
	}
	i.ctl.OpenResetlogs, i.ctl.RecoveredTo = "REQUIRED", r.applied-1
	if err := i.saveControl(); err != nil {
		return err
	}
	return i.wouldFail(r)
}
