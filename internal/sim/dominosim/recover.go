package dominosim

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/quiesce-go/quiesce/domino/notes"
)

// Flags of NSFRecoverDatabases that package notes has no name for.
const (
	recoverWait           notes.RecoverFlags = 0x01 // wait for another recovery
	recoverRefreshBackup  notes.RecoverFlags = 0x04 // roll forward and stay a backup
	recoverZapIfNecessary notes.RecoverFlags = 0x20 // a new DBIID when the old one is active

	recoverNewID = notes.RecoverZapID | notes.RecoverPointInTime | notes.RecoverZapReplicaID
	recoverKnown = recoverWait | recoverRefreshBackup | recoverZapIfNecessary | recoverNewID | notes.RecoverAltRetrievePath
)

// putFunc is the callback that brings an extent.
type putFunc = func(ctx context.Context, id notes.UNID, number uint32, path string) error

// recovery is one call of NSFRecoverDatabases.
type recovery struct {
	t      *Thread
	flags  notes.RecoverFlags
	until  time.Time
	put    putFunc
	dbs    []*recovering
	log    *control
	placed []string // extents that were brought, to be removed
	result notes.Recovered
}

// recovering is one database of a recovery.
type recovering struct {
	path string
	*image
	zap bool
}

// Recover is NSFRecoverDatabases.
func (t *Thread) Recover(ctx context.Context, paths []string, flags notes.RecoverFlags, until time.Time, put putFunc) (notes.Recovered, error) {
	r := &recovery{t: t, flags: flags, until: moment(until), put: put, result: notes.Recovered{Failed: -1}}
	args := append([]string{fmt.Sprintf("%#x", uint32(flags))}, paths...)
	err := t.unlocked(ctx, "NSFRecoverDatabases", args, func() error { return r.run(ctx, paths) })
	var dead bool
	if errors.Is(err, ErrDead) {
		dead = len(r.dbs) > 0
	}
	if dead || errors.Is(err, notes.StatusRMMQLogError) || errors.Is(err, notes.StatusRMLogSpaceCritical) || errors.Is(err, notes.StatusTransLogMissingSegs) {
		err = errors.Join(err, t.p.s.spoil(paths)) // the backup files are now corrupt
	}
	return r.result, err
}

func (r *recovery) run(ctx context.Context, paths []string) error {
	s := r.t.p.s
	if err := r.begin(ctx); err != nil {
		return err
	}
	defer func() {
		s.mu.Lock()
		r.t.p.releaseRecovery()
		s.mu.Unlock()
	}()
	if err := s.do(ctx, func() error { return r.prepare(paths) }); err != nil {
		return err
	}
	if err := r.roll(ctx); err != nil {
		return err
	}
	return s.do(ctx, r.finish)
}

