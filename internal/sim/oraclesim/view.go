package oraclesim

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/oraclesim/blocks"
)

// needs is how far an instance has to be started for a view.
type needs int

const (
	needsStart needs = iota
	needsMount
	needsOpen
)

// view is a table that can be asked, its columns in order.
type view struct {
	needs   needs
	columns string
	rows    func(a *act) []row
}

// view returns the columns and rows of a view, as the session sees them.
func (a *act) view(name string) ([]string, []row, error) {
	v, ok := a.views(name)
	if !ok {
		return nil, nil, fault(942, "table or view does not exist (oraclesim does not know %s)", name)
	}
	switch {
	case !a.session.may(selectDictionary) && name != "DUAL" && name != "SESSION_PRIVS" && name != "ALL_DIRECTORIES":
		return nil, nil, fault(942, "table or view does not exist")
	case v.needs == needsMount && a.state == Started:
		return nil, nil, fault(1507, "database not mounted")
	case v.needs == needsOpen && a.state != Open:
		return nil, nil, fault(1219, "database or pluggable database not open: queries allowed on fixed tables or views only")
	}
	columns := strings.Fields(v.columns)
	if !a.since(12, 1) {
		columns = slices.DeleteFunc(columns, func(c string) bool { return c == "CDB" || c == "CON_ID" })
	}
	if !a.since(18, 0) {
		columns = slices.DeleteFunc(columns, func(c string) bool { return c == "VERSION_FULL" })
	}
	var rows []row
	for _, r := range v.rows(a) {
		if id, ok := r["CON_ID"].(num); ok && !a.seesContainer(int(id)) {
			continue
		}
		kept := row{}
		for _, c := range columns {
			kept[c] = r[c]
		}
		rows = append(rows, kept)
	}
	return columns, rows, nil
}

// since reports whether the version is at least that.
func (i *Instance) since(major, minor int) bool {
	parts := strings.Split(i.config.Version+".0", ".")
	m, _ := strconv.Atoi(parts[0])
	n, _ := strconv.Atoi(parts[1])
	return m > major || m == major && n >= minor
}

func (a *act) views(name string) (view, bool) {
	for _, group := range []func(*act, string) (view, bool){(*act).instanceView, (*act).fileView, (*act).logView, (*act).dictionaryView, (*act).backupView, (*act).besideView} {
		if v, ok := group(a, name); ok {
			return v, true
		}
	}
	return view{}, false
}

func (a *act) instanceView(name string) (view, bool) {
	switch name {
	case "DUAL":
		return view{needsStart, "DUMMY", func(*act) []row { return []row{{"DUMMY": "X"}} }}, true
	case "V$DATABASE":
		return view{needsMount, `DBID NAME CREATED RESETLOGS_CHANGE# RESETLOGS_TIME PRIOR_RESETLOGS_CHANGE# LOG_MODE CHECKPOINT_CHANGE# ARCHIVE_CHANGE# CONTROLFILE_TYPE CONTROLFILE_CHANGE#
			OPEN_RESETLOGS OPEN_MODE DATABASE_ROLE ARCHIVELOG_CHANGE# PLATFORM_NAME DB_UNIQUE_NAME CURRENT_SCN FLASHBACK_ON FORCE_LOGGING CDB CON_ID`, (*act).databaseRow}, true
	case "V$INSTANCE":
		return view{needsStart, "INSTANCE_NUMBER INSTANCE_NAME HOST_NAME VERSION VERSION_FULL STARTUP_TIME STATUS PARALLEL THREAD# ARCHIVER LOGINS DATABASE_STATUS CON_ID", (*act).instanceRow}, true
	case "V$DATABASE_INCARNATION":
		return view{needsMount, "INCARNATION# RESETLOGS_CHANGE# RESETLOGS_TIME PRIOR_RESETLOGS_CHANGE# STATUS RESETLOGS_ID PRIOR_INCARNATION# CON_ID", (*act).incarnationRows}, true
	case "V$PARAMETER", "V$SPPARAMETER":
		return view{needsStart, "NAME VALUE DISPLAY_VALUE ISDEFAULT ISSPECIFIED SID CON_ID", (*act).parameterRows}, true
	case "V$DIAG_INFO":
		return view{needsStart, "INST_ID NAME VALUE CON_ID", func(a *act) []row {
			return []row{{"INST_ID": num(1), "NAME": "Diag Trace", "VALUE": a.config.Dir + "/diag", "CON_ID": num(0)}}
		}}, true
	case "V$PASSWORDFILE_INFO":
		return view{needsStart, "FILE_NAME FORMAT IS_ASM CON_ID", func(a *act) []row {
			if _, err := os.Stat(a.PasswordFile()); err != nil {
				return nil
			}
			return []row{{"FILE_NAME": a.PasswordFile(), "FORMAT": "12.2", "IS_ASM": "FALSE", "CON_ID": num(0)}}
		}}, a.since(12, 2)
	case "V$ENCRYPTION_WALLET":
		return view{needsStart, "WRL_TYPE WRL_PARAMETER STATUS CON_ID", func(*act) []row {
			return []row{{"WRL_TYPE": "FILE", "STATUS": "NOT_AVAILABLE", "CON_ID": num(0)}}
		}}, true
	case "V$PDBS":
		return view{needsMount, "CON_ID NAME OPEN_MODE", func(a *act) (all []row) {
			for _, p := range a.ctl.PDBs {
				mode := p.Mode
				if a.state != Open {
					mode = "MOUNTED"
				}
				all = append(all, row{"CON_ID": num(p.ConID), "NAME": p.Name, "OPEN_MODE": mode})
			}
			return all
		}}, a.since(12, 1)
	}
	return view{}, false
}

