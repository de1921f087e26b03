package exchangesim

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// Errors of the engine (jethdr.w).
const (
	errLogCorrupt         = -501
	errBackupInProgress   = -505
	errLogGeneration      = -513
	errLogSequence        = -515
	errBackupNotAllowed   = -523
	errInvalidBackup      = -526 // incremental backup with circular logging
	errMissingLog         = -528
	errLogSignature       = -530
	errDatabaseSignature  = -531
	errCheckpointSeries   = -532
	errCheckpoint         = -533
	errStreamFileMismatch = -540
	errRequiredLogs       = -543
	errSoftOnBackup       = -544
	errDirtyShutdown      = -550
	errConsistentTime     = -551
	errRestoreLogs        = -557
	errCommittedLogs      = -582
	errLogChecksum        = -590
	errNotABackup         = -615
	errReadVerify         = -1018
	errAccessDenied       = -1032
	errDatabaseCorrupted  = -1206
	errAttachmentMismatch = -1216
	errFileNotFound       = -1811
)

// depth is how many generations a changed page may stay in memory.
const depth = 2

// group is a storage group. Its log runs while one of its databases is mounted.
type group struct {
	s                    *Server
	id                   int64
	name, base           string
	logDir, sysDir       string
	circular, circled    bool
	dbs                  []*database
	log                  *esefile.Log // the current one; nil: no database is mounted
	backup               *session     // streams this group
	snapshots            int          // in progress
	full, inc            esefile.Position
	fullTime, incTime    esefile.Stamp
	lastFullCheckpointAt esefile.Position
}

func (g *group) currentLog() string { return filepath.Join(g.logDir, g.base+".log") }

func (g *group) checkpointFile() string { return filepath.Join(g.sysDir, g.base+".chk") }

func (g *group) closedLog(gen uint32) string { return filepath.Join(g.logDir, g.logName(gen)) }

// logName has five digits up to Exchange 2003 and eight since.
func (g *group) logName(gen uint32) string {
	if g.s.cfg.Version <= 2003 && gen <= 0xFFFFF {
		return fmt.Sprintf("%s%05X.log", g.base, gen)
	}
	return fmt.Sprintf("%s%08X.log", g.base, gen)
}

// generation is that of the current log.
func (g *group) generation() uint32 { return g.log.Header.Generation }

// mounted are the databases that are.
func (g *group) mounted() (dbs []*database) {
	for _, d := range g.dbs {
		if d.mounted {
			dbs = append(dbs, d)
		}
	}
	return dbs
}

// start opens the log for the first database that is mounted: the current one in the folder, or the first of a new series in a folder without logs.
func (g *group) start() error {
	if g.log != nil {
		return nil
	}
	b, err := os.ReadFile(g.currentLog())
	closed, lerr := closedLogs(g.logDir, g.base)
	switch {
	case lerr != nil:
		return lerr
	case err == nil:
		if g.log, _, err = esefile.DecodeLog(b); err != nil {
			return jet(errLogCorrupt, "%s: %v", g.currentLog(), err)
		}
		if n := len(closed); n > 0 && closed[n-1].generation >= g.generation() {
			g.log = nil
			return jet(errLogSequence, "%s is newer than %s", closed[n-1].path, g.currentLog())
		}
		return nil
	case !errors.Is(err, fs.ErrNotExist):
		return err
	case len(closed) > 0:
		return jet(errMissingLog, "%s: the current log of the series is not there", g.currentLog())
	}
	return g.begin(esefile.LogHeader{Generation: 1, Signature: g.s.signature(g.name), Created: g.s.stamp()})
}

// begin makes the current log.
func (g *group) begin(h esefile.LogHeader) error {
	h.Bytes, h.Segmented, h.PageBytes = g.s.cfg.LogBytes, g.s.cfg.segmented(), g.s.cfg.PageBytes
	h.SystemPath, h.LogPath, h.Flags, h.Checkpoint, h.Databases = g.sysDir, g.logDir, 0, g.checkpoint(), nil
	if g.circular {
		h.Flags |= esefile.FlagCircular
	}
	if g.circled {
		h.Flags |= esefile.FlagCircularOnce
	}
	for _, d := range g.mounted() {
		h.Databases = append(h.Databases, esefile.Attached{ID: d.id, DBTime: d.dbtime, Attach: d.header.Attach, Consist: d.header.Consistent, Signature: d.header.Signature, Path: d.file})
	}
	log, err := esefile.NewLog(h)
	if err != nil {
		return err
	}
	g.log = log
	return os.WriteFile(g.currentLog(), log.Bytes(), 0o600)
}

