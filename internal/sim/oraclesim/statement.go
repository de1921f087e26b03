package oraclesim

import (
	"context"
	"database/sql/driver"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// act is a statement that is being run: the session holds the lock.
type act struct {
	*Instance
	ctx     context.Context
	session *session
	note    Statement
	r       *reader
	args    []driver.NamedValue
}

// execute runs one statement.
func (s *session) execute(ctx context.Context, note Statement, args []driver.NamedValue) (*table, error) {
	i := s.instance
	r, err := read(note.Text)
	if err != nil {
		return nil, err
	}
	a := &act{Instance: i, ctx: ctx, session: s, note: note, r: r, args: args}
	if s.program != "sql" && r.peek().kind == 'w' {
		done, err := a.command()
		if done {
			return nil, err
		}
	}
	if i.state == Down {
		return nil, fault(1034, "ORACLE not available")
	}
	if s.limited && !r.take("SELECT") {
		return nil, fault(1031, "insufficient privileges")
	}
	r.at = 0
	switch {
	case r.take("SELECT"):
		return a.query()
	case r.take("DECLARE"), r.take("BEGIN"):
		r.at = 0
		return nil, a.plsql()
	case r.take("ALTER DATABASE"):
		return nil, a.alterDatabase()
	case r.take("ALTER TABLESPACE"):
		return nil, a.alterTablespace()
	case r.take("ALTER SYSTEM"):
		return nil, a.alterSystem()
	case r.take("ALTER PLUGGABLE DATABASE"):
		return nil, a.alterPDB()
	case r.take("CREATE"):
		return nil, a.create()
	case r.take("DROP DIRECTORY"):
		return nil, a.dropDirectory()
	case r.take("ALTER SESSION SET"):
		return nil, nil
	}
	return nil, unknown(note.Text)
}

func (a *act) mountedOnly() error {
	switch a.state {
	case Mounted:
		return nil
	case Open:
		return fault(1126, "database must be mounted in this instance and not open in any instance")
	}
	return fault(1507, "database not mounted")
}

func (a *act) atLeastMounted() error {
	if a.state != Mounted && a.state != Open {
		return fault(1507, "database not mounted")
	}
	return nil
}

func (a *act) opened() error {
	if a.state != Open {
		return fault(1109, "database not open")
	}
	return nil
}

func (a *act) writable() error {
	if err := a.opened(); err != nil {
		return err
	}
	if a.readOnly {
		return fault(16000, "database or pluggable database open for read-only access")
	}
	return nil
}

func (a *act) administrative() error {
	if !a.session.admin {
		return fault(1031, "insufficient privileges")
	}
	return nil
}

func (a *act) inRoot() error {
	if a.session.conID > 1 {
		return fault(65040, "operation not allowed from within a pluggable database")
	}
	return nil
}

// first returns the first error of checks.
func first(checks ...func() error) error {
	for _, c := range checks {
		if err := c(); err != nil {
			return err
		}
	}
	return nil
}

func (a *act) alterDatabase() error {
	r := a.r
	switch {
	case r.take("BEGIN BACKUP"):
		return a.known(a.beginDatabase)
	case r.take("END BACKUP"):
		return a.known(a.endDatabase)
	case r.take("BACKUP CONTROLFILE TO"):
		return a.backupControlStatement()
	case r.take("MOUNT STANDBY DATABASE"), r.take("MOUNT"):
		return a.known(func() error { return firstThen(a.mount, a.administrative) })
	case r.take("OPEN"):
		return a.openStatement()
	case r.take("RENAME FILE"):
		return a.renameFile()
	case r.take("CREATE DATAFILE"):
		return a.createDatafile()
	case r.take("DATAFILE"):
		return a.datafile()
	case r.take("TEMPFILE"):
		return a.tempfile()
	case r.take("RECOVER"):
		return a.recover()
	case r.take("ARCHIVELOG"):
		return a.known(func() error { return a.setLogMode("ARCHIVELOG") })
	case r.take("NOARCHIVELOG"):
		return a.known(func() error { return a.setLogMode("NOARCHIVELOG") })
	case r.take("CLOSE"):
		return unknown(a.note.Text)
	}
	return unknown(a.note.Text)
}

// known runs a step of a statement that has to end here.
func (a *act) known(step func() error) error {
	if !a.r.end() {
		return unknown(a.note.Text)
	}
	return step()
}

func firstThen(step func() error, checks ...func() error) error {
	if err := first(checks...); err != nil {
		return err
	}
	return step()
}

func (a *act) setLogMode(mode string) error {
	if err := a.mountedOnly(); err != nil {
		return err
	}
	a.ctl.LogMode = mode
	return a.saveControl()
}

func (a *act) openStatement() error {
	resetlogs := a.r.take("RESETLOGS")
	readOnly := !resetlogs && a.r.take("READ ONLY")
	_ = !resetlogs && !readOnly && (a.r.take("READ WRITE") || a.r.take("NORESETLOGS")) // the default
	return a.known(func() error {
		return firstThen(func() error { return a.open(resetlogs, readOnly) }, a.administrative)
	})
}

func (a *act) backupControlStatement() error {
	trace := a.r.take("TRACE")
	path := ""
	if !trace || a.r.take("AS") {
		text, ok := a.r.text()
		if !ok {
			return unknown(a.note.Text)
		}
		path = text
	}
	reuse := a.r.take("REUSE")
	_ = trace && (a.r.take("RESETLOGS") || a.r.take("NORESETLOGS")) // both make the same script here
	return a.known(func() error {
		if err := first(a.atLeastMounted, a.inRoot); err != nil {
			return err
		}
		switch {
		case !trace:
			return a.backupControl(path, reuse)
		case path == "":
			path, reuse = filepath.Join(a.config.Dir, "diag", a.config.SID+"_ora_"+strconv.Itoa(a.session.id)+".trc"), true
		}
		if err := creatable(path, reuse); err != nil {
			return stack(fault(1580, "error creating control backup file %s", path), asFault(err))
		}
		return os.WriteFile(path, []byte(a.traceControl()), 0o640)
	})
}

func (a *act) renameFile() error {
	from, ok := a.r.text()
	if !ok || !a.r.take("TO") {
		return unknown(a.note.Text)
	}
	to, ok := a.r.text()
	if !ok {
		return unknown(a.note.Text)
	}
	return a.known(func() error {
		if err := a.atLeastMounted(); err != nil {
			return err
		}
		if _, err := os.Stat(to); err != nil {
			return a.renameTarget(from, to)
		}
		for _, g := range a.ctl.Groups {
			if n := slices.Index(g.Members, from); n >= 0 {
				g.Members[n] = to
				return a.saveControl()
			}
		}
		for _, t := range a.ctl.Temps {
			if t.Name == from {
				t.Name = to
				return a.saveControl()
			}
		}
		f := a.ctl.fileNamed(from)
		switch {
		case f == nil:
			return stack(fault(1511, "error in renaming log/data files"), fault(1516, "nonexistent log file, data file, or temporary file \"%s\" in the current container", from))
		case a.state == Open && f.online():
			return stack(fault(1511, "error in renaming log/data files"), fault(1121, "cannot rename database file %d - file is in use or recovery", f.No), dataFileFault(f))
		}
		f.Name = to
		return a.saveControl()
	})
}

// renameTarget: logs may be renamed to what is not there, when RESETLOGS makes them; data files not.
func (a *act) renameTarget(from, to string) error {
	for _, g := range a.ctl.Groups {
		if n := slices.Index(g.Members, from); n >= 0 && a.state == Mounted {
			g.Members[n] = to
			return a.saveControl()
		}
	}
	for _, t := range a.ctl.Temps {
		if t.Name == from {
			t.Name = to
			return a.saveControl()
		}
	}
	no := 0
	if f := a.ctl.fileNamed(from); f != nil {
		no = f.No
	}
	return stack(fault(1511, "error in renaming log/data files"), fault(1141, "error renaming data file %d - new file '%s' not found", no, to), fault(1110, "data file %d: '%s'", no, from), fault(27037, "unable to obtain file status"))
}

// fileArgument is a number or a quoted name.
func (a *act) fileArgument() (*dataFile, error) {
	name, ok := a.r.number()
	if !ok {
		name, ok = a.r.text()
	}
	if !ok {
		return nil, unknown(a.note.Text)
	}
	if err := a.atLeastMounted(); err != nil {
		return nil, err
	}
	f := a.ctl.fileNamed(name)
	if f == nil {
		return nil, fault(1516, "nonexistent log file, data file, or temporary file \"%s\" in the current container", name)
	}
	return f, nil
}

func (a *act) createDatafile() error {
	f, err := a.fileArgument()
	if err != nil {
		return err
	}
	path := f.Name
	if a.r.take("AS") {
		text, ok := a.r.text()
		if !ok {
			return unknown(a.note.Text)
		}
		path = text
	}
	return a.known(func() error {
		if a.state == Open && f.online() {
			return stack(fault(1182, "cannot create database file %d - file is in use or recovery", f.No), dataFileFault(f))
		}
		made := *f
		made.Checkpoint, made.Begin = f.Created, 0
		if err := createDataFile(path, a.headerOf(a.ctl, &made, 0)); err != nil {
			return fault(1119, "error in creating database file '%s'", path)
		}
		f.Name = path
		if f.Status == "RECOVER" {
			f.Status = "ONLINE"
		}
		return a.saveControl()
	})
}

func (a *act) datafile() error {
	f, err := a.fileArgument()
	if err != nil {
		return err
	}
	switch {
	case a.r.take("END BACKUP"):
		return a.known(func() error { return a.endFile(f) })
	case a.r.take("ONLINE"):
		return a.known(func() error { return a.fileOnline(f) })
	case a.r.take("OFFLINE FOR DROP"), a.r.take("OFFLINE DROP"), a.r.take("OFFLINE"):
		return a.known(func() error { return a.fileOffline(f) })
	}
	return unknown(a.note.Text)
}

func (i *Instance) fileOnline(f *dataFile) error {
	if f.online() {
		return nil
	}
	if i.state == Open {
		h, err := i.header(f)
		if err != nil {
			return err
		}
		if f.Status == "RECOVER" || h.Status != 0 || h.CheckpointSCN < f.Checkpoint {
			return stack(fault(1113, "file %d needs media recovery", f.No), dataFileFault(f))
		}
	}
	f.Status = "ONLINE"
	if i.ctl.tablespace(f.TS).Name == "SYSTEM" {
		f.Status = "SYSTEM"
	}
	if i.state == Open {
		if err := i.writeFile(f, 4); err != nil {
			return err
		}
		if err := i.touch(f); err != nil {
			return err
		}
	}
	return i.saveControl()
}

func (i *Instance) fileOffline(f *dataFile) error {
	if i.state == Open && f.Begin != 0 {
		return stack(fault(1150, "cannot prevent writes - file %d has online backup set", f.No), dataFileFault(f))
	}
	f.Status = "OFFLINE"
	if i.state == Open {
		f.Status = "RECOVER"
		delete(i.cache, f.No)
		delete(i.dirty, f.No)
		delete(i.inflight, f.No)
	}
	return i.saveControl()
}

func (a *act) tempfile() error {
	name, ok := a.r.text()
	if !ok {
		return unknown(a.note.Text)
	}
	if !a.r.take("DROP INCLUDING DATAFILES") && !a.r.take("DROP") {
		return unknown(a.note.Text)
	}
	return a.known(func() error {
		if err := a.opened(); err != nil {
			return err
		}
		a.ctl.Temps = slices.DeleteFunc(a.ctl.Temps, func(t *tempFile) bool { return t.Name == name })
		return a.saveControl()
	})
}

func (a *act) alterTablespace() error {
	name, ok := a.r.name()
	if !ok {
		return unknown(a.note.Text)
	}
	if err := a.atLeastMounted(); err != nil {
		return err
	}
	if a.state != Open && !slices.ContainsFunc(a.r.tokens, func(t token) bool { return t.text == "END" }) {
		return fault(1109, "database not open")
	}
	t := a.ctl.tablespaceNamed(name, a.session.conID)
	if t == nil {
		return fault(959, "tablespace '%s' does not exist", name)
	}
	switch {
	case a.r.take("BEGIN BACKUP"):
		return a.known(func() error { return a.beginTablespace(t) })
	case a.r.take("END BACKUP"):
		return a.known(func() error { return a.endTablespace(t) })
	case a.r.take("READ ONLY"):
		return a.known(func() error { return firstThen(func() error { return a.setReadOnly(t, true) }, a.writable) })
	case a.r.take("READ WRITE"):
		return a.known(func() error { return firstThen(func() error { return a.setReadOnly(t, false) }, a.writable) })
	case a.r.take("OFFLINE NORMAL"), a.r.take("OFFLINE"):
		return a.known(func() error { return firstThen(func() error { return a.setOffline(t) }, a.writable) })
	case a.r.take("ONLINE"):
		return a.known(func() error { return firstThen(func() error { return a.setOnline(t) }, a.writable) })
	case a.r.take("ADD TEMPFILE"):
		return a.addTempStatement(t)
	}
	return unknown(a.note.Text)
}

func (a *act) addTempStatement(t *tablespace) error {
	path, ok := a.r.text()
	if !ok || !a.r.take("SIZE") {
		return unknown(a.note.Text)
	}
	size := a.r.next().text
	n, err := strconv.Atoi(strings.TrimRight(size, "KMG"))
	if err != nil {
		return unknown(a.note.Text)
	}
	switch size[len(size)-1] {
	case 'K':
		n <<= 10
	case 'M':
		n <<= 20
	case 'G':
		n <<= 30
	}
	reuse := a.r.take("REUSE")
	return a.known(func() error {
		if err := a.writable(); err != nil {
			return err
		}
		if t.Contents != "TEMPORARY" {
			return fault(3217, "invalid option for alter of TEMPORARY TABLESPACE")
		}
		if slices.ContainsFunc(a.ctl.Temps, func(f *tempFile) bool { return f.Name == path }) {
			return fault(1537, "cannot add file '%s' - file already part of database", path)
		}
		if err := creatable(path, reuse); err != nil {
			return stack(fault(1119, "error in creating database file '%s'", path), asFault(err))
		}
		return a.addTemp(t, path, min(n/a.config.BlockSizeBytes, 1024))
	})
}

func (a *act) alterSystem() error {
	switch {
	case a.r.take("ARCHIVE LOG CURRENT"):
		return a.known(a.archiveCurrent)
	case a.r.take("SWITCH LOGFILE"):
		return a.known(func() error {
			return firstThen(func() error {
				return firstThen(func() error { return a.archivePending("") }, func() error { return a.switchLog(1) })
			}, a.writable, a.inRoot)
		})
	case a.r.take("CHECKPOINT"):
		return a.known(func() error { return firstThen(func() error { return firstThen(a.settle, a.checkpoint) }, a.writable) })
	}
	return unknown(a.note.Text)
}

// archiveCurrent switches and archives the logs of all threads.
func (a *act) archiveCurrent() error {
	if err := first(a.opened, a.inRoot, a.writable); err != nil {
		return err
	}
	if a.ctl.LogMode != "ARCHIVELOG" {
		return fault(258, "manual archiving in NOARCHIVELOG mode must identify log")
	}
	for _, t := range a.ctl.sortedThreads() {
		if err := a.switchLog(t); err != nil {
			return err
		}
		if err := a.session.inside(a.ctx, a.note); err != nil {
			return err
		}
	}
	return a.archivePending("FGRD")
}

func (a *act) alterPDB() error {
	if a.r.take("ALL OPEN") {
		return a.known(func() error {
			if err := a.opened(); err != nil {
				return err
			}
			for n := range a.ctl.PDBs {
				if p := &a.ctl.PDBs[n]; p.Mode == "MOUNTED" {
					p.Mode = "READ WRITE"
				}
			}
			return a.saveControl()
		})
	}
	return unknown(a.note.Text)
}

func (a *act) create() error {
	server := a.r.take("SPFILE")
	if !server && !a.r.take("PFILE") {
		return a.createDirectory()
	}
	path, from := "", ""
	if a.r.take("=") {
		path, _ = a.r.text()
	}
	if !a.r.take("FROM") {
		return unknown(a.note.Text)
	}
	switch {
	case a.r.take("MEMORY"):
		from = "MEMORY"
	case a.r.take("SPFILE"), a.r.take("PFILE"):
		if a.r.take("=") {
			from, _ = a.r.text()
		}
	default:
		return unknown(a.note.Text)
	}
	return a.known(func() error {
		return firstThen(func() error { return a.createPfile(path, from, server) }, a.administrative, a.inRoot)
	})
}

func (a *act) createDirectory() error {
	if !a.r.take("OR REPLACE DIRECTORY") && !a.r.take("DIRECTORY") {
		return unknown(a.note.Text)
	}
	name, ok := a.r.name()
	if !ok || !a.r.take("AS") {
		return unknown(a.note.Text)
	}
	path, ok := a.r.text()
	if !ok {
		return unknown(a.note.Text)
	}
	return a.known(func() error {
		if err := a.writable(); err != nil {
			return err
		}
		if slices.Contains(strings.Split(path, "/"), "..") {
			return fault(65254, "invalid path specified for the directory")
		}
		a.directories[name] = path
		return nil
	})
}

func (a *act) dropDirectory() error {
	name, ok := a.r.name()
	if !ok {
		return unknown(a.note.Text)
	}
	return a.known(func() error {
		if err := a.writable(); err != nil {
			return err
		}
		if _, ok := a.directories[name]; !ok {
			return fault(4043, "object %s does not exist", name)
		}
		delete(a.directories, name)
		return nil
	})
}

// recover is ALTER DATABASE RECOVER.
func (a *act) recover() error {
	if err := first(a.administrative, a.atLeastMounted); err != nil {
		return err
	}
	mine := a.recovery != nil && a.recovery.session == a.session.id
	switch {
	case a.r.take("CANCEL"):
		return a.known(func() error {
			if !mine {
				return fault(1112, "media recovery not started")
			}
			return a.cancel()
		})
	case a.r.take("CONTINUE"):
		_ = a.r.take("DEFAULT")
		return a.known(func() error {
			if !mine {
				return fault(1112, "media recovery not started")
			}
			return a.continueWith(a.suggestion(a.recovery, a.recovery.needed()))
		})
	case a.r.take("LOGFILE"):
		path, ok := a.r.text()
		if !ok {
			return unknown(a.note.Text)
		}
		return a.known(func() error {
			if !mine {
				return fault(1112, "media recovery not started")
			}
			return a.continueWith(path)
		})
	}
	r, files, err := a.recoverClauses()
	if err != nil {
		return err
	}
	if a.recovery != nil {
		return fault(1153, "an incompatible media recovery is active")
	}
	return a.startRecovery(r, files)
}

func (a *act) continueWith(path string) error {
	if path == "" {
		return fault(308, "cannot open archived log ''")
	}
	if err := a.session.inside(a.ctx, a.note); err != nil {
		return err
	}
	if a.recovery == nil {
		return fault(1112, "media recovery not started")
	}
	if err := a.supply(path); err != nil {
		return err
	}
	return a.advance(path)
}

// recoverClauses reads what is to be recovered, and to when.
func (a *act) recoverClauses() (r *recovery, files []*dataFile, err error) {
	r = &recovery{}
	r.automatic = a.r.take("AUTOMATIC")
	if a.r.take("FROM") {
		r.from, _ = a.r.text()
	}
	switch {
	case a.r.take("DATABASE"):
		r.database = true
		for _, f := range a.ctl.Files {
			if (f.online() || f.Status == "RECOVER") && f.Enabled != "READ ONLY" {
				files = append(files, f)
			}
		}
	case a.r.take("TABLESPACE"):
		name, _ := a.r.name()
		t := a.ctl.tablespaceNamed(name, a.session.conID)
		if t == nil {
			return nil, nil, fault(959, "tablespace '%s' does not exist", name)
		}
		files = a.ctl.filesOf(t.No)
	case a.r.take("DATAFILE"):
		f, err := a.fileArgument()
		if err != nil {
			return nil, nil, err
		}
		files = []*dataFile{f}
	default:
		return nil, nil, unknown(a.note.Text)
	}
	for !a.r.end() {
		if err := a.recoverOption(r); err != nil {
			return nil, nil, err
		}
	}
	return r, files, nil
}

func (a *act) recoverOption(r *recovery) error {
	switch {
	case a.r.take("UNTIL CANCEL"):
		r.untilCancel = true
	case a.r.take("UNTIL TIME"):
		text, _ := a.r.text()
		t, err := time.Parse("2006-01-02:15:04:05", text)
		if err != nil {
			return fault(1861, "literal does not match format string")
		}
		r.untilTime = t
	case a.r.take("UNTIL CHANGE"):
		text, _ := a.r.number()
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			return unknown(a.note.Text)
		}
		r.untilSCN = n
	case a.r.take("USING BACKUP CONTROLFILE"):
		r.backupControl = true
	default:
		return unknown(a.note.Text)
	}
	return nil
}

