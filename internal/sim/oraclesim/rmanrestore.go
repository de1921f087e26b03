package oraclesim

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// restoring runs what goes with a restore: SWITCH TEMPFILE ALL, and CHANGE ... UNCATALOG of everything, or of an archived log by its name. The files stay [RMAN].
func (m *rman) restoring(a *act) (done bool, err error) {
	r := a.r
	forget := func(is func(p *piece) bool, logs func(l *archivedLog) bool) (bool, error) {
		if !r.end() {
			return true, syntax(a.note.Text)
		}
		if err := a.atLeastMounted(); err != nil {
			return true, err
		}
		m.ctl.Pieces = slices.DeleteFunc(m.ctl.Pieces, is)
		m.ctl.Archived = slices.DeleteFunc(m.ctl.Archived, logs)
		return true, m.saveControl()
	}
	isCopy := func(p *piece) bool { return p.Kind == "copy" }
	all, none := func(*archivedLog) bool { return true }, func(*archivedLog) bool { return false }
	switch {
	case r.take("SWITCH TEMPFILE ALL"):
		if err := a.atLeastMounted(); err != nil {
			return true, err
		}
		for _, t := range m.ctl.Temps {
			if n := m.newTemps[t.No]; n != "" {
				t.Name = n
			}
		}
		return true, m.saveControl()
	case r.take("CHANGE BACKUP UNCATALOG"):
		return forget(func(p *piece) bool { return !isCopy(p) }, none)
	case r.take("CHANGE COPY UNCATALOG"):
		return forget(isCopy, all)
	case r.take("CHANGE ARCHIVELOG ALL UNCATALOG"):
		return forget(func(*piece) bool { return false }, all)
	case r.take("CHANGE ARCHIVELOG"):
		name := anyText(r)
		if !r.take("UNCATALOG") {
			return true, syntax(a.note.Text)
		}
		if !slices.ContainsFunc(m.ctl.Archived, func(l *archivedLog) bool { return l.Name == name }) {
			return true, errors.New("RMAN-20242: specification does not match any archived log in the repository")
		}
		return forget(func(*piece) bool { return false }, func(l *archivedLog) bool { return l.Name == name })
	}
	return false, nil
}

// host is HOST: a command of the operating system.
func (m *rman) host(ctx context.Context, command string) error {
	out, err := exec.CommandContext(ctx, "sh", "-c", command).CombinedOutput()
	m.out.Write(out)
	if err != nil {
		return errors.New("RMAN-06135: error executing host command: " + err.Error())
	}
	return nil
}

// restore is RESTORE.
func (m *rman) restore(a *act) error {
	r := a.r
	switch {
	case r.take("CONTROLFILE FROM"):
		return m.restoreControl(anyText(r))
	case r.take("SPFILE"):
		path := m.spfilePath()
		if r.take("TO") {
			path = anyText(r)
		}
		if !r.take("FROM") {
			return syntax(a.note.Text)
		}
		_, contents, err := readPiece(anyText(r))
		if err != nil {
			return err
		}
		return os.WriteFile(path, contents[0], 0o640)
	}
	if err := a.atLeastMounted(); err != nil {
		return err
	}
	switch {
	case r.take("DATABASE VALIDATE"), r.take("VALIDATE DATABASE"):
		return m.checkBackups(true)
	case r.take("DATABASE FROM TAG"):
		m.onlyTag = anyText(r)
		switch {
		case r.take("VALIDATE"):
			return m.checkBackups(true)
		case r.take("PREVIEW"):
			return m.preview()
		}
		return m.restoreDatabase(a)
	case r.take("DATABASE PREVIEW"):
		_ = r.take("SUMMARY") // less of the same
		return m.preview()
	case r.take("DATABASE"):
		return m.restoreDatabase(a)
	case r.take("ARCHIVELOG ALL VALIDATE"):
		return m.checkLogs()
	}
	return syntax(a.note.Text)
}