// append logs a record at once, in a new log if the current one is full.
func (g *group) append(r esefile.Record) (esefile.Position, error) {
	at, from, to, ok := g.log.Append(r, g.s.stamp())
	if !ok {
		if err := g.roll(); err != nil {
			return at, err
		}
		if at, from, to, ok = g.log.Append(r, g.s.stamp()); !ok {
			return at, errors.New("exchangesim: the record is longer than a log")
		}
	}
	f, err := os.OpenFile(g.currentLog(), os.O_WRONLY, 0)
	if err != nil {
		return at, err
	}
	_, err = f.WriteAt(g.log.Bytes()[from:to], int64(from))
	return at, errors.Join(err, f.Close())
}

// roll closes the current log and begins the next. Pages that have waited long enough are written, and circular logging deletes what no database needs.
func (g *group) roll() error {
	old := g.log.Header
	if err := os.Rename(g.currentLog(), g.closedLog(old.Generation)); err != nil {
		return err
	}
	// The file that is being prepared is an older log with its header, as the engine recycles them.
	if err := os.WriteFile(filepath.Join(g.logDir, g.base+"tmp.log"), g.log.Bytes(), 0o600); err != nil {
		return err
	}
	if err := g.begin(esefile.LogHeader{Generation: old.Generation + 1, Signature: old.Signature, Created: g.s.stamp(), PrevCreated: old.Created, PreviousSum: g.log.Sum()}); err != nil {
		return err
	}
	for _, d := range g.mounted() {
		if err := d.flush(func(at esefile.Position) bool { return at.Generation+depth <= g.generation() }); err != nil {
			return err
		}
	}
	if err := g.writeCheckpoint(); err != nil {
		return err
	}
	if g.circular && g.backup == nil && g.snapshots == 0 {
		_, err := g.deleteBelow(g.needed())
		return err
	}
	return nil
}

// checkpoint is where the first record is that may not be in the databases.
func (g *group) checkpoint() esefile.Position {
	if g.log == nil {
		return esefile.Position{}
	}
	first := g.log.End()
	for _, d := range g.mounted() {
		for _, at := range d.dirty {
			if at.Before(first) {
				first = at
			}
		}
	}
	return first
}

func (g *group) writeCheckpoint() error {
	k := esefile.Checkpoint{
		At: g.checkpoint(), Signature: g.log.Header.Signature, SystemPath: g.sysDir, LogPath: g.logDir,
		LastFullBackup: g.lastFullCheckpointAt, FullBackup: g.full, FullTime: g.fullTime, IncBackup: g.inc, IncTime: g.incTime,
	}
	return os.WriteFile(g.checkpointFile(), k.Encode(), 0o600)
}

// needed is the first generation that a database of the group needs to be recovered on the server.
func (g *group) needed() uint32 {
	first := uint32(1<<32 - 1)
	if g.log != nil {
		first = g.generation()
	}
	for _, d := range g.dbs {
		if d.header.State == esefile.Dirty && d.header.MinRequired < first {
			first = d.header.MinRequired
		}
	}
	return first
}

// deleteBelow deletes the closed logs of lower generations and returns their paths.
func (g *group) deleteBelow(gen uint32) (deleted []string, err error) {
	logs, err := closedLogs(g.logDir, g.base)
	for _, l := range logs {
		if err == nil && l.generation < gen {
			deleted = append(deleted, l.path)
			err = os.Remove(l.path)
		}
	}
	return deleted, err
}

// truncate is deleteBelow at the end of a backup.
func (g *group) truncate(gen uint32) error {
	deleted, err := g.deleteBelow(gen)
	if len(deleted) > 0 {
		g.s.truncations++
	}
	return err
}

// reserves makes the files that hold room on the log volume.
func (g *group) reserves() error {
	names := []string{g.base + "res00001.jrs", g.base + "res00002.jrs"}
	if g.s.cfg.Version <= 2003 {
		names = []string{"res1.log", "res2.log"}
	}
	for _, n := range names {
		if err := os.WriteFile(filepath.Join(g.logDir, n), make([]byte, g.s.cfg.LogBytes), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// logFile is a closed log in a folder, by its name.
type logFile struct {
	path       string
	generation uint32
}

// closedLogs are the closed logs of a series in a folder, by generation.
func closedLogs(dir, base string) (logs []logFile, err error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		var gen uint32
		stem, isLog := strings.CutSuffix(e.Name(), ".log")
		digits, ours := strings.CutPrefix(stem, base)
		if !isLog || !ours || len(digits) != 5 && len(digits) != 8 {
			continue
		}
		if n, err := fmt.Sscanf(digits, "%X", &gen); n == 1 && err == nil && fmt.Sprintf("%0*X", len(digits), gen) == digits {
			logs = append(logs, logFile{filepath.Join(dir, e.Name()), gen})
		}
	}
	slices.SortFunc(logs, func(a, b logFile) int { return cmp.Compare(a.generation, b.generation) })
	return logs, nil
}