func (a *act) startRecovery(asked *recovery, files []*dataFile) error {
	switch {
	case asked.database && a.state == Open:
		return stack(fault(283, "recovery session canceled due to errors"), fault(1124, "cannot recover data file 1 - file is in use or recovery"), dataFileFault(a.ctl.Files[0]))
	case asked.database && a.ctl.Type != "CURRENT" && !asked.backupControl:
		return stack(fault(283, "recovery session canceled due to errors"), fault(1610, "recovery using the BACKUP CONTROLFILE option must be done"))
	}
	for _, f := range files {
		if a.state == Open && f.online() {
			return stack(fault(283, "recovery session canceled due to errors"), fault(1124, "cannot recover data file %d - file is in use or recovery", f.No), dataFileFault(f))
		}
	}
	r, err := a.newRecovery(files)
	if err != nil {
		return stack(fault(283, "recovery session canceled due to errors"), asFault(err))
	}
	for _, s := range r.files {
		if s.header.ResetlogsSCN != a.ctl.incarnation().SCN {
			return stack(fault(283, "recovery session canceled due to errors"), fault(1190, "control file or data file %d is from before the last RESETLOGS", s.file.No), dataFileFault(s.file))
		}
	}
	if asked.database && !asked.incomplete() && !asked.backupControl && a.ctl.Clean && !a.behind(r) {
		return stack(fault(283, "recovery session canceled due to errors"), fault(264, "no recovery required"))
	}
	if asked.untilSCN != 0 && asked.untilSCN < r.lowest() {
		return stack(fault(283, "recovery session canceled due to errors"), fault(1152, "file %d was not restored from a sufficiently old backup", files[0].No), dataFileFault(files[0]))
	}
	asked.files, asked.order, asked.applied, asked.threads, asked.session = r.files, r.order, r.applied, r.threads, a.session.id
	return a.begin(asked)
}

// lowest is the SCN of the oldest file.
func (r *recovery) lowest() uint64 { return r.applied - 1 }

func (a *act) behind(r *recovery) bool {
	for _, s := range r.files {
		if s.header.CheckpointSCN < s.file.Checkpoint || s.header.Status != 0 || s.file.Status == "RECOVER" {
			return true
		}
	}
	return false
}

func pad5(n int) string { return fmt.Sprintf("%05d", n) }