func (a *act) databaseRow() []row {
	c, inc := a.ctl, a.ctl.incarnation()
	mode, cdb := "MOUNTED", "NO"
	if a.state == Open {
		mode = "READ WRITE"
		if a.readOnly {
			mode = "READ ONLY"
		}
		if !a.readOnly {
			a.scn++ // asking for CURRENT_SCN makes a new one
		}
	}
	if c.CDB {
		cdb = "YES"
	}
	return []row{{
		"DBID": num(c.DBID), "NAME": c.Name, "CREATED": c.Incarnations[0].At, "RESETLOGS_CHANGE#": num(inc.SCN), "RESETLOGS_TIME": inc.At, "PRIOR_RESETLOGS_CHANGE#": num(inc.Prior),
		"LOG_MODE": c.LogMode, "CHECKPOINT_CHANGE#": num(c.SCN), "ARCHIVE_CHANGE#": num(c.ArchivedChange), "CONTROLFILE_TYPE": c.Type, "CONTROLFILE_CHANGE#": num(c.SCN),
		"OPEN_RESETLOGS": c.OpenResetlogs, "OPEN_MODE": mode, "DATABASE_ROLE": c.Role, "ARCHIVELOG_CHANGE#": num(c.ArchivedChange), "PLATFORM_NAME": "Linux x86 64-bit",
		"DB_UNIQUE_NAME": a.uniqueName(), "CURRENT_SCN": num(a.scn * b2u(a.state == Open)), "FLASHBACK_ON": yes(c.Flashback != ""), "FORCE_LOGGING": "NO", "CDB": cdb, "CON_ID": num(0),
	}}
}

func (a *act) instanceRow() []row {
	status, archiver := string(a.state), "STARTED"
	if a.ctl != nil && a.ctl.LogMode != "ARCHIVELOG" {
		archiver = "STOPPED"
	}
	if a.ctl != nil && a.archiverStuck() {
		archiver = "FAILED"
	}
	version := a.config.Version
	if a.since(18, 0) {
		version, _, _ = strings.Cut(version, ".")
		version += ".0.0.0.0"
	}
	parallel := "NO"
	if a.config.Threads > 1 {
		parallel = "YES"
	}
	return []row{{
		"INSTANCE_NUMBER": num(1), "INSTANCE_NAME": a.config.SID, "HOST_NAME": "oraclesim", "VERSION": version, "VERSION_FULL": a.config.Version, "STATUS": status, "PARALLEL": parallel,
		"THREAD#": num(1), "ARCHIVER": archiver, "LOGINS": "ALLOWED", "DATABASE_STATUS": "ACTIVE", "CON_ID": num(0),
	}}
}

func (a *act) incarnationRows() (all []row) {
	for _, n := range a.ctl.Incarnations {
		all = append(all, row{"INCARNATION#": num(n.No), "RESETLOGS_CHANGE#": num(n.SCN), "RESETLOGS_TIME": n.At, "PRIOR_RESETLOGS_CHANGE#": num(n.Prior), "STATUS": n.Status,
			"RESETLOGS_ID": num(n.ResetlogsID), "PRIOR_INCARNATION#": num(n.PriorNo), "CON_ID": num(0)})
	}
	return all
}