func (m *rman) restoreControl(path string) error {
	switch m.state {
	case Down:
		return fault(1034, "ORACLE not available")
	case Mounted, Open:
		return errors.New("RMAN-06496: must restore control file without mounting the database")
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return stack(fault(19505, "failed to identify file \"%s\"", path), fault(27037, "unable to obtain file status"))
	}
	if strings.HasPrefix(string(content), pieceHead) {
		h, contents, err := readPiece(path)
		if err != nil {
			return err
		}
		if h.Piece.Kind != "controlfile" {
			return errors.New("RMAN-06172: no AUTOBACKUP found or specified handle is not a valid copy or piece")
		}
		content = contents[0]
	}
	text, err := controlText(content)
	if err != nil {
		return errors.New("RMAN-06172: no AUTOBACKUP found or specified handle is not a valid copy or piece")
	}
	c := &control{}
	if err := json.Unmarshal(text, c); err != nil {
		return err
	}
	if m.dbid != 0 && m.dbid != c.DBID {
		return errors.New("RMAN-06172: no AUTOBACKUP found or specified handle is not a valid copy or piece")
	}
	for _, to := range m.params.list("control_files") {
		if err := os.WriteFile(to, content, 0o640); err != nil {
			return stack(fault(19504, "failed to create file \"%s\"", to), fault(27040, "file create error, unable to create file"))
		}
	}
	return nil
}

// chosen is what a file is restored from: a whole backup, and increments on it.
type chosen struct {
	piece *piece
	file  pieceFile
	index int
}

// choose finds the newest backup of a file that ends before the moment that is asked for. Where that is not there any more, another copy of it will do, as RMAN fails over [BRU].
func (m *rman) choose(no int) (best *chosen) {
	for _, p := range m.ctl.Pieces {
		for n, f := range p.Files {
			if f.No != no || f.Base != 0 || p.Status != "A" || p.Resets != m.ctl.incarnation().SCN || p.Kind != "copy" && p.Kind != "database" || !m.before(p, f) || m.onlyTag != "" && p.Tag != m.onlyTag {
				continue
			}
			if best == nil || f.Checkpoint > best.file.Checkpoint || f.Checkpoint == best.file.Checkpoint && !best.piece.there() {
				best = &chosen{p, f, n}
			}
		}
	}
	return best
}

func (p *piece) there() bool {
	_, err := os.Stat(p.Handle)
	return err == nil
}

// before reports whether a backup is older than SET UNTIL.
func (m *rman) before(p *piece, f pieceFile) bool {
	switch {
	case m.untilSCN != 0:
		return f.End < m.untilSCN
	case m.untilAt != "":
		return p.Done.Format("2006-01-02:15:04:05") < m.untilAt
	}
	return true
}

// content reads the file that was chosen.
func (c *chosen) content() ([]byte, error) {
	if c.piece.Kind == "copy" {
		b, err := os.ReadFile(c.piece.Handle)
		if err != nil {
			return nil, stack(fault(19505, "failed to identify file \"%s\"", c.piece.Handle), fault(27037, "unable to obtain file status"))
		}
		return b, nil
	}
	_, contents, err := readPiece(c.piece.Handle)
	if err != nil {
		return nil, err
	}
	return contents[c.index], nil
}

func noBackup(f *dataFile) error {
	return fmt.Errorf("RMAN-06026: some targets not found - aborting restore\nRMAN-06023: no backup or copy of datafile %d found to restore", f.No)
}

func (m *rman) restoreDatabase(a *act) error {
	if m.state == Open {
		return stack(fault(19870, "error while restoring backup piece"), fault(19573, "cannot obtain exclusive enqueue for datafile 1"))
	}
	for n, f := range m.ctl.Files {
		if n > 0 {
			if err := a.session.inside(a.ctx, a.note); err != nil {
				return err
			}
		}
		c := m.choose(f.No)
		if c == nil {
			if !f.online() {
				continue
			}
			if !m.younger(f) {
				return noBackup(f)
			}
			if err := m.makeFile(f, m.newName(f)); err != nil {
				return err
			}
			continue
		}
		b, err := c.content()
		if err != nil {
			return err
		}
		if bad, err := damagedBlocks(b, f.BlockSize); err != nil || len(bad) > 0 {
			return corruptBlocks(c, f)
		}
		to := m.newName(f)
		if err := os.WriteFile(to, b, 0o640); err != nil {
			return stack(fault(19504, "failed to create file \"%s\"", to), fault(27040, "file create error, unable to create file"))
		}
		m.out.WriteString("restoring datafile " + fmt.Sprintf("%05d", f.No) + " to " + to + "\n")
	}
	return nil
}

