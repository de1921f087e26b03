package oracle

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// repairScript is the script of a restore of tablespaces.
const repairScript = "restore-tablespaces.sql"

// repair is a restore of tablespaces alone, in a database that stays open: their data files are put back, and complete recovery brings them to where the rest of the database is [BRU 30.3].
type repair struct {
	*course
	src       *Source
	overwrite bool
	// now is the database as it is: its own control file and online logs are used, never those of a backup.
	now *Inventory
	// pdb is the pluggable database that the tablespaces are of; "" outside one.
	pdb    string
	spaces []Tablespace
	files  []repaired
	// need is the SCN from which redo is needed.
	need SCN
	// asked: the server was looked at. A script is written without it.
	asked bool
	// behind are the data files that the server says need media recovery, and heads what their headers say.
	behind map[int]bool
	heads  map[int]head
}

// repaired is a data file of these tablespaces.
type repaired struct {
	DataFile        // as the database has it
	path     string // where it will be
	fate     fate
}

// fate is what becomes of a data file.
type fate int

const (
	keptFile fate = iota // it is there and stays, and redo is applied to it
	putFile              // the copy of the full is put in its place
	madeFile             // no backup has it: it is made anew, and redo fills it
)

// selected are the tablespaces of a target, by name, none when it is the whole database; it refuses what cannot be restored alone.
func (s *Source) selected(t backup.Target, opt restoreOptions) ([]string, error) {
	const elsewhere = "restore the whole database to another place (option to) and move the tablespace from there with Data Pump or as a transportable one"
	var parts []string
	for _, sel := range t.Select {
		if sel.As != "" && sel.As != sel.Name {
			return nil, s.refuse(elsewhere, "%q cannot be restored under the name %q", sel.Name, sel.As)
		}
		if sel.Name != itemName && !slices.Contains(parts, sel.Name) {
			parts = append(parts, sel.Name)
		}
	}
	switch {
	case len(parts) == 0:
		return nil, nil
	case slices.ContainsFunc(t.Select, func(sel backup.Selection) bool { return sel.Name == itemName }):
		return nil, s.refuse("select the database alone, or tablespaces alone", "%s is part of %q, which is selected too", strings.Join(parts, ", "), itemName)
	case !t.Time.IsZero() || t.ID != "" || t.Position != "":
		// That is tablespace point-in-time recovery, which takes a second instance [BRU 21].
		return nil, s.refuse(elsewhere, "%s alone cannot go back to an earlier time than the rest of the database", strings.Join(parts, ", "))
	case opt.to != "" || opt.open || opt.zone != nil:
		return nil, &backup.Error{Op: "restore", App: application, Instance: s.instance, Err: fmt.Errorf("%w: to, open and utc_offset are for the whole database", backup.ErrOption),
			Advice: "a tablespace is recovered completely, in the database that it is of; single data files go elsewhere by move:OLD=NEW"}
	}
	return parts, nil
}

// repairFromBackups is a repair as the backups know the database, for a script that is written without a server.
func (s *Source) repairFromBackups(c *course) (*repair, error) {
	r := &repair{course: c, src: s, overwrite: true, now: c.last.inv}
	if err := r.resolve(); err != nil {
		return nil, err
	}
	for _, d := range r.of(r.now.DataFiles) {
		f := repaired{DataFile: d, path: r.moved(d.Name, d.File), fate: putFile}
		if r.copyOf(d) == nil {
			f.fate = madeFile
			if err := r.younger(d); err != nil {
				return nil, err
			}
		}
		r.files = append(r.files, f)
	}
	if err := r.known(); err != nil {
		return nil, err
	}
	return r, r.place(redo{}, nil)
}

// repairOf looks at the database, and thinks its repair through. Nothing is changed.
func (s *Source) repairOf(ctx context.Context, c *course, overwrite bool) (*repair, error) {
	r := &repair{course: c, src: s, overwrite: overwrite, asked: true}
	return r, s.with(ctx, func(conn *session) (err error) {
		if r.now, err = conn.survey(ctx); err != nil {
			return err
		}
		for _, look := range []func() error{r.same, r.here} {
			if err := look(); err != nil {
				return err
			}
		}
		if err := r.resolve(); err != nil {
			return err
		}
		if r.heads, r.behind, err = conn.heads(ctx); err != nil {
			return err
		}
		if err := r.decide(); err != nil {
			return err
		}
		r.need = r.from()
		have, err := conn.redo(ctx, r.now.ResetlogsSCN, r.need)
		if err != nil {
			return err
		}
		if err := r.place(have, func(l ArchivedLog, path string) bool { return r.isLog(ctx, l, path) }); err != nil {
			return err
		}
		return r.enter(ctx, conn)
	})
}