func (a *act) parameterRows() (all []row) {
	p := maps.Clone(a.params)
	def2(p, "spfile", a.spfile)
	def2(p, "session_max_open_files", fmt.Sprint(a.config.SessionMaxOpenFiles))
	def2(p, "processes", "300")
	for _, name := range slices.Sorted(maps.Keys(p)) {
		value := strings.ReplaceAll(p[name], "'", "")
		_, given := a.params[name]
		all = append(all, row{"NAME": name, "VALUE": value, "DISPLAY_VALUE": value, "ISDEFAULT": strings.ToUpper(strconv.FormatBool(!given)), "ISSPECIFIED": strings.ToUpper(strconv.FormatBool(given)),
			"SID": "*", "CON_ID": num(0)})
	}
	return all
}

func (a *act) fileView(name string) (view, bool) {
	switch name {
	case "V$DATAFILE":
		return view{needsMount, `FILE# CREATION_CHANGE# CREATION_TIME TS# RFILE# STATUS ENABLED CHECKPOINT_CHANGE# CHECKPOINT_TIME UNRECOVERABLE_CHANGE# LAST_CHANGE# BYTES BLOCKS CREATE_BYTES
			BLOCK_SIZE NAME BLOCK1_OFFSET CON_ID`, (*act).datafileRows}, true
	case "V$DATAFILE_HEADER":
		return view{needsMount, `FILE# STATUS ERROR RECOVER FUZZY CREATION_CHANGE# TABLESPACE_NAME TS# RFILE# RESETLOGS_CHANGE# CHECKPOINT_CHANGE# CHECKPOINT_TIME BYTES BLOCKS NAME CON_ID`, (*act).headerRows}, true
	case "V$BACKUP":
		return view{needsMount, "FILE# STATUS CHANGE# TIME CON_ID", (*act).backupRows}, true
	case "V$TABLESPACE":
		return view{needsMount, "TS# NAME BIGFILE CON_ID", func(a *act) (all []row) {
			for _, t := range a.ctl.Tablespaces {
				all = append(all, row{"TS#": num(t.No), "NAME": t.Name, "BIGFILE": yes(t.Bigfile), "CON_ID": num(t.ConID)})
			}
			return all
		}}, true
	case "V$TEMPFILE":
		return view{needsMount, "FILE# TS# RFILE# STATUS ENABLED BYTES BLOCKS CREATE_BYTES BLOCK_SIZE NAME CON_ID", func(a *act) (all []row) {
			size := a.config.BlockSizeBytes
			for _, t := range a.ctl.Temps {
				all = append(all, row{"FILE#": num(t.No), "TS#": num(t.TS), "RFILE#": num(t.No), "STATUS": "ONLINE", "ENABLED": "READ WRITE", "BYTES": num(t.Blocks * size), "BLOCKS": num(t.Blocks),
					"CREATE_BYTES": num(t.Blocks * size), "BLOCK_SIZE": num(size), "NAME": t.Name, "CON_ID": num(t.ConID)})
			}
			return all
		}}, true
	case "V$CONTROLFILE":
		return view{needsMount, "STATUS NAME BLOCK_SIZE FILE_SIZE_BLKS CON_ID", func(a *act) (all []row) {
			for _, path := range a.params.list("control_files") {
				all = append(all, row{"NAME": path, "BLOCK_SIZE": num(16384), "CON_ID": num(0)})
			}
			return all
		}}, true
	case "V$CONTROLFILE_RECORD_SECTION":
		return view{needsMount, "TYPE RECORD_SIZE RECORDS_TOTAL RECORDS_USED FIRST_INDEX LAST_INDEX LAST_RECID CON_ID", func(a *act) []row {
			used := len(a.ctl.Files) + a.config.Dropped
			return []row{{"TYPE": "DATAFILE", "RECORD_SIZE": num(520), "RECORDS_TOTAL": num(1024), "RECORDS_USED": num(used), "FIRST_INDEX": num(0), "LAST_INDEX": num(0), "LAST_RECID": num(used), "CON_ID": num(0)}}
		}}, true
	case "V$RECOVER_FILE":
		return view{needsMount, "FILE# ONLINE ONLINE_STATUS ERROR CHANGE# TIME CON_ID", (*act).recoverRows}, true
	}
	return view{}, false
}

func yes(b bool) string {
	if b {
		return "YES"
	}
	return "NO"
}