// younger reports whether a file came to be after the oldest backup that is known, so that RMAN makes it anew and redo fills it.
func (m *rman) younger(f *dataFile) bool {
	return slices.ContainsFunc(m.ctl.Pieces, func(p *piece) bool {
		return p.Status == "A" && p.Resets == m.ctl.incarnation().SCN && slices.ContainsFunc(p.Files, func(o pieceFile) bool { return o.No > 0 && o.Checkpoint < f.Created })
	})
}

// makeFile makes a data file as it was when it came to be.
func (m *rman) makeFile(f *dataFile, to string) error {
	made := *f
	made.Checkpoint, made.Begin = f.Created, 0
	if _, err := os.Stat(to); err == nil {
		return stack(fault(1119, "error in creating database file '%s'", to), fault(27038, "created file already exists"))
	}
	if err := createDataFile(to, m.headerOf(m.ctl, &made, 0)); err != nil {
		return stack(fault(1119, "error in creating database file '%s'", to), fault(27040, "file create error, unable to create file"))
	}
	m.out.WriteString(fmt.Sprintf("creating datafile file number=%d name=%s\n", f.No, to))
	return nil
}

func corruptBlocks(c *chosen, f *dataFile) error {
	return stack(fault(19566, "exceeded limit of 0 corrupt blocks for file %s", c.piece.Handle), fault(19600, "input file is data-file copy (%s) of file %d", c.piece.Handle, f.No))
}

func (m *rman) newName(f *dataFile) string {
	if n := m.newNames[f.No]; n != "" {
		return n
	}
	if m.allNames != "" {
		return strings.NewReplacer("%b", filepath.Base(f.Name), "%f", fmt.Sprint(f.No), "%U", "data_D-"+m.ctl.Name+"_FNO-"+fmt.Sprint(f.No)).Replace(m.allNames)
	}
	return f.Name
}

func (m *rman) switchAll(*act) error {
	for _, f := range m.ctl.Files {
		to := m.newName(f)
		if _, err := os.Stat(to); err != nil {
			continue
		}
		f.Name = to
	}
	return m.saveControl()
}

// recover is RECOVER DATABASE: increments, then redo of archived logs and of the sets that hold them.
func (m *rman) recover(a *act) error {
	for a.r.take("UNTIL") {
		if err := m.until(a.r); err != nil {
			return err
		}
	}
	if !a.r.end() {
		return syntax(a.note.Text)
	}
	for _, f := range m.ctl.Files {
		if f.online() {
			if err := m.increments(f); err != nil {
				return err
			}
		}
	}
	clause := "DATABASE"
	if m.ctl.Type != "CURRENT" {
		clause += " USING BACKUP CONTROLFILE"
	}
	switch {
	case m.untilSCN != 0:
		clause += fmt.Sprintf(" UNTIL CHANGE %d", m.untilSCN)
	case m.untilAt != "":
		clause += " UNTIL TIME '" + m.untilAt + "'"
	case m.untilSeq[0] != 0:
		clause += " UNTIL CANCEL"
	}
	inner, err := read(clause)
	if err != nil {
		return err
	}
	b := &act{Instance: m.Instance, ctx: a.ctx, session: a.session, note: a.note, r: inner}
	r, files, err := b.recoverClauses()
	if err != nil {
		return err
	}
	err = b.startRecovery(r, files)
	for code(err) == 279 || err != nil && strings.Contains(message(err), "ORA-01244") {
		if code(err) == 279 {
			err = m.feed()
			continue
		}
		if err = m.unnamedFile(err); err != nil {
			break
		}
		if inner, err = read(clause); err != nil {
			return err
		}
		b.r = inner
		if r, files, err = b.recoverClauses(); err != nil {
			return err
		}
		err = b.startRecovery(r, files)
	}
	if code(err) == 283 && strings.Contains(err.Error(), "ORA-00264") {
		return nil
	}
	return err
}

