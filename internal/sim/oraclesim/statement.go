package oraclesim

import (
	"context"
	"database/sql/driver"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
		return nil, a.rightful(alterDatabase, a.alterDatabase)
	case r.take("ALTER TABLESPACE"):
		return nil, a.rightful(alterTablespace, a.alterTablespace)
	case r.take("ALTER SYSTEM"):
		return nil, a.rightful(alterSystem, a.alterSystem)
	case r.take("ALTER PLUGGABLE DATABASE"):
		return nil, a.alterPDB()
	case r.take("CREATE"):
		return nil, a.create()
	case r.take("DROP DIRECTORY"):
		return nil, a.rightful(dropDirectory, a.dropDirectory)
	case r.take("ALTER SESSION SET CONTAINER ="):
		return nil, a.setContainer()
	case r.take("ALTER SESSION SET"):
		return nil, nil
	}
	return nil, unknown(note.Text)
}

// rightful runs a statement that takes a right.
func (a *act) rightful(right string, do func() error) error {
	if err := a.session.allowed(right); err != nil {
		return err
	}
	return do()
}

// setContainer goes to another container, which takes a common user: every one here is.
func (a *act) setContainer() error {
	name, ok := a.r.name()
	if !ok {
		return unknown(a.note.Text)
	}
	return a.known(func() error {
		if err := a.atLeastMounted(); err != nil {
			return err
		}
		if a.ctl.CDB && name == "CDB$ROOT" {
			a.session.conID = 1
			return nil
		}
		for _, p := range a.ctl.PDBs {
			if strings.EqualFold(p.Name, name) {
				a.session.conID = p.ConID
				return nil
			}
		}
		return fault(65011, "Pluggable database %s does not exist.", name)
	})
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
	if done, err := a.besideStatement(); done {
		return err
	}
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
	case a.r.take("OFFLINE IMMEDIATE"):
		return a.known(func() error { return firstThen(func() error { return a.setOfflineNow(t) }, a.writable) })
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
	case a.r.take("KILL SESSION"):
		return a.killSession()
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
	if err := a.session.allowed(createDirectory); err != nil {
		return err
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

func pad5(n int) string { return fmt.Sprintf("%05d", n) }