func (a *act) datafileRows() (all []row) {
	for _, f := range a.ctl.Files {
		size := f.Blocks * f.BlockSize
		if _, err := os.Stat(f.Name); err != nil {
			size = 0
		}
		all = append(all, row{
			"FILE#": num(f.No), "CREATION_CHANGE#": num(f.Created), "CREATION_TIME": f.CreatedAt, "TS#": num(f.TS), "RFILE#": num(f.RFile), "STATUS": f.Status, "ENABLED": f.Enabled,
			"CHECKPOINT_CHANGE#": num(f.Checkpoint), "CHECKPOINT_TIME": f.CheckpointAt, "UNRECOVERABLE_CHANGE#": num(0), "BYTES": num(size), "BLOCKS": num(size / f.BlockSize),
			"CREATE_BYTES": num(f.Blocks * f.BlockSize), "BLOCK_SIZE": num(f.BlockSize), "NAME": a.shown(f.Name), "BLOCK1_OFFSET": num(f.BlockSize), "CON_ID": num(f.ConID),
		})
	}
	return all
}

// shown is a data file or log as views name it.
func (i *Instance) shown(path string) string {
	if !i.config.ASM {
		return path
	}
	return "+DATA/" + i.ctl.Name + "/" + filepath.Base(path) + ".256.1"
}

func (a *act) headerRows() (all []row) {
	for _, f := range a.ctl.Files {
		r := row{"FILE#": num(f.No), "STATUS": "ONLINE", "NAME": a.shown(f.Name), "CON_ID": num(f.ConID)}
		if !f.online() {
			r["STATUS"] = "OFFLINE"
		}
		h, err := readHeader(f.Name, f.BlockSize)
		if err != nil {
			r["ERROR"] = "FILE NOT FOUND"
			all = append(all, r)
			continue
		}
		r["RECOVER"] = yes(a.state == Mounted && (h.CheckpointSCN < f.Checkpoint || h.Status&blocks.InBackup != 0))
		r["FUZZY"] = yes(h.Status != 0 || h.absoluteFuzzy != 0)
		r["TABLESPACE_NAME"], r["TS#"], r["RFILE#"] = h.TablespaceName, num(h.Tablespace), num(h.RelativeFile)
		r["CREATION_CHANGE#"], r["RESETLOGS_CHANGE#"], r["CHECKPOINT_CHANGE#"] = num(h.CreationSCN), num(h.ResetlogsSCN), num(h.CheckpointSCN)
		r["CHECKPOINT_TIME"], r["BYTES"], r["BLOCKS"] = a.local(h.CheckpointTime), num(int(h.Blocks)*f.BlockSize), num(h.Blocks)
		all = append(all, r)
	}
	return all
}

// local is a time of a header, in the zone of the server.
func (i *Instance) local(t time.Time) value {
	if t.IsZero() {
		return nil
	}
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), 0, i.config.Now().Location())
}

func (a *act) backupRows() (all []row) {
	for _, f := range a.ctl.Files {
		r := row{"FILE#": num(f.No), "STATUS": "NOT ACTIVE", "CHANGE#": num(f.Begin), "CON_ID": num(f.ConID)}
		switch {
		case f.Begin != 0:
			r["STATUS"], r["TIME"] = "ACTIVE", f.BeginAt.Truncate(time.Second)
		case !f.online():
			r["STATUS"] = "OFFLINE NORMAL"
		}
		all = append(all, r)
	}
	return all
}

func (a *act) recoverRows() (all []row) {
	for _, f := range a.ctl.Files {
		r := row{"FILE#": num(f.No), "ONLINE": f.Status, "ONLINE_STATUS": "ONLINE", "CON_ID": num(f.ConID)}
		if !f.online() {
			r["ONLINE_STATUS"] = "OFFLINE"
		}
		h, err := readHeader(f.Name, f.BlockSize)
		switch {
		case err != nil:
			r["ERROR"] = "FILE NOT FOUND"
		case h.CheckpointSCN < f.Checkpoint || f.Status == "RECOVER":
			r["CHANGE#"], r["TIME"] = num(h.CheckpointSCN), a.local(h.CheckpointTime)
		case f.Status == "OFFLINE":
			r["ERROR"] = "OFFLINE NORMAL"
		default:
			continue
		}
		all = append(all, r)
	}
	return all
}

