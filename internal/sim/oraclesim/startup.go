package oraclesim

import (
	"errors"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// Startup starts the instance as STARTUP does: to NOMOUNT (Started), Mounted or Open.
func (i *Instance) Startup(to State) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.startup(to, "")
}

func (i *Instance) startup(to State, pfile string) error {
	if i.state != Down {
		return fault(1081, "cannot start already-running ORACLE - shut it down first")
	}
	if err := i.start(pfile); err != nil {
		return err
	}
	if to == Mounted || to == Open {
		if err := i.mount(); err != nil {
			return err
		}
	}
	if to == Open {
		return i.open(false, false)
	}
	return nil
}

// start is NOMOUNT.
func (i *Instance) start(pfile string) error {
	from, server := pfile, false
	if pfile == "" {
		from, server = i.spfilePath(), true
		if _, err := os.Stat(from); err != nil {
			from, server = i.pfilePath(), false
		}
	}
	p, err := readParameters(from)
	if err != nil {
		return err
	}
	if p["db_name"] == "" || p["control_files"] == "" {
		return stack(fault(1078, "failure in processing system parameters"), fault(1506, "missing or illegal database name"))
	}
	def2(p, "log_archive_format", "%t_%s_%r.dbf")
	i.params, i.state, i.spfile = p, Started, ""
	if server {
		i.spfile = from
	}
	return nil
}

func def2(p parameters, name, value string) {
	if p[name] == "" {
		p[name] = value
	}
}

// mount reads the control files, which must all be there and the same.
func (i *Instance) mount() error {
	switch i.state {
	case Down:
		return fault(1034, "ORACLE not available")
	case Mounted, Open:
		return fault(1100, "database already mounted")
	}
	var c *control
	for _, path := range i.params.list("control_files") {
		next, err := readControl(path)
		if err != nil {
			return stack(fault(205, "error in identifying control file, check alert log for more info"), fault(202, "control file: '%s'", path))
		}
		if c != nil && (c.DBID != next.DBID || c.Version != next.Version) {
			return stack(fault(214, "control file '%s' version %d inconsistent with file '%s' version %d", path, next.Version, i.params.list("control_files")[0], c.Version))
		}
		c = next
	}
	if c.Name != upper(i.params.get("db_name")) {
		return fault(1103, "database name '%s' in control file is not '%s'", c.Name, i.params.get("db_name"))
	}
	if err := i.host.claim(i); err != nil {
		return err
	}
	i.ctl, i.state, i.scn = c, Mounted, max(i.scn, c.SCN)
	i.forget()
	for _, g := range c.Groups {
		if used, err := readOnline(g.Members[0], g.Sequence); err == nil {
			g.used = used
		}
	}
	return nil
}

// open is ALTER DATABASE OPEN.
func (i *Instance) open(resetlogs, readOnly bool) error {
	switch {
	case i.state == Down:
		return fault(1034, "ORACLE not available")
	case i.state == Started:
		return fault(1507, "database not mounted")
	case i.state == Open:
		return fault(1531, "a database already open by the instance")
	case i.recovery != nil:
		return fault(1156, "recovery or flashback in progress may need access to files")
	case resetlogs && i.ctl.OpenResetlogs == "NOT ALLOWED":
		return fault(1139, "RESETLOGS option only valid after an incomplete database recovery")
	}
	headers, err := i.headers()
	if err != nil {
		return err
	}
	if resetlogs {
		if err := i.resetlogs(headers); err != nil {
			return err
		}
	} else if err := i.openNormal(headers, readOnly); err != nil {
		return err
	}
	i.state, i.readOnly = Open, readOnly || i.ctl.Role == "PHYSICAL STANDBY"
	i.recreateTemps()
	if i.readOnly {
		return nil
	}
	if err := i.writeBeside(); err != nil {
		return err
	}
	i.ctl.Clean = false
	for _, t := range i.ctl.Threads {
		t.Open = true
	}
	if err := i.archivePending(""); err != nil && code(err) != 16038 {
		return err
	}
	if err := i.checkpoint(); err != nil {
		return err
	}
	return i.settle()
}

// headers reads those of the files that must be there to open.
func (i *Instance) headers() (map[int]header, error) {
	all := map[int]header{}
	for _, f := range i.ctl.Files {
		if !f.online() {
			continue
		}
		h, err := i.header(f)
		if err != nil {
			return nil, err
		}
		all[f.No] = h
	}
	return all, nil
}