// same refuses a database that is not the one that was backed up, or not open.
func (r *repair) same() error {
	was := r.full.inv
	switch {
	case r.now.DBID != was.DBID:
		return r.src.refuse("connect to the database that was backed up", "the database has the DBID %d, and the backup is of %d", r.now.DBID, was.DBID)
	case r.now.ResetlogsSCN != was.ResetlogsSCN || r.now.ResetlogsID != was.ResetlogsID:
		return r.src.refuse("restore from a full taken since, or the whole database", "the database was opened with RESETLOGS at SCN %d, after the backup, whose incarnation is of SCN %d",
			r.now.ResetlogsSCN, was.ResetlogsSCN)
	case r.now.OpenMode != openReadWrite:
		return r.src.refuse("open it for writing; when it does not open for the tablespace's sake: ALTER DATABASE DATAFILE n OFFLINE for its data files while it is mounted, ALTER DATABASE OPEN, and restore again; "+
			"or restore the whole database", "the database is %s, and a tablespace alone is restored while it is open", r.now.OpenMode)
	case r.now.LogMode == "NOARCHIVELOG":
		return r.src.refuse(adviceArchivelog, "the database is in NOARCHIVELOG")
	case r.now.CDB && r.now.ContainerID != rootContainer:
		return r.src.refuse("connect to the service of the root container (CDB$ROOT)", "the connection is to a pluggable database, container %d", r.now.ContainerID)
	}
	return nil
}

// here refuses to put files onto another machine than that of the database, which is open and may be anywhere.
func (r *repair) here() error {
	for _, name := range r.now.ControlFiles {
		if strings.HasPrefix(name, "+") {
			continue
		}
		if _, err := os.Stat(name); err != nil {
			return &backup.Error{Op: "restore", App: application, Instance: r.src.instance, Artifact: name, Advice: "run the restore on the machine of the database, as the owner of the server, or take the script",
				Err: fmt.Errorf("%w: the database is open, and its control file is not to be seen here: %w", backup.ErrRefused, err)}
		}
	}
	return nil
}

// objectName is how a tablespace is selected: by its name, and in a pluggable database PDB:NAME, as RMAN has it.
func (inv *Inventory) objectName(container int, tablespace string) string {
	if container > rootContainer {
		return inv.containerName(container) + ":" + tablespace
	}
	return tablespace
}

// resolve finds the tablespaces by their names.
func (r *repair) resolve() error {
	for _, name := range r.parts {
		at := slices.IndexFunc(r.now.Tablespaces, func(t Tablespace) bool { return r.now.objectName(t.Container, t.Name) == name })
		if at < 0 {
			return r.src.refuse("restore the whole database to another place (option to), to a time when it was there, and move it from there with Data Pump",
				"the database has no tablespace %s any more", name)
		}
		t := r.now.Tablespaces[at]
		pdb := ""
		if t.Container > rootContainer {
			pdb = r.now.containerName(t.Container)
		}
		const mounted = "that takes a database that is not open: restore the whole database, or by hand: SHUTDOWN ABORT, put back its data files, STARTUP MOUNT, RECOVER AUTOMATIC DATABASE, ALTER DATABASE OPEN"
		switch {
		case t.Name == "SYSTEM" || t.Contents == contentsUndo:
			return r.src.refuse(mounted, "%s cannot be taken offline", name)
		case t.Container == 2:
			return r.src.refuse("restore the whole database", "%s is of the seed, which is never open for writing", name)
		case len(r.spaces) > 0 && pdb != r.pdb:
			return r.src.refuse("restore one container's tablespaces at a time", "%s and %s are of different containers", r.parts[0], name)
		}
		r.pdb, r.spaces = pdb, append(r.spaces, t)
	}
	if r.pdb != "" && r.asked && !slices.ContainsFunc(r.now.Containers, func(p Container) bool { return p.Name == r.pdb && p.OpenMode == openReadWrite }) {
		return r.src.refuse("ALTER PLUGGABLE DATABASE "+quoteName(r.pdb)+" OPEN, or restore the whole database", "pluggable database %s is not open for writing", r.pdb)
	}
	return nil
}