func (a *act) logView(name string) (view, bool) {
	switch name {
	case "V$LOG":
		return view{needsMount, "GROUP# THREAD# SEQUENCE# BYTES BLOCKSIZE MEMBERS ARCHIVED STATUS FIRST_CHANGE# FIRST_TIME NEXT_CHANGE# NEXT_TIME CON_ID", (*act).logRows}, true
	case "V$LOGFILE":
		return view{needsMount, "GROUP# STATUS TYPE MEMBER IS_RECOVERY_DEST_FILE CON_ID", func(a *act) (all []row) {
			for _, g := range a.ctl.Groups {
				for _, m := range g.Members {
					all = append(all, row{"GROUP#": num(g.No), "TYPE": "ONLINE", "MEMBER": m, "IS_RECOVERY_DEST_FILE": "NO", "CON_ID": num(0)})
				}
			}
			return all
		}}, true
	case "V$THREAD":
		return view{needsMount, "THREAD# STATUS ENABLED GROUPS INSTANCE SEQUENCE# CHECKPOINT_CHANGE# CON_ID", func(a *act) (all []row) {
			for _, t := range a.ctl.Threads {
				status := "CLOSED"
				if t.Open && a.state == Open {
					status = "OPEN"
				}
				instance := a.config.SID
				if a.config.Threads > 1 {
					instance += fmt.Sprint(t.No)
				}
				all = append(all, row{"THREAD#": num(t.No), "STATUS": status, "ENABLED": t.Enabled, "GROUPS": num(3), "INSTANCE": instance, "SEQUENCE#": num(t.Sequence),
					"CHECKPOINT_CHANGE#": num(a.ctl.SCN), "CON_ID": num(0)})
			}
			return all
		}}, true
	case "V$ARCHIVED_LOG":
		return view{needsMount, `RECID STAMP NAME DEST_ID THREAD# SEQUENCE# RESETLOGS_CHANGE# RESETLOGS_TIME RESETLOGS_ID FIRST_CHANGE# FIRST_TIME NEXT_CHANGE# NEXT_TIME BLOCKS BLOCK_SIZE
			CREATOR REGISTRAR STANDBY_DEST ARCHIVED APPLIED DELETED STATUS COMPLETION_TIME END_OF_REDO_TYPE BACKUP_COUNT IS_RECOVERY_DEST_FILE CON_ID`, (*act).archivedRows}, true
	case "V$ARCHIVE_DEST":
		return view{needsStart, "DEST_ID DEST_NAME STATUS BINDING TARGET ARCHIVER DESTINATION ERROR CON_ID", (*act).destRows}, true
	}
	return view{}, false
}

func (a *act) logRows() (all []row) {
	for _, g := range a.ctl.Groups {
		r := row{"GROUP#": num(g.No), "THREAD#": num(g.Thread), "SEQUENCE#": num(g.Sequence), "BYTES": num(a.config.LogBlocks * 512), "BLOCKSIZE": num(512), "MEMBERS": num(len(g.Members)),
			"ARCHIVED": yes(g.Archived), "STATUS": g.Status, "FIRST_CHANGE#": num(g.First), "NEXT_CHANGE#": num(g.Next), "CON_ID": num(0)}
		if !g.FirstAt.IsZero() {
			r["FIRST_TIME"] = g.FirstAt.Truncate(time.Second)
		}
		if !g.NextAt.IsZero() {
			r["NEXT_TIME"] = g.NextAt.Truncate(time.Second)
		}
		all = append(all, r)
	}
	return all
}

func (a *act) archivedRows() (all []row) {
	for _, l := range a.ctl.Archived {
		r := row{
			"RECID": num(l.Recid), "STAMP": num(blocks.Stamp(l.Done)), "NAME": a.shown(l.Name), "DEST_ID": num(l.Dest), "THREAD#": num(l.Thread), "SEQUENCE#": num(l.Sequence),
			"RESETLOGS_CHANGE#": num(l.ResetlogsSCN), "RESETLOGS_ID": num(l.ResetlogsID), "FIRST_CHANGE#": num(l.First), "FIRST_TIME": l.FirstAt.Truncate(time.Second), "NEXT_CHANGE#": num(l.Next),
			"NEXT_TIME": l.NextAt.Truncate(time.Second), "BLOCKS": num(l.Blocks), "BLOCK_SIZE": num(512), "CREATOR": l.Creator, "REGISTRAR": l.Creator, "STANDBY_DEST": yes(l.Standby),
			"ARCHIVED": "YES", "APPLIED": "NO", "DELETED": yes(l.Deleted), "STATUS": l.Status, "COMPLETION_TIME": l.Done.Truncate(time.Second), "BACKUP_COUNT": num(l.Backups),
			"IS_RECOVERY_DEST_FILE": yes(l.FRA), "CON_ID": num(0),
		}
		if l.Deleted {
			r["NAME"] = nil
		}
		for _, n := range a.ctl.Incarnations {
			if n.SCN == l.ResetlogsSCN {
				r["RESETLOGS_TIME"] = n.At.Truncate(time.Second)
			}
		}
		all = append(all, r)
	}
	return all
}

