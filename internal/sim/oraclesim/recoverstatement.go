package oraclesim

import (
	"strconv"
	"time"
)

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
		for again := true; again; again = a.r.take(",") {
			name, _ := a.r.name()
			t := a.ctl.tablespaceNamed(name, a.session.conID)
			if t == nil {
				return nil, nil, fault(959, "tablespace '%s' does not exist", name)
			}
			files = append(files, a.ctl.filesOf(t.No)...)
		}
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
	case !asked.database && (asked.incomplete() || asked.backupControl):
		return fault(274, "illegal recovery option UNTIL") // the grammar has it for databases only
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
	if !asked.database && !a.behind(r) {
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