// header reads that of one file and checks that it is the file.
func (i *Instance) header(f *dataFile) (header, error) {
	h, err := readHeader(f.Name, f.BlockSize)
	if err != nil {
		return h, cannotIdentify(f)
	}
	if h.DBID != i.ctl.DBID || int(h.File) != f.No || h.CreationSCN != f.Created {
		return h, stack(fault(1122, "database file %d failed verification check", f.No), dataFileFault(f), fault(1251, "Unknown File Header Version read for file number %d", f.No))
	}
	return h, nil
}

// openNormal opens what was closed in order, or crashed.
func (i *Instance) openNormal(headers map[int]header, readOnly bool) error {
	if i.ctl.Type != "CURRENT" && i.ctl.Role == "PRIMARY" {
		return fault(1589, "must use RESETLOGS or NORESETLOGS option for database open")
	}
	if i.ctl.OpenResetlogs == "REQUIRED" {
		return fault(1589, "must use RESETLOGS or NORESETLOGS option for database open")
	}
	for _, f := range i.ctl.Files {
		h, ok := headers[f.No]
		if !ok {
			continue
		}
		switch {
		case h.ResetlogsSCN != i.ctl.incarnation().SCN && f.Enabled == "READ WRITE":
			return stack(fault(1190, "control file or data file %d is from before the last RESETLOGS", f.No), dataFileFault(f))
		case h.Status&blocks.InBackup != 0 && f.Begin != 0 && h.BackupSCN == f.Begin:
			return stack(fault(10873, "file %d needs to be either taken out of backup mode or media recovered", f.No), dataFileFault(f))
		case h.CheckpointSCN < f.Checkpoint || h.absoluteFuzzy != 0 || f.Status == "RECOVER":
			return stack(fault(1113, "file %d needs media recovery", f.No), dataFileFault(f))
		case h.CheckpointSCN > f.Checkpoint:
			return stack(fault(1122, "database file %d failed verification check", f.No), dataFileFault(f), fault(1207, "file is more recent than control file - old control file"))
		}
	}
	if i.ctl.Clean || i.ctl.Role == "PHYSICAL STANDBY" {
		return nil
	}
	if readOnly {
		return fault(16005, "database requires recovery")
	}
	return i.crashRecovery()
}

// crashRecovery applies the online logs.
func (i *Instance) crashRecovery() error {
	var todo []*dataFile
	for _, f := range i.ctl.Files {
		if f.writable() {
			todo = append(todo, f)
		}
	}
	r, err := i.newRecovery(todo)
	if err != nil {
		return err
	}
	for _, g := range i.ctl.Groups {
		if g.Status == "UNUSED" || g.Status == "INACTIVE" {
			continue
		}
		l, err := readRedo(g.Members[0])
		if err != nil {
			return stack(fault(313, "open failed for members of log group %d of thread %d", g.No, g.Thread), fault(312, "online log %d thread %d: '%s'", g.No, g.Thread, g.Members[0]))
		}
		r.pending = append(r.pending, l.changes...)
	}
	if err := i.apply(r, noSCN); err != nil {
		return err
	}
	return i.finishFiles(r, true)
}

// resetlogs begins a new incarnation after a recovery.
func (i *Instance) resetlogs(headers map[int]header) error {
	reached := i.ctl.RecoveredTo
	for _, f := range i.ctl.Files {
		if h, ok := headers[f.No]; ok {
			reached = max(reached, h.CheckpointSCN)
		}
	}
	for _, f := range i.ctl.Files {
		h, ok := headers[f.No]
		if !ok || f.Enabled == "READ ONLY" && h.Status == 0 {
			continue
		}
		if err := i.inconsistent(f, h, reached); err != nil {
			return err
		}
	}
	return i.newIncarnation(headers, reached)
}

// inconsistent says why a file cannot be opened as of an SCN.
func (i *Instance) inconsistent(f *dataFile, h header, reached uint64) error {
	switch {
	case h.ResetlogsSCN != i.ctl.incarnation().SCN:
		return stack(fault(1190, "control file or data file %d is from before the last RESETLOGS", f.No), dataFileFault(f))
	case h.Status&blocks.InBackup != 0:
		return stack(fault(1195, "online backup of file %d needs more recovery to be consistent", f.No), dataFileFault(f))
	case h.Status&blocks.Online != 0 || h.absoluteFuzzy != 0:
		return stack(fault(1194, "file %d needs more recovery to be consistent", f.No), dataFileFault(f))
	case i.ctl.RecoveredTo != 0 && h.CheckpointSCN > i.ctl.RecoveredTo:
		return stack(fault(1152, "file %d was not restored from a sufficiently old backup", f.No), dataFileFault(f))
	case h.CheckpointSCN < reached:
		return stack(fault(1113, "file %d needs media recovery", f.No), dataFileFault(f))
	}
	return nil
}

