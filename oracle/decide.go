package oracle

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

const (
	openReadWrite = "READ WRITE"
	rootContainer = 1
	contentsUndo  = "UNDO"
)

// checkpoint is the note from which the next log goes on.
type checkpoint struct {
	DBID         uint64 `json:"dbid"`
	ResetlogsSCN SCN    `json:"resetlogs_scn"`
	ResetlogsID  uint64 `json:"resetlogs_id"`
	goesOn
	// End is where this backup ends, and EndAt when that was. When the logs from Next are gone, those from End continue it.
	End   SCN       `json:"end"`
	EndAt time.Time `json:"end_at"`
	// Threads are the last sequences, by thread, for people.
	Threads map[int]uint64 `json:"threads"`
	// RMAN is of a full that RMAN took.
	RMAN *rmanBase `json:"rman,omitempty"`
}

// goesOn is where the next log link begins, and when that was: the end of the log links before it, or of the first full. A later full does not move it, so that the logs go on over fulls and the times
// before one can be restored.
type goesOn struct {
	Next   SCN       `json:"next"`
	NextAt time.Time `json:"next_at"`
}

func checkpointOf(it backup.Item) (checkpoint, error) {
	var c checkpoint
	if len(it.Checkpoint) == 0 {
		return c, errors.New("the record of the last backup has no checkpoint")
	}
	if err := json.Unmarshal(it.Checkpoint, &c); err != nil {
		return c, fmt.Errorf("read the checkpoint of the last backup: %w", err)
	}
	return c, nil
}

// choice is what to take.
type choice struct {
	kind backup.Kind
	// reason is why the kind is not what was asked for.
	reason string
	// last is the link that a log continues, and from its checkpoint.
	last *backup.Link
	from checkpoint
	// files are the indexes in Inventory.DataFiles of those to copy in a full.
	files []int
	// full is the last full at the target, and base what RMAN made of it; nil when another mode took it, or it is of another incarnation.
	full  backup.ID
	base  *rmanBase
	warns []string
}

// refusal is why nothing can be taken, and what to do about it.
type refusal struct{ why, advice string }

func (r *refusal) Error() string { return r.why }

// Hint says what an operator can do.
func (r *refusal) Hint() string { return r.advice }

// Unwrap: policy or state forbid the backup; nothing was touched.
func (r *refusal) Unwrap() error { return backup.ErrRefused }

func refuse(advice, format string, args ...any) error {
	return &refusal{why: fmt.Sprintf(format, args...), advice: advice}
}

// decide says what a run takes of a database.
func (s *Source) decide(kind backup.Kind, inv *Inventory, a backup.Anchor) (choice, error) {
	ch, err := decide(kind, inv, a, s.filter)
	if err != nil {
		return choice{}, err
	}
	if s.reads() {
		return ch, notInASM(inv, ch.files)
	}
	if a.Full != nil && ch.last != nil {
		from, err := checkpointOf(a.Full.Item)
		if err == nil && from.DBID == inv.DBID && from.ResetlogsSCN == inv.ResetlogsSCN {
			ch.full, ch.base = a.Full.ID, from.RMAN
		}
	}
	if ch.kind == backup.Differential && ch.base == nil {
		ch.kind, ch.reason = backup.Full, "the last full at the target was not taken by RMAN, at level 0"
	}
	return ch, nil
}

// notInASM refuses files that only RMAN can read.
func notInASM(inv *Inventory, files []int) error {
	for _, i := range files {
		if d := inv.DataFiles[i]; strings.HasPrefix(d.Name, "+") {
			return refuse("ASM has no files that a program can open: use mode rman", "data file %d is in ASM: %s", d.File, d.Name)
		}
	}
	return nil
}

// decide looks at nothing but its arguments.
func decide(kind backup.Kind, inv *Inventory, a backup.Anchor, f filter) (choice, error) {
	for _, forbids := range []func(*Inventory) error{allowed, seesAll} {
		if err := forbids(inv); err != nil {
			return choice{}, err
		}
	}
	ch := choice{kind: kind, last: a.Last}
	var err error
	if ch.files, err = selected(inv, f); err != nil {
		return choice{}, err
	}
	if a.Last != nil {
		if ch.from, err = checkpointOf(a.Last.Item); err != nil {
			ch.last, ch.from = nil, checkpoint{}
		}
	}
	if why := unlinked(inv, a, err, ch.from); why != "" {
		ch.last, ch.from = nil, checkpoint{}
		if kind != backup.Full {
			ch.kind, ch.reason = backup.Full, why
		}
	}
	ch.warns = remarks(inv, ch)
	return ch, nil
}

// allowed refuses a database in a state in which files cannot be copied while it is open.
func allowed(inv *Inventory) error {
	switch {
	case inv.Role != "PRIMARY":
		return refuse("connect to the primary database, or back up the standby with RMAN", "the database is a %s, which takes no BEGIN BACKUP", strings.ToLower(inv.Role))
	case inv.CDB && inv.ContainerID != rootContainer:
		return refuse("connect to the service of the root container (CDB$ROOT): archived logs, control file and parameters belong to it, and a multitenant database is backed up whole",
			"the connection is to a pluggable database, container %d", inv.ContainerID)
	case inv.LogMode == "NOARCHIVELOG":
		return refuse(adviceArchivelog, "the database is in NOARCHIVELOG")
	case inv.LogMode != "ARCHIVELOG":
		return refuse("let the server archive by itself: ALTER DATABASE ARCHIVELOG while it is mounted", "the database archives its logs by hand (LOG_MODE %s)", inv.LogMode)
	case inv.OpenMode == "MOUNTED":
		return refuse("ALTER DATABASE OPEN; if that ends in ORA-10873: "+adviceEnd, "the database is mounted and not open")
	case inv.OpenMode != openReadWrite:
		return refuse("open it for writing, or copy it with RMAN", "the database is open %s, in which no log is switched and no file put into backup mode", inv.OpenMode)
	}
	return nil
}

