package mssqlsim

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

func (in *Instance) backup(ctx context.Context, s *tds.Session, st backupStatement, a *tds.Answer) error {
	if s.InTransaction() {
		return failure(3021, "Cannot perform a backup or restore operation within a transaction.")
	}
	d, set, err := in.beginBackup(s, st)
	if err != nil {
		return err
	}
	err = in.runBackup(ctx, s, st, &set, a)
	in.mu.Lock()
	defer in.mu.Unlock()
	d.busy = false
	delete(in.running, s.ID)
	if err != nil {
		return err
	}
	in.keep(d, st, set)
	what := "BACKUP DATABASE"
	if st.log {
		what = "BACKUP LOG"
	} else if st.options.has("DIFFERENTIAL") {
		what = "BACKUP DATABASE WITH DIFFERENTIAL"
	}
	pages := len(set.Records)
	return errors.Join(
		a.Message(info(4035, "Processed %d pages for database '%s', file '%s' on file %d.", pages, d.name, d.files[0].Logical, in.history[len(in.history)-1].position)),
		a.Message(info(3014, "%s successfully processed %d pages in 0.010 seconds (0.001 MB/sec).", what, pages)))
}

// beginBackup checks the rules and fixes what the set will hold.
func (in *Instance) beginBackup(s *tds.Session, st backupStatement) (*database, Set, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	if d == nil {
		return nil, Set{}, noDatabase(st.database)
	}
	if err := d.allowsBackup(st); err != nil {
		return nil, Set{}, err
	}
	d.busy = true
	in.running[s.ID] = &activity{command: "BACKUP DATABASE", database: d.id}
	if st.log {
		in.running[s.ID].command = "BACKUP LOG"
	}
	now := in.config.Now().Truncate(time.Second) // as fine as the tape format is
	set := Set{
		ID: newGUID(), Type: DatabaseSet, Name: st.options.texts["NAME"], Description: st.options.texts["DESCRIPTION"],
		Database: d.name, Server: in.config.Name, User: s.Login.User, Created: d.created, Start: now, Finish: now,
		Binding: d.binding, FamilyGUID: d.family, FirstFork: d.fork, Fork: d.fork,
		Model: d.model, CopyOnly: st.options.has("COPY_ONLY"), Checksum: st.options.has("CHECKSUM"), Compressed: st.options.has("COMPRESSION"),
		DatabaseLSN: d.fullLSN, DatabaseID: d.baseID, Ballast: d.ballast, Version: in.config.Version, Files: slices.Clone(d.files), Records: slices.Clone(d.records),
	}
	if st.log {
		set.Ballast = 0
		set.Type, set.First, set.Last, set.Checkpoint = LogSet, d.logStart, d.next, d.fullLSN
		set.FirstFork, set.BeginsChain, set.Tail = d.firstFork, d.begins, st.options.has("NORECOVERY")
		if set.FirstFork != set.Fork {
			set.ForkPoint = d.forkPoint
		}
		set.Records = slices.DeleteFunc(set.Records, func(r Record) bool { return r.LSN < set.First })
		return d, set, nil
	}
	set.First, set.Checkpoint = d.next, d.next
	d.next += blockOfLSN // the checkpoint is a log record
	set.Last = d.next
	if st.options.has("DIFFERENTIAL") {
		set.Type, set.CopyOnly, set.Ballast = DifferentialSet, false, 0 // with DIFFERENTIAL, COPY_ONLY is ignored
		set.BaseLSN, set.BaseID = d.baseLSN, d.baseID
		set.Records = slices.DeleteFunc(set.Records, func(r Record) bool { return r.LSN < set.BaseLSN })
	}
	return d, set, nil
}

