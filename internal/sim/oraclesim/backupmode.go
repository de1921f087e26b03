package oraclesim

import (
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// mine are the files that a statement for the whole database is about: all, or those of the PDB.
func (a *act) mine() (all []*dataFile) {
	for _, f := range a.ctl.Files {
		if a.session.conID <= 1 || f.ConID == a.session.conID {
			all = append(all, f)
		}
	}
	return all
}

func (a *act) mayBegin() error {
	switch {
	case a.state != Open:
		return fault(1109, "database not open")
	case a.readOnly:
		return fault(16000, "database or pluggable database open for read-only access")
	case a.ctl.LogMode != "ARCHIVELOG":
		return fault(1123, "cannot start online backup; media recovery not enabled")
	}
	return nil
}

func (a *act) beginDatabase() error {
	if err := a.mayBegin(); err != nil {
		return err
	}
	files := a.mine()
	for _, f := range files {
		if f.Begin != 0 {
			return stack(fault(1146, "cannot start online backup - file %d is already in backup", f.No), dataFileFault(f))
		}
	}
	n := 0
	for _, f := range files {
		if !f.writable() {
			continue
		}
		if err := a.beginOne(f, n); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fault(1140, "cannot end online backup - all files are offline or readonly")
	}
	return a.saveControl()
}

// beginOne puts a file into backup mode; n were before it in this statement.
func (a *act) beginOne(f *dataFile, n int) error {
	if n > 0 {
		if err := a.session.inside(a.ctx, a.note); err != nil {
			return err
		}
	}
	return a.beginFile(f)
}

func (a *act) beginTablespace(t *tablespace) error {
	if err := a.mayBegin(); err != nil {
		return err
	}
	files := a.ctl.filesOf(t.No)
	for _, f := range files {
		switch {
		case t.Contents == "TEMPORARY":
			return fault(3217, "invalid option for alter of TEMPORARY TABLESPACE")
		case t.Status == "READ ONLY" || f.Enabled == "READ ONLY":
			return fault(1642, "begin backup not needed for read only tablespace '%s'", t.Name)
		case !f.online():
			return stack(fault(1128, "cannot start online backup - file %d is offline", f.No), dataFileFault(f))
		case f.Begin != 0:
			return stack(fault(1146, "cannot start online backup - file %d is already in backup", f.No), dataFileFault(f))
		}
	}
	if t.Contents == "TEMPORARY" {
		return fault(3217, "invalid option for alter of TEMPORARY TABLESPACE")
	}
	for n, f := range files {
		if err := a.beginOne(f, n); err != nil {
			return err
		}
	}
	return a.saveControl()
}

// beginFile checkpoints a file, freezes its header, and has whole blocks in redo from now on.
func (i *Instance) beginFile(f *dataFile) error {
	i.scn++
	if err := i.writeFile(f, blocks.Online); err != nil {
		return err
	}
	f.Begin, f.BeginAt = i.scn, i.config.Now()
	delete(i.imaged, f.No)
	if err := writeHeader(f.Name, i.headerOf(i.ctl, f, blocks.Online)); err != nil {
		return cannotIdentify(f)
	}
	if err := i.touch(f); err != nil {
		return err
	}
	return i.saveControl()
}

func (a *act) endDatabase() error {
	if err := a.atLeastMounted(); err != nil {
		return err
	}
	n := 0
	for _, f := range a.mine() {
		if f.Begin == 0 {
			continue
		}
		if n > 0 {
			if err := a.session.inside(a.ctx, a.note); err != nil {
				return err
			}
		}
		if err := a.leave(f); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fault(1142, "cannot end online backup - none of the files are in backup")
	}
	return a.saveControl()
}

func (a *act) endTablespace(t *tablespace) error {
	n := 0
	for _, f := range a.ctl.filesOf(t.No) {
		switch {
		case t.Status == "READ ONLY":
			return fault(1140, "cannot end online backup - all files are offline or readonly")
		case f.Begin == 0:
			continue
		}
		if n > 0 {
			if err := a.session.inside(a.ctx, a.note); err != nil {
				return err
			}
		}
		if err := a.leave(f); err != nil {
			return err
		}
		n++
	}
	if n == 0 {
		return fault(1142, "cannot end online backup - none of the files are in backup")
	}
	return a.saveControl()
}

func (a *act) endFile(f *dataFile) error {
	if f.Begin == 0 {
		return stack(fault(1199, "file %d is not in online backup mode", f.No), dataFileFault(f))
	}
	return a.leave(f)
}

// leave ends backup mode of a file. In a database that is not open only the header changes: it is as of the last checkpoint again.
func (i *Instance) leave(f *dataFile) error {
	if i.state != Open {
		f.Begin, f.BeginAt = 0, time.Time{}
		if err := writeHeader(f.Name, i.headerOf(i.ctl, f, blocks.Online)); err != nil {
			return cannotIdentify(f)
		}
		return i.saveControl()
	}
	i.scn++
	if err := i.log(1, change{SCN: i.scn, At: i.config.Now().UnixNano(), Kind: ended, File: f.No, Begin: f.Begin}); err != nil {
		return err
	}
	if err := i.flush(); err != nil {
		return err
	}
	f.Begin, f.BeginAt = 0, time.Time{}
	delete(i.imaged, f.No)
	if err := i.writeFile(f, blocks.Online); err != nil {
		return err
	}
	if err := i.touch(f); err != nil {
		return err
	}
	return i.saveControl()
}

// setReadOnly makes a tablespace read-only, or writable again.
func (i *Instance) setReadOnly(t *tablespace, on bool) error {
	for _, f := range i.ctl.filesOf(t.No) {
		if f.Begin != 0 {
			return stack(fault(1150, "cannot prevent writes - file %d has online backup set", f.No), dataFileFault(f))
		}
	}
	t.Status = "ONLINE"
	for _, f := range i.ctl.filesOf(t.No) {
		if !on {
			f.Enabled = "READ WRITE"
			if err := i.reopen(f); err != nil {
				return err
			}
			continue
		}
		if err := i.close(f); err != nil {
			return err
		}
		f.Enabled = "READ ONLY"
	}
	if on {
		t.Status = "READ ONLY"
	}
	return i.saveControl()
}

// reopen begins to write to a file again.
func (i *Instance) reopen(f *dataFile) error {
	i.scn++
	if err := i.writeFile(f, blocks.Online); err != nil {
		return err
	}
	return i.touch(f)
}

// mayGoOffline says why a tablespace may not.
func (i *Instance) mayGoOffline(t *tablespace) error {
	switch {
	case t.Contents == "TEMPORARY":
		return fault(3217, "invalid option for alter of TEMPORARY TABLESPACE")
	case t.Name == "SYSTEM":
		return fault(1541, "system tablespace cannot be brought offline; shut down if necessary")
	case t.Contents == "UNDO":
		return fault(30042, "Cannot offline the undo tablespace")
	case t.Status == "OFFLINE":
		return fault(1539, "tablespace '%s' is not online", t.Name)
	}
	for _, f := range i.ctl.filesOf(t.No) {
		if f.Begin != 0 {
			return stack(fault(1150, "cannot prevent writes - file %d has online backup set", f.No), dataFileFault(f))
		}
	}
	return nil
}

// setOfflineNow is OFFLINE IMMEDIATE: nothing is written, so what the files lack is in redo, and media recovery must bring it [SQL].
func (i *Instance) setOfflineNow(t *tablespace) error {
	if err := i.mayGoOffline(t); err != nil {
		return err
	}
	if i.ctl.LogMode != "ARCHIVELOG" {
		return fault(1145, "offline immediate disallowed unless media recovery enabled")
	}
	t.Status = "OFFLINE"
	for _, f := range i.ctl.filesOf(t.No) {
		for _, no := range sortedBlocks(i.inflight[f.No]) {
			_ = i.writeBlock(f, no, false) // a file that is gone is gone
		}
		needs := f.writable() || f.Status == "RECOVER"
		f.Status = "OFFLINE"
		if needs {
			f.Status = "RECOVER"
		}
		delete(i.cache, f.No)
		delete(i.dirty, f.No)
		delete(i.inflight, f.No)
		delete(i.imaged, f.No)
	}
	return i.saveControl()
}

func (i *Instance) setOffline(t *tablespace) error {
	if err := i.mayGoOffline(t); err != nil {
		return err
	}
	for _, f := range i.ctl.filesOf(t.No) {
		if !f.online() {
			return stack(fault(1191, "file %d is already offline - cannot do a normal offline", f.No), dataFileFault(f))
		}
	}
	t.Status = "OFFLINE"
	for _, f := range i.ctl.filesOf(t.No) {
		if f.writable() {
			if err := i.close(f); err != nil {
				return err
			}
		}
		f.Status = "OFFLINE"
		delete(i.cache, f.No)
	}
	return i.saveControl()
}

func (i *Instance) setOnline(t *tablespace) error {
	for _, f := range i.ctl.filesOf(t.No) {
		h, err := i.header(f)
		if err != nil {
			return err
		}
		if f.Status == "RECOVER" || h.Status != 0 || h.CheckpointSCN < f.Checkpoint || h.ResetlogsSCN != i.ctl.incarnation().SCN && f.Enabled == "READ WRITE" {
			return stack(fault(1113, "file %d needs media recovery", f.No), dataFileFault(f))
		}
	}
	t.Status = "ONLINE"
	for _, f := range i.ctl.filesOf(t.No) {
		f.Status = "ONLINE"
		if f.Enabled == "READ ONLY" {
			t.Status = "READ ONLY"
		}
		if f.Enabled == "READ WRITE" {
			if err := i.reopen(f); err != nil {
				return err
			}
		}
	}
	return i.saveControl()
}