// selected are the data files to copy, by their place in the inventory.
func selected(inv *Inventory, f filter) ([]int, error) {
	if inv.CDB && !f.all() {
		return nil, refuse("take the patterns out of include and exclude", "a multitenant database is backed up whole: its tablespaces cannot be chosen")
	}
	var names []string
	for _, t := range inv.Tablespaces {
		names = append(names, t.Name)
	}
	if missing := f.missing(names); len(missing) > 0 {
		return nil, refuse("the database has: "+strings.Join(names, ", "), "there is no tablespace %s", strings.Join(missing, ", "))
	}
	var out []int
	for i, d := range inv.DataFiles {
		if !needed(inv, d.TablespaceName) && !f.takes(d.TablespaceName) {
			continue
		}
		if d.Bytes == 0 {
			return nil, refuse("look at V$RECOVER_FILE and the alert log: bring it back, or exclude its tablespace", "the server cannot read data file %d, %s, of tablespace %s", d.File, d.Name, d.TablespaceName)
		}
		out = append(out, i)
	}
	return out, nil
}

// reads reports whether this process reads the server's files itself.
func (s *Source) reads() bool { return s.opt.Mode == ModeLocal || s.opt.Mode == ModeRemote }

// archives refuses to read from a database that archives its logs to ASM only: hours later none of them could be copied.
func (s *Source) archives(inv *Inventory) error {
	if !s.reads() {
		return nil
	}
	var asm []string
	for _, d := range inv.Destinations {
		if d.Status != "VALID" || d.Target == "STANDBY" || d.Target == "REMOTE" {
			continue
		}
		place := d.Name
		if place == "USE_DB_RECOVERY_FILE_DEST" {
			place = inv.parameter("db_recovery_file_dest")
		}
		if !strings.HasPrefix(place, "+") {
			return nil
		}
		asm = append(asm, place)
	}
	if len(asm) == 0 {
		return nil // archiving finds out
	}
	return refuse("archive to a folder as well, by LOG_ARCHIVE_DEST_n; or use mode rman", "the logs are archived to ASM only, %s, which has no files that a program can open", strings.Join(asm, ", "))
}

// needed reports whether no database of this backup would open without the tablespace.
func needed(inv *Inventory, name string) bool {
	return name == "SYSTEM" || slices.ContainsFunc(inv.Tablespaces, func(t Tablespace) bool { return t.Name == name && t.Contents == contentsUndo })
}

// unlinked says why a log would continue nothing at the target; empty when it would.
func unlinked(inv *Inventory, a backup.Anchor, err error, from checkpoint) string {
	switch {
	case a.Last == nil:
		return "no full backup of it is at the target"
	case err != nil:
		return err.Error()
	case from.DBID != inv.DBID:
		return fmt.Sprintf("the database is another one than that at the target: its DBID is %d, not %d", inv.DBID, from.DBID)
	case from.ResetlogsSCN != inv.ResetlogsSCN || from.ResetlogsID != inv.ResetlogsID:
		return fmt.Sprintf("the database was opened with RESETLOGS since the last backup, at SCN %d, and is a new incarnation", inv.ResetlogsSCN)
	}
	return ""
}

// remarks are what an operator should know of the data files.
func remarks(inv *Inventory, ch choice) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if n := len(inv.DataFiles) - len(ch.files); n > 0 && ch.kind != backup.Log {
		var left []string
		for i, d := range inv.DataFiles {
			if !slices.Contains(ch.files, i) && !slices.Contains(left, d.TablespaceName) {
				left = append(left, d.TablespaceName)
			}
		}
		say("left out as asked: tablespaces %s; a restore opens the database without them", strings.Join(left, ", "))
	}
	for _, i := range ch.files {
		d := inv.DataFiles[i]
		switch {
		case d.Status != "ONLINE" && d.Status != "SYSTEM" && needed(inv, d.TablespaceName):
			say("data file %d, %s, is %s, and no database opens without tablespace %s: it is copied as it lies there, so bring it online and take another full", d.File, d.Name, d.Status, d.TablespaceName)
		case d.Status == "RECOVER":
			say("data file %d, %s, needs media recovery on the server; it is copied as it lies there", d.File, d.Name)
		case ch.kind == backup.Log && ch.last != nil && d.UnrecoverableSCN > ch.from.Next:
			say("data file %d, %s, has changes made without logging at SCN %d, which no log holds: take a full", d.File, d.Name, d.UnrecoverableSCN)
		}
	}
	for _, k := range inv.Keystores {
		say("encrypted data need the keystore %s %s, which is not in the backup: keep a copy of it elsewhere", k.Type, k.Place)
	}
	return out
}