// of are the data files of the tablespaces.
func (r *repair) of(all []DataFile) (out []DataFile) {
	for _, d := range all {
		if slices.ContainsFunc(r.spaces, func(t Tablespace) bool { return t.Number == d.Tablespace && t.Container == d.Container }) {
			out = append(out, d)
		}
	}
	return out
}

// copyOf is what the full says of a data file that it has; nil when it has none.
func (r *repair) copyOf(d DataFile) *DataFile {
	at := slices.IndexFunc(r.full.inv.DataFiles, func(o DataFile) bool {
		return o.File == d.File && o.CreationSCN == d.CreationSCN && o.Artifact != ""
	})
	if at < 0 {
		return nil
	}
	return &r.full.inv.DataFiles[at]
}

// younger refuses a data file that the full could have had: its job leaves the tablespace out, and the redo since the file was made is hardly to be had.
func (r *repair) younger(d DataFile) error {
	if d.CreationSCN >= r.full.inv.Backup.From {
		return nil
	}
	return &backup.Error{Op: "restore", App: application, Instance: r.src.instance, ID: r.full.step.ID, Artifact: d.Name, Advice: "look for a full of a job that includes tablespace " + d.TablespaceName,
		Err: fmt.Errorf("%w: it has no copy of data file %d, which is older", backup.ErrNoBackup, d.File)}
}

// head is what the header of a data file says, as the server reads it.
type head struct {
	checkpoint SCN
	fault      string
}

// offlineNormal is what the server says of a file that was taken offline in order, and lacks nothing [REF].
const offlineNormal = "OFFLINE NORMAL"

// heads reads the headers of all data files, and which of these the server says need media recovery.
func (c *session) heads(ctx context.Context) (heads map[int]head, behind map[int]bool, err error) {
	heads, behind = map[int]head{}, map[int]bool{}
	err = c.each(ctx, "SELECT FILE#, ERROR, CHECKPOINT_CHANGE# FROM V$DATAFILE_HEADER ORDER BY FILE#", func(r row) {
		h := head{r.scn("CHECKPOINT_CHANGE#"), r.text("ERROR")}
		if h.fault == offlineNormal {
			h.fault = ""
		}
		heads[int(r.int("FILE#"))] = h
	})
	if err != nil {
		return nil, nil, err
	}
	return heads, behind, c.each(ctx, "SELECT FILE#, ERROR FROM V$RECOVER_FILE", func(r row) {
		if r.text("ERROR") != offlineNormal {
			behind[int(r.int("FILE#"))] = true
		}
	})
}

// decide says what becomes of each data file. What is there is replaced only when told; without, what is missing is put back, and the rest recovered with it. So an attempt that died is taken up by the next.
func (r *repair) decide() error {
	if err := r.known(); err != nil {
		return err
	}
	needed := false
	for _, d := range r.of(r.now.DataFiles) {
		f := repaired{DataFile: d, path: r.moved(d.Name, d.File)}
		if strings.HasPrefix(d.Name, "+") {
			return r.src.refuse("restore it with RMAN", "data file %d is in ASM: %s", d.File, d.Name)
		}
		_, err := os.Lstat(f.path)
		if err != nil && !missing(err) {
			return err
		}
		has := r.copyOf(d) != nil
		switch {
		case has && (err != nil || r.overwrite):
			f.fate = putFile
		case err != nil:
			f.fate = madeFile
			if err := r.younger(d); err != nil {
				return err
			}
		case f.path != d.Name || r.heads[d.File].fault != "":
			return &backup.Error{Op: "restore", App: application, Instance: r.src.instance, Artifact: f.path, Advice: "allow overwriting, or move that file away",
				Err: fmt.Errorf("it is there, and is not data file %d as the server wants it: %w", d.File, backup.ErrExists)}
		}
		needed = needed || f.fate != keptFile || r.behind[d.File] || d.Status == "OFFLINE" || d.Status == "RECOVER"
		r.files = append(r.files, f)
	}
	if !needed {
		return &backup.Error{Op: "restore", App: application, Instance: r.src.instance, Artifact: strings.Join(r.parts, ", "), Advice: "allow overwriting, to have them replaced by those of the backup and recovered",
			Err: fmt.Errorf("all of its data files are there, online, and the server wants no recovery of them: %w", backup.ErrExists)}
	}
	return nil
}

