package oraclesim

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
)

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
				forsake(from)
				return a.saveControl()
			}
		}
		for _, t := range a.ctl.Temps {
			if t.Name == from {
				t.Name = to
				forsake(from)
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
		forsake(from)
		return a.saveControl()
	})
}

// renameTarget: logs may be renamed to what is not there, when RESETLOGS makes them; data files not.
func (a *act) renameTarget(from, to string) error {
	for _, g := range a.ctl.Groups {
		if n := slices.Index(g.Members, from); n >= 0 && a.state == Mounted {
			g.Members[n] = to
			forsake(from)
			return a.saveControl()
		}
	}
	for _, t := range a.ctl.Temps {
		if t.Name == from {
			t.Name = to
			forsake(from)
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
		if f.Status == "RECOVER" && a.state != Open {
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