// begin makes this the only recovery at the server.
func (r *recovery) begin(ctx context.Context) error {
	refresh, anew := r.flags&recoverRefreshBackup != 0, r.flags&recoverNewID != 0
	if r.flags&^recoverKnown != 0 || refresh && anew {
		return notes.StatusValueFlags
	}
	p := r.t.p
	for {
		err := p.s.do(ctx, func() error {
			l, err := p.take("recovery", notes.StatusRMScanInProgress, &p.s.recover)
			if err == nil {
				p.recovery = l
			}
			return err
		})
		if !errors.Is(err, notes.StatusRMScanInProgress) || r.flags&recoverWait == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// prepare judges every file before anything is done to any.
func (r *recovery) prepare(paths []string) error {
	var err error
	if r.log, err = r.t.p.s.series(); err != nil {
		return err
	}
	if len(paths) == 0 {
		return notes.StatusValueFlags
	}
	var dbs []*recovering
	for i, name := range paths {
		db, err := r.judge(name)
		if err != nil {
			r.result.Failed = i
			return err
		}
		for _, other := range dbs {
			if other.path == db.path || other.dbiid() == db.dbiid() && !other.zap && !db.zap {
				r.result.Failed = i
				return notes.StatusRMDBIIDInUse
			}
		}
		dbs = append(dbs, db)
	}
	r.dbs = dbs
	return nil
}

func (r *recovery) judge(name string) (*recovering, error) {
	s := r.t.p.s
	path, _, err := s.resolve(name)
	if err != nil {
		return nil, err
	}
	st, err := s.loadState(path)
	if err != nil {
		return nil, err
	}
	m, err := loadImage(path)
	if err != nil {
		return nil, err
	}
	db := &recovering{path: path, image: m, zap: r.flags&recoverNewID != 0}
	switch {
	case st.is(stateInBackup|stateHeld) || s.opened[path] > 0:
		return nil, notes.StatusDBInUse
	case !m.backup():
		return nil, notes.StatusRMRecoverNonbackup
	case !m.logged():
		return nil, notes.StatusOnlyV5Databases
	case m.check() != nil, m.logID() != r.log.id, m.backupPos() > r.log.position():
		return nil, notes.StatusRMFixupDB
	case r.flags&notes.RecoverPointInTime != 0 && m.backupTime().After(r.until):
		return nil, notes.StatusRMLateBackup
	}
	if db.zap || r.flags&recoverRefreshBackup != 0 {
		return db, nil
	}
	other, err := s.active(m.dbiid(), path)
	if err == nil && other != "" {
		db.zap = r.flags&recoverZapIfNecessary != 0
		if !db.zap {
			err = notes.StatusRMDBIIDInUse
		}
	}
	return db, err
}

// series is the log that recoveries read. The control file is made anew from the extents in the log directory when notes.ini asks for it.
func (s *Server) series() (*control, error) {
	media, _, err := s.ini("TRANSLOG_MEDIAONLY")
	if err != nil {
		return nil, err
	}
	recreate, _, err := s.ini("TRANSLOG_Recreate_Logctrl")
	if err != nil {
		return nil, err
	}
	if media != "1" && recreate != "1" {
		return s.logging()
	}
	c, err := s.rebuild()
	if err != nil || media == "1" {
		return c, err
	}
	if err := s.saveControl(c); err != nil {
		return nil, err
	}
	return c, s.setIni("TRANSLOG_Recreate_Logctrl", "0")
}

// rebuild finds the last extent of the series in the log directory, and its end.
func (s *Server) rebuild() (*control, error) {
	names, err := filepath.Glob(filepath.Join(s.LogDir(), "S*.TXN"))
	if err != nil {
		return nil, err
	}
	c := &control{style: s.cfg.Style}
	for _, name := range names {
		e, err := readExtent(name)
		if err != nil {
			return nil, notes.StatusTransLogMissingSegs
		}
		if c.number != 0 && c.id != e.id {
			return nil, notes.StatusRMFixupDB
		}
		if e.number < c.number {
			continue
		}
		if _, err := e.records(); err != nil {
			return nil, notes.StatusTransLogMissingSegs
		}
		c.id, c.number, c.size, c.end = e.id, e.number, uint32(len(e.data)), e.end
	}
	if c.number == 0 {
		return nil, notes.StatusTransLogMissingSegs
	}
	return c, nil
}

// roll reads the log from the first extent that any of the databases needs.
func (r *recovery) roll(ctx context.Context) (err error) {
	defer func() {
		for _, path := range r.placed {
			err = errors.Join(err, os.Remove(path))
		}
	}()
	first := uint32(r.dbs[0].backupPos() >> 32)
	for _, db := range r.dbs {
		first = min(first, uint32(db.backupPos()>>32))
	}
	for n := first; n <= r.log.number; n++ {
		e, err := r.extent(ctx, n)
		if err != nil {
			return err
		}
		records, err := e.records()
		// Copied before it was full, and put in the place of one that went on: to a time, the recovery ends where the copy does. No document says so; an archiver of extents that are
		// not full [UG Incremental Archiving of Logs] would be of no use otherwise.
		partial := !e.closed && n < r.log.number
		if err != nil || partial && r.flags&notes.RecoverPointInTime == 0 {
			return notes.StatusTransLogMissingSegs
		}
		for _, rec := range records {
			if r.flags&notes.RecoverPointInTime != 0 && rec.at.After(r.until) {
				return nil
			}
			r.redo(rec)
		}
		if partial {
			return nil
		}
	}
	return nil
}

func (r *recovery) redo(rec record) {
	for _, db := range r.dbs {
		if db.dbiid() == rec.dbiid && rec.lsn > db.lsn() {
			db.apply(rec.ops, rec.lsn, rec.at)
			r.result.Last = rec.at
		}
	}
}

// extent is one extent of the log, brought by the callback when it is no longer in the log directory.
func (r *recovery) extent(ctx context.Context, n uint32) (*extentFile, error) {
	s := r.t.p.s
	path := filepath.Join(s.LogDir(), extentName(n))
	unlock, err := s.lock()
	if err != nil {
		return nil, err
	}
	e, err := readExtent(path)
	unlock()
	if err == nil && e.id == r.log.id && e.number == n {
		return e, nil
	}
	if r.log.style != notes.LogArchive {
		return nil, notes.StatusRMCannotRecover // overwritten
	}
	if r.put == nil {
		return nil, notes.StatusRMMQLogError
	}
	if path, err = r.retrievePath(n); err != nil {
		return nil, err
	}
	call := Call{Name: "LOGRESTORECALLBACK", Args: []string{r.log.id.String(), fmt.Sprint(n), path}}
	if err := r.t.ask(ctx, call); err != nil {
		return nil, err
	}
	if err := r.put(ctx, r.log.id, n, path); err != nil {
		return nil, errors.Join(notes.StatusRMMQLogError, err)
	}
	r.placed = append(r.placed, path)
	call.After = true
	if err := r.t.ask(ctx, call); err != nil {
		return nil, err
	}
	if e, err = readExtent(path); err != nil || e.id != r.log.id || e.number != n {
		return nil, notes.StatusTransLogMissingSegs
	}
	return e, nil
}

func (r *recovery) retrievePath(n uint32) (string, error) {
	s := r.t.p.s
	if r.flags&notes.RecoverAltRetrievePath == 0 {
		return filepath.Join(s.LogDir(), extentName(n)), nil
	}
	dir, ok, err := s.ini("TRANSLOG_RECOVER_PATH")
	if err != nil {
		return "", err
	}
	if !ok || !filepath.IsAbs(dir) {
		return "", notes.StatusValueFlags
	}
	return filepath.Join(dir, extentName(n)), nil
}

// finish writes the databases. They are backups no more.
func (r *recovery) finish() error {
	for i, db := range r.dbs {
		if err := r.write(db); err != nil {
			r.result.Failed = i
			return err
		}
	}
	return nil
}

func (r *recovery) write(db *recovering) error {
	s := r.t.p.s
	switch {
	case r.flags&recoverRefreshBackup != 0:
		le.PutUint64(db.header[atBackupLSN:], db.lsn())
		le.PutUint64(db.header[atBackupPos:], r.log.position())
		le.PutUint32(db.header[atLogNumber:], r.log.number)
	default:
		db.setBackup(false)
		if db.zap {
			if err := s.joinLog(db.path, db.header, true); err != nil {
				return err
			}
		}
	}
	if r.flags&notes.RecoverZapReplicaID != 0 {
		rand.Read(db.header[atReplica : atReplica+8])
	}
	db.seal()
	if err := os.WriteFile(db.path, db.bytes(), 0o600); err != nil {
		return err
	}
	if db.backup() {
		return nil
	}
	return s.update(db.path, func(st *state) error {
		st.dbiid, st.lsn = db.dbiid(), db.lsn()
		return nil
	})
}

// spoil is what becomes of backup files when a recovery breaks off in the middle: they are no longer backups, nor databases.
func (s *Server) spoil(paths []string) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	for _, name := range paths {
		path, _, err := s.resolve(name)
		if err != nil {
			continue // not found before, not found now
		}
		h, err := readHeader(path)
		if err != nil || !h.backup() {
			continue
		}
		le.PutUint64(h[atSum:], ^h.sum())
		h.seal()
		if err := writeAt(path, h, 0); err != nil {
			return err
		}
	}
	return nil
}