// known refuses to move what is no data file of these tablespaces, and to put one over another file of the database, which is in use.
func (r *repair) known() error {
	used := map[string]bool{}
	for _, d := range r.now.DataFiles {
		used[d.Name] = true
	}
	for _, t := range r.now.TempFiles {
		used[t.Name] = true
	}
	for _, name := range r.now.ControlFiles {
		used[name] = true
	}
	for _, g := range r.now.OnlineLogs {
		for _, name := range g.Members {
			used[name] = true
		}
	}
	for _, d := range r.of(r.now.DataFiles) {
		if to := r.moved(d.Name, d.File); to != d.Name && used[to] {
			return fmt.Errorf("%w: move: %s is another file of the database, or another one is moved there", backup.ErrOption, to)
		} else if to != d.Name {
			used[to] = true
		}
	}
	unknown := map[string]bool{}
	for old := range r.opt.moves {
		unknown[old] = true
	}
	for _, d := range r.of(r.now.DataFiles) {
		delete(unknown, d.Name)
	}
	if len(unknown) > 0 {
		return fmt.Errorf("%w: move: %s has no data file %s", backup.ErrOption, strings.Join(r.parts, ", "), strings.Join(sortedKeys(unknown), ", "))
	}
	return nil
}

// from is the SCN from which redo is needed; NoSCN when none is.
func (r *repair) from() SCN {
	need := NoSCN
	for _, f := range r.files {
		still := f.Enabled == "READ ONLY" || f.Status == "OFFLINE" // nothing was written to it since its checkpoint
		switch cp := r.copyOf(f.DataFile); {
		case f.fate == madeFile:
			need = min(need, f.CreationSCN)
		case f.fate == putFile && cp.BackupSCN != 0:
			need = min(need, cp.BackupSCN)
		case f.fate == putFile && !(still && cp.CheckpointSCN == f.CheckpointSCN):
			need = min(need, cp.CheckpointSCN)
		case f.fate == keptFile && (!still || r.behind[f.File]):
			need = min(need, r.heads[f.File].checkpoint)
		}
	}
	return need
}

// place says where every file goes, and which logs are brought: those that the server does not have itself.
func (r *repair) place(have redo, there func(l ArchivedLog, path string) bool) error {
	if !r.asked {
		r.need = r.from()
	}
	if r.work = r.opt.work; r.work == "" {
		if len(r.now.ControlFiles) == 0 {
			return fmt.Errorf("%w: the database names no control file", backup.ErrCorrupt)
		}
		dir, _, err := splitServer(r.now.ControlFiles[0])
		if err != nil {
			return err
		}
		r.work = joinServer(dir, "restore")
	}
	for _, f := range r.files {
		switch f.fate {
		case putFile:
			if err := r.add(r.full, r.copyOf(f.DataFile).Artifact, f.path); err != nil {
				return err
			}
		case madeFile:
			r.made = append(r.made, renaming{f.File, f.Name, f.path})
		}
	}
	if err := r.placeRedo(have, there); err != nil {
		return err
	}
	var names []string
	for _, t := range r.spaces {
		names = append(names, quoteName(t.Name))
	}
	r.partial = "ALTER DATABASE RECOVER TABLESPACE " + strings.Join(names, ", ")
	return nil
}

// enter looks at the tablespaces from within their pluggable database: the root does not tell what they are.
func (r *repair) enter(ctx context.Context, conn *session) error {
	if r.pdb == "" {
		return nil
	}
	for _, statement := range r.entering() {
		if err := conn.exec(ctx, statement); err != nil {
			return err
		}
	}
	err := conn.each(ctx, queryContents, func(row row) {
		for i, t := range r.spaces {
			if t.Name == row.text("TABLESPACE_NAME") {
				r.spaces[i].Status, r.spaces[i].Contents = row.text("STATUS"), row.text("CONTENTS")
			}
		}
	})
	if err != nil {
		return err
	}
	if at := slices.IndexFunc(r.spaces, func(t Tablespace) bool { return t.Contents == contentsUndo }); at >= 0 {
		return r.src.refuse("restore the whole database", "%s:%s cannot be taken offline", r.pdb, r.spaces[at].Name)
	}
	return nil
}