func (d *database) allowsBackup(st backupStatement) error {
	switch {
	case d.name == "tempdb":
		return failure(3147, "Backup and restore operations are not allowed on database tempdb.")
	case d.name == "master" && st.log:
		return failure(4212, "Cannot back up the log of the master database. Use BACKUP DATABASE instead.")
	case d.name == "master" && st.options.has("DIFFERENTIAL"):
		return failure(3024, "You can only perform a full backup of the master database. Use BACKUP DATABASE to back up the entire master database.")
	case d.restoring:
		m := failure(927, "Database '%s' cannot be opened. It is in the middle of a restore.", d.name)
		m.State, m.Class = 2, 14
		return m
	case d.busy:
		return failure(3023, "Backup, file manipulation operations (such as ALTER DATABASE ADD FILE) and encryption changes on a database must be serialized. "+
			"Reissue the statement after the current backup or file manipulation operation is completed.")
	case st.log && d.model == Simple:
		return failure(4208, "The statement BACKUP LOG is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or change the recovery model using ALTER DATABASE.")
	case st.log && d.logStart == 0:
		return failure(4214, "BACKUP LOG cannot be performed because there is no current database backup.")
	case st.options.has("DIFFERENTIAL") && d.baseLSN == 0:
		return failure(3035, "Cannot perform a differential backup for database \"%s\", because a current database backup does not exist. "+
			"Perform a full database backup by reissuing BACKUP DATABASE, omitting the WITH DIFFERENTIAL option.", d.name)
	}
	return nil
}

// runBackup writes the devices and tells how far it is. It completes the set by what is known at its end.
func (in *Instance) runBackup(ctx context.Context, s *tds.Session, st backupStatement, set *Set, a *tds.Answer) error {
	families, add, err := in.families(ctx, st)
	if err != nil {
		return err
	}
	set.Bytes = set.pages(len(families)) * pageBytes
	devices, err := in.createAll(ctx, st, families, *set, add)
	defer func() {
		for _, d := range devices {
			_ = d.Close() // a device that was not committed is as it is; the error to tell is the one that ended the backup
		}
	}()
	if err != nil {
		return err
	}
	step := st.options.stats
	for percent := step; step > 0 && percent <= 100; percent += step {
		in.mu.Lock()
		in.running[s.ID].percent = percent
		in.mu.Unlock()
		if err := in.pace(ctx, set.Database, percent); err != nil {
			return err
		}
		for i, d := range devices {
			if err := d.Advance(ctx, percent); err != nil {
				return writeMessage(ctx, st.devices[i], err)
			}
		}
		if err := errors.Join(a.Message(percentProcessed(percent)), a.Flush()); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if err := in.pace(ctx, set.Database, 100); err != nil {
		return err
	}
	set.Finish = in.config.Now().Truncate(time.Second)
	for i, d := range devices {
		if err := d.Commit(ctx, set.Finish); err != nil {
			return writeMessage(ctx, st.devices[i], err)
		}
	}
	return nil
}

func (in *Instance) pace(ctx context.Context, database string, percent int) error {
	if in.config.Pace != nil {
		if err := in.config.Pace(ctx, database, percent); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if ctx.Err() != nil {
		return aborted()
	}
	return nil
}

// keep notes a backup that has succeeded: in the database and in msdb.
func (in *Instance) keep(d *database, st backupStatement, set Set) {
	position := 1
	if _, sets, err := in.config.Media.Read(context.Background(), st.devices[0]); err == nil {
		position = len(sets)
	}
	in.history = append(in.history, historyEntry{set: set, position: position, devices: st.devices})
	switch {
	case set.CopyOnly:
	case st.log:
		d.logStart, d.firstFork, d.begins = set.Last, set.Fork, false
		if set.Tail {
			d.restoring = true
		}
	default:
		if set.Type == DatabaseSet {
			d.fullLSN, d.baseLSN, d.baseID = set.Checkpoint, set.Checkpoint, set.ID
		}
		if d.model != Simple && d.logStart == 0 {
			d.logStart, d.firstFork, d.begins = set.First, d.fork, true
		}
	}
}