func (a *act) destRows() (all []row) {
	for n := 1; n <= 31; n++ {
		d := a.dest(n)
		r := row{"DEST_ID": num(n), "DEST_NAME": fmt.Sprintf("LOG_ARCHIVE_DEST_%d", n), "STATUS": d.State, "BINDING": "OPTIONAL", "TARGET": "PRIMARY", "ARCHIVER": "ARCH", "DESTINATION": d.Dir,
			"ERROR": d.Error, "CON_ID": num(0)}
		if d.FRA {
			r["DESTINATION"] = recoveryDest
		}
		if d.Error != "" && d.State == "VALID" {
			r["STATUS"] = "ERROR"
		}
		all = append(all, r)
	}
	return all
}

func (a *act) dictionaryView(name string) (view, bool) {
	switch name {
	case "DBA_TABLESPACES":
		return view{needsOpen, "TABLESPACE_NAME BLOCK_SIZE STATUS CONTENTS BIGFILE", func(a *act) (all []row) {
			for _, t := range a.ctl.Tablespaces {
				if t.ConID == a.session.conID {
					all = append(all, row{"TABLESPACE_NAME": t.Name, "BLOCK_SIZE": num(a.config.BlockSizeBytes), "STATUS": t.Status, "CONTENTS": t.Contents, "BIGFILE": yes(t.Bigfile)})
				}
			}
			return all
		}}, true
	case "DBA_DATA_FILES":
		return view{needsOpen, "FILE_NAME FILE_ID TABLESPACE_NAME BYTES BLOCKS STATUS RELATIVE_FNO ONLINE_STATUS", func(a *act) (all []row) {
			for _, f := range a.mine() {
				all = append(all, row{"FILE_NAME": f.Name, "FILE_ID": num(f.No), "TABLESPACE_NAME": a.ctl.tablespace(f.TS).Name, "BYTES": num(f.Blocks * f.BlockSize), "BLOCKS": num(f.Blocks),
					"STATUS": "AVAILABLE", "RELATIVE_FNO": num(f.RFile), "ONLINE_STATUS": f.Status})
			}
			return all
		}}, true
	case "SESSION_PRIVS":
		return view{needsOpen, "PRIVILEGE", func(a *act) (all []row) {
			names := []string{"CREATE SESSION"}
			for _, right := range Rights() {
				if right != executeUTLFile && a.session.may(right) { // the view has system privileges only
					names = append(names, right)
				}
			}
			switch {
			case a.session.user == "SYSBACKUP":
				names = append(names, "SYSBACKUP")
			case a.session.admin:
				names = append(names, "SYSDBA")
			}
			slices.Sort(names)
			for _, n := range names {
				all = append(all, row{"PRIVILEGE": n})
			}
			return all
		}}, true
	case "DBA_CONTAINER_DATA":
		return view{needsOpen, "USERNAME DEFAULT_ATTR OWNER OBJECT_NAME ALL_CONTAINERS CONTAINER_NAME", (*act).containerDataRows}, a.since(12, 1)
	case "ALL_DIRECTORIES", "DBA_DIRECTORIES":
		return view{needsOpen, "OWNER DIRECTORY_NAME DIRECTORY_PATH", func(a *act) (all []row) {
			for _, n := range slices.Sorted(maps.Keys(a.directories)) {
				all = append(all, row{"OWNER": "SYS", "DIRECTORY_NAME": n, "DIRECTORY_PATH": a.directories[n]})
			}
			return all
		}}, true
	}
	return view{}, false
}

func (a *act) containerDataRows() (all []row) {
	if !a.ctl.CDB {
		return nil
	}
	attribute := func(user, container string) {
		r := row{"USERNAME": user, "DEFAULT_ATTR": "Y", "ALL_CONTAINERS": "N", "CONTAINER_NAME": container}
		if container == "ALL" {
			r["ALL_CONTAINERS"], r["CONTAINER_NAME"] = "Y", nil
		}
		all = append(all, r)
	}
	for _, user := range []string{"SYS", "SYSBACKUP", "SYSTEM"} {
		attribute(user, "ALL")
	}
	for _, user := range slices.Sorted(maps.Keys(a.config.Users)) {
		for _, container := range a.config.Users[user].Containers {
			attribute(user, container)
		}
	}
	return all
}