// newIncarnation makes new logs and writes its number everywhere.
func (i *Instance) newIncarnation(headers map[int]header, reached uint64) error {
	now := i.config.Now()
	i.scn = max(reached, i.ctl.SCN*b2u(i.ctl.Type == "CURRENT")) + 1
	old := i.ctl.incarnation()
	old.Status = "PARENT"
	i.ctl.Incarnations = append(i.ctl.Incarnations, incarnation{
		No: len(i.ctl.Incarnations) + 1, SCN: i.scn, Prior: old.SCN, At: now, ResetlogsID: old.ResetlogsID + 1 + uint32(now.Unix()%1_000_000), Status: "CURRENT", PriorNo: old.No,
	})
	i.ctl.Type, i.ctl.OpenResetlogs, i.ctl.RecoveredTo = "CURRENT", "NOT ALLOWED", 0
	for n, g := range i.ctl.Groups {
		*g = logGroup{No: g.No, Thread: g.Thread, Members: g.Members, Next: noSCN, Status: "UNUSED"}
		if n == slices.IndexFunc(i.ctl.Groups, func(o *logGroup) bool { return o.Thread == g.Thread }) {
			g.Status, g.Sequence, g.First, g.FirstAt = "CURRENT", 1, i.scn, now
			if err := i.log(g.Thread, change{SCN: i.scn, At: now.UnixNano(), Kind: nothing}); err != nil {
				return err
			}
			if err := i.writeLog(g); err != nil {
				return stack(fault(344, "unable to re-create online log '%s'", g.Members[0]), fault(27040, "file create error, unable to create file"))
			}
		}
	}
	for _, t := range i.ctl.Threads {
		t.Sequence = 1
	}
	for _, f := range i.ctl.Files {
		if _, ok := headers[f.No]; !ok || f.Enabled == "READ ONLY" {
			continue
		}
		f.Begin, f.BeginAt, f.Checkpoint, f.CheckpointAt = 0, time.Time{}, i.scn, now
		if err := writeHeader(f.Name, i.headerOf(i.ctl, f, blocks.Online)); err != nil {
			return cannotIdentify(f)
		}
	}
	i.forget()
	return i.saveControl()
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}

// recreateTemps makes the temp files that are missing, as the server does when their folder is there.
func (i *Instance) recreateTemps() {
	for _, t := range i.ctl.Temps {
		if _, err := os.Stat(t.Name); errors.Is(err, os.ErrNotExist) {
			_ = os.WriteFile(t.Name, make([]byte, (t.Blocks+1)*i.config.BlockSizeBytes), 0o640) // a folder that is missing costs the temp file only
		}
	}
}

// Shutdown closes the instance as SHUTDOWN IMMEDIATE does, or ABORT.
func (i *Instance) Shutdown(abort bool) error {
	i.mu.Lock()
	defer i.mu.Unlock()
	if abort {
		i.crash()
		return nil
	}
	return i.shutdown()
}

func (i *Instance) shutdown() error {
	switch {
	case i.state == Down:
		return fault(1034, "ORACLE not available")
	case i.state == Open && !i.readOnly:
		for _, f := range i.ctl.Files {
			if f.Begin != 0 {
				return stack(fault(1149, "cannot shutdown - file %d has online backup set", f.No), dataFileFault(f))
			}
		}
		if err := i.flush(); err != nil {
			return err
		}
		for _, f := range i.ctl.Files {
			if f.writable() {
				if err := i.close(f); err != nil {
					return err
				}
			}
		}
		i.ctl.Clean, i.ctl.SCN = true, i.scn
		if err := i.saveControl(); err != nil {
			return err
		}
	}
	i.disconnectAll()
	i.epoch++
	i.idle()
	return nil
}

// close writes all of a file and says so in redo.
func (i *Instance) close(f *dataFile) error {
	i.scn++
	if err := i.log(1, change{SCN: i.scn, At: i.config.Now().UnixNano(), Kind: cleaned, File: f.No}); err != nil {
		return err
	}
	if err := i.flush(); err != nil {
		return err
	}
	return i.writeFile(f, blocks.Closed)
}

// Crash ends the instance on the spot, as SHUTDOWN ABORT or a dead process do. The operating system finishes the writes that were under way.
func (i *Instance) Crash() {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.crash()
}

func (i *Instance) crash() {
	if i.state == Open && !i.readOnly {
		for _, f := range i.ctl.Files {
			for _, no := range sortedBlocks(i.inflight[f.No]) {
				_ = i.writeBlock(f, no, false) // a file that is gone is gone
			}
		}
	}
	i.disconnectAll()
	i.epoch++
	i.idle()
}

func upper(s string) string { return strings.ToUpper(s) }