// unnamedFile makes a file that redo tells of, where SET NEWNAME says or where it was [BRU].
func (m *rman) unnamedFile(said error) error {
	f := m.ctl.Files[len(m.ctl.Files)-1]
	_, was, _ := strings.Cut(message(said), fmt.Sprintf("data file %d: '", f.No))
	was, _, _ = strings.Cut(was, "'")
	m.recovery = nil
	f.Name = was
	to := m.newName(f)
	if err := m.makeFile(f, to); err != nil {
		return err
	}
	f.Name, f.Status = to, "ONLINE"
	return m.saveControl()
}

// feed gives recovery the next log, or ends it.
func (m *rman) feed() error {
	t := m.recovery.needed()
	c := m.recovery.threads[t]
	if m.untilSeq[0] != 0 && t == m.untilSeq[1] && int(c.sequence) >= m.untilSeq[0] {
		return m.cancel()
	}
	for _, l := range m.ctl.Archived {
		if l.Thread != t || l.First > c.covered || c.covered >= l.Next || l.ResetlogsSCN != m.ctl.incarnation().SCN || l.Deleted {
			continue
		}
		if _, err := os.Stat(l.Name); err == nil {
			return m.feedFile(l.Name)
		}
	}
	for _, p := range m.ctl.Pieces {
		for n, f := range p.Files {
			if p.Kind != "archivelog" || p.Status != "A" || f.Thread != t || f.First > c.covered || c.covered >= f.Next || p.Resets != m.ctl.incarnation().SCN {
				continue
			}
			_, contents, err := readPiece(p.Handle)
			if err != nil {
				return errors.Join(err, m.cancel())
			}
			dir := m.dest(1).Dir
			if m.logDir != "" {
				dir = m.logDir
			}
			path := filepath.Join(dir, filepath.Base(f.Name))
			if err := os.WriteFile(path, contents[n], 0o640); err != nil {
				return errors.Join(fault(19504, "failed to create file \"%s\"", path), m.cancel())
			}
			return m.feedFile(path)
		}
	}
	first := fmt.Errorf("RMAN-06054: media recovery requesting unknown archived log for thread %d with sequence %d and starting SCN of %d", t, c.sequence, c.covered)
	_ = m.cancel() // RMAN names the log that is missing, and nothing else
	return first
}

func (m *rman) feedFile(path string) error {
	m.out.WriteString("archived log file name=" + path + "\n")
	if err := m.supply(path); err != nil {
		m.recovery = nil
		return err
	}
	return m.advance(path)
}

// increments brings a restored file forward by the incrementals that begin where it is.
func (m *rman) increments(f *dataFile) error {
	for _, p := range m.ctl.Pieces {
		for n, pf := range p.Files {
			if p.Kind != "database" || pf.No != f.No || pf.Base == 0 || p.Status != "A" || p.Resets != m.ctl.incarnation().SCN || !m.before(p, pf) {
				continue
			}
			h, err := m.header(f)
			if err != nil {
				return err
			}
			if h.CheckpointSCN < pf.Base || h.CheckpointSCN >= pf.Checkpoint {
				continue
			}
			_, contents, err := readPiece(p.Handle)
			if err != nil {
				return err
			}
			var all []increment
			if err := json.Unmarshal(contents[n], &all); err != nil {
				return err
			}
			for _, b := range all {
				if err := writeAt(f.Name, b.Data, int64(b.No*f.BlockSize)); err != nil {
					return cannotIdentify(f)
				}
			}
		}
	}
	return nil
}
