package mssqlsim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

func (in *Instance) backup(ctx context.Context, s *tds.Session, st backupStatement, a *tds.Answer, f *strike) error {
	if s.InTransaction() {
		return failure(3021, "Cannot perform a backup or restore operation within a transaction.")
	}
	if err := in.checkBackup(st); err != nil {
		return err
	}
	d, set, err := in.beginBackup(s, st)
	if err != nil {
		return err
	}
	err = in.runBackup(ctx, s, st, d, &set, a, f)
	in.mu.Lock()
	defer in.mu.Unlock()
	d.busy = false
	delete(in.running, s.ID)
	if err != nil {
		return err
	}
	what := "BACKUP DATABASE"
	if st.log {
		what = "BACKUP LOG"
	} else if st.options.has("DIFFERENTIAL") {
		what = "BACKUP DATABASE WITH DIFFERENTIAL"
	}
	pages := len(set.Records)
	err = a.Message(info(4035, "Processed %d pages for database '%s', file '%s' on file %d.", pages, d.name, d.files[0].Logical, in.history[len(in.history)-1].position))
	if set.Damaged && !st.log {
		err = errors.Join(err, a.Message(info(3042, "BACKUP WITH CONTINUE_AFTER_ERROR successfully generated a backup of the damaged database. "+
			"Refer to the SQL Server error log for information about the errors that were encountered.")))
	}
	return errors.Join(err, a.Message(info(3014, "%s successfully processed %d pages in 0.010 seconds (0.001 MB/sec).", what, pages)))
}

// checkBackup applies the rules that ask only for the statement.
func (in *Instance) checkBackup(st backupStatement) error {
	if err := in.checkDevices(st.devices); err != nil {
		return err
	}
	o := st.options
	url := st.devices[0].url
	if url && o.numbers["RETAINDAYS"] > 0 {
		return failure(3291, "URL device type was specified, and a disallowed option %s was specified.", "RETAINDAYS")
	}
	if err := o.contradiction(); err != nil {
		return err
	}
	if err := o.sizes(url); err != nil {
		return err
	}
	return in.checkEdition(st)
}

// checkEdition applies what editions cannot do.
func (in *Instance) checkEdition(st backupStatement) error {
	edition := in.config.Edition
	small := strings.HasPrefix(edition, "Express") || strings.HasPrefix(edition, "Web")
	large := strings.HasPrefix(edition, "Enterprise") || strings.HasPrefix(edition, "Developer") || strings.HasPrefix(edition, "Evaluation")
	for word, used := range map[string]bool{"COMPRESSION": st.options.has("COMPRESSION"), "ENCRYPTION": st.options.cipher.key != "", "URL": st.devices[0].url && strings.HasPrefix(edition, "Express")} {
		if used && small {
			return failure(1844, "BACKUP DATABASE WITH %s is not supported on %s.", word, edition)
		}
	}
	switch {
	case st.mirrors > 0 && !large:
		return failure(3218, "Backup mirroring is not available in this edition of SQL Server. "+
			"See Books Online for more details on feature support in different SQL Server editions.")
	case st.mirrors > 3:
		return failure(3214, "Too many backup mirrors are specified. Only %d are allowed.", 3)
	case st.mirrors > 0 && !st.options.has("FORMAT"):
		return failure(3215, "Use WITH FORMAT to create a new mirrored backup set.")
	case st.mirrors > 0:
		return unknown("MIRROR TO")
	}
	return nil
}

// beginBackup checks the rules and fixes what the set is.
func (in *Instance) beginBackup(s *tds.Session, st backupStatement) (*database, Set, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	if d == nil {
		return nil, Set{}, noDatabase(st.database)
	}
	if err := in.allowsBackup(s, d, st); err != nil {
		return nil, Set{}, err
	}
	now := in.config.Now()
	second := now.Truncate(time.Second) // as fine as the tape format is
	o := st.options
	set := Set{
		ID: newGUID(), Type: DatabaseSet, Name: o.texts["NAME"], Description: o.texts["DESCRIPTION"],
		Database: d.name, Server: in.config.Name, User: s.Login.User, Created: d.created, Start: second, Finish: second, LogEnd: now,
		Binding: d.binding, FamilyGUID: d.family, FirstFork: d.fork, Fork: d.fork, Expires: o.expires,
		Model: d.model, CopyOnly: o.has("COPY_ONLY") || o.has("NO_TRUNCATE"), Checksum: o.has("CHECKSUM"), Compressed: o.has("COMPRESSION"), CompressionAlgorithm: o.packing,
		DatabaseLSN: d.fullLSN, DatabaseID: d.baseID, Version: in.config.Version, Files: slices.Clone(d.files), Records: slices.Clone(d.records), TransferSize: o.numbers["MAXTRANSFERSIZE"],
		ReadOnly: d.readOnly, SingleUser: d.access == singleUser, Broker: d.broker, Captured: d.captured, Published: d.published,
	}
	if days := o.numbers["RETAINDAYS"]; days > 0 {
		set.Expires = now.AddDate(0, 0, days)
	}
	if err := in.encrypt(&set, o.cipher); err != nil {
		return nil, Set{}, err
	}
	if c, ok := in.certificate(d.certificate, false); ok {
		set.TDEThumbprint = c.Thumbprint
	}
	d.busy = true
	in.running[s.ID] = &activity{command: "BACKUP DATABASE", database: d.id, since: now}
	if st.log {
		in.running[s.ID].command = "BACKUP LOG"
		d.describeLog(&set, o)
		return d, set, nil
	}
	set.First, set.Checkpoint, set.Ballast = d.next, d.next, d.ballast
	if d.replica == nil || d.replica.Primary {
		d.next += blockOfLSN // the checkpoint is a log record
	}
	set.Last = d.next
	if o.has("DIFFERENTIAL") {
		set.Type, set.CopyOnly, set.Ballast = DifferentialSet, false, 0 // with DIFFERENTIAL, COPY_ONLY is ignored
		set.BaseLSN, set.BaseID = d.baseLSN, d.baseID
		set.Records = slices.DeleteFunc(set.Records, func(r Record) bool { return r.LSN < set.BaseLSN })
	}
	return d, set, nil
}

// describeLog makes a set that of the log: all of it up to now.
func (d *database) describeLog(set *Set, o options) {
	set.Type, set.First, set.Last, set.Checkpoint = LogSet, d.logStart, d.next, d.fullLSN
	set.FirstFork, set.BeginsChain = d.firstFork, d.begins
	set.Tail = o.has("NORECOVERY") || o.given("STANDBY")
	if set.FirstFork != set.Fork {
		set.ForkPoint = d.forkPoint
	}
	set.Records = slices.DeleteFunc(set.Records, func(r Record) bool { return r.LSN < set.First })
	set.BulkLogged = d.bulk
	set.Damaged, set.IncompleteMetadata = d.lost, d.lost
}

// encrypt finds the key of WITH ENCRYPTION.
func (in *Instance) encrypt(set *Set, c cipher) error {
	if c.key == "" {
		return nil
	}
	key, ok := in.certificate(c.key, c.asymmetric)
	switch {
	case !ok && c.asymmetric:
		return failure(15151, "Cannot find the asymmetric key '%s', because it does not exist or you do not have permission.", c.key)
	case !ok:
		return failure(15151, "Cannot find the certificate '%s', because it does not exist or you do not have permission.", c.key)
	case !c.asymmetric && key.Expires.Before(in.config.Now()):
		return failure(3096, "The Certificate specified for backup encryption has expired.")
	}
	set.KeyAlgorithm, set.EncryptorType, set.EncryptorThumbprint = c.algorithm, "CERTIFICATE", key.Thumbprint
	if c.asymmetric {
		set.EncryptorType = "ASYMMETRIC_KEY"
	}
	return nil
}

func (in *Instance) allowsBackup(s *tds.Session, d *database, st backupStatement) error {
	o := st.options
	what := "BACKUP DATABASE"
	if st.log {
		what = "BACKUP LOG"
	}
	if r := in.right(s); r != SysAdmin && r != BackupOperator {
		return denied(what, d.name)
	}
	if err := in.reachable(s, d, st); err != nil {
		return err
	}
	switch {
	case d.name == "tempdb":
		return failure(3147, "Backup and restore operations are not allowed on database tempdb.")
	case d.name == "master" && st.log:
		return failure(4212, "Cannot back up the log of the master database. Use BACKUP DATABASE instead.")
	case d.name == "master" && o.has("DIFFERENTIAL"):
		return failure(3024, "You can only perform a full backup of the master database. Use BACKUP DATABASE to back up the entire master database.")
	case d.name == "model" && o.has("NORECOVERY"):
		return failure(4220, "Cannot back up the log of the model database with NORECOVERY option.")
	case d.snapshotOf != nil:
		return failure(3002, "Cannot BACKUP or RESTORE a database snapshot.")
	case d.busy:
		return failure(3023, "Backup, file manipulation operations (such as ALTER DATABASE ADD FILE) and encryption changes on a database must be serialized. "+
			"Reissue the statement after the current backup or file manipulation operation is completed.")
	case d.secondary(st):
		return failure(3059, "This BACKUP or RESTORE command is not supported on a database mirror or secondary replica.")
	case d.replica != nil && !d.replica.Primary && d.replica.NotSynchronizing:
		return failure(3062, "Cannot backup from a HADRON secondary because it is not in Synchronizing or Synchronized state.")
	case st.log && d.model == Simple:
		return failure(4208, "The statement BACKUP LOG is not allowed while the recovery model is SIMPLE. Use BACKUP DATABASE or change the recovery model using ALTER DATABASE.")
	case st.log && d.logStart == 0:
		return failure(4214, "BACKUP LOG cannot be performed because there is no current database backup.")
	case st.log && d.lost && d.bulk:
		return failure(4202, "BACKUP LOG is not possible because bulk logged changes exist in the database and one or more filegroups are unavailable.")
	case st.log && (o.has("NORECOVERY") || o.given("STANDBY")) && in.occupied(d, nil):
		return failure(3101, "Exclusive access could not be obtained because the database is in use.")
	case o.has("DIFFERENTIAL") && d.baseLSN == 0:
		return failure(3035, "Cannot perform a differential backup for database \"%s\", because a current database backup does not exist. "+
			"Perform a full database backup by reissuing BACKUP DATABASE, omitting the WITH DIFFERENTIAL option.", d.name)
	}
	return nil
}

// reachable checks that a backup can open the database. The log of a damaged one can still be saved.
func (in *Instance) reachable(s *tds.Session, d *database, st backupStatement) error {
	salvage := st.log && (st.options.has("NO_TRUNCATE") || st.options.has("CONTINUE_AFTER_ERROR"))
	switch {
	case d.state == Emergency:
		return failure(3033, "BACKUP DATABASE cannot be used on a database opened in emergency mode.")
	case d.standby != "":
		return failure(3036, "The database \"%s\" is in warm-standby state (set by executing RESTORE WITH STANDBY) and cannot be backed up "+
			"until the entire restore sequence is completed.", d.name)
	case salvage && (d.lost || d.state == Suspect) && d.state != Offline && d.state != Restoring:
		return nil
	case d.replica != nil && d.state == Online:
		return nil // a secondary that nobody may query can be backed up
	}
	return in.enter(s, d)
}

// secondary reports whether a secondary replica refuses a backup: it takes full backups that are copy-only and logs that are not.
func (d *database) secondary(st backupStatement) bool {
	if d.replica == nil || d.replica.Primary {
		return false
	}
	copyOnly := st.options.has("COPY_ONLY")
	return st.log && copyOnly || !st.log && (!copyOnly || st.options.has("DIFFERENTIAL"))
}

// runBackup writes the devices and tells how far it is. It completes the set by what is known at its end.
func (in *Instance) runBackup(ctx context.Context, s *tds.Session, st backupStatement, d *database, set *Set, a *tds.Answer, f *strike) error {
	families, add, err := in.families(ctx, st)
	if err != nil {
		return err
	}
	if err := in.unreadable(d, st, set); err != nil {
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
	err = in.progress(ctx, s, set.Database, st.options.numbers["STATS"], a, f, func(percent int) error {
		for i, d := range devices {
			if err := d.Advance(ctx, percent); err != nil {
				return writeMessage(ctx, st.devices[i].path, err)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	set.Finish = in.config.Now().Truncate(time.Second)
	for i, d := range devices {
		if err := d.Commit(ctx, set.Finish); err != nil {
			return writeMessage(ctx, st.devices[i].path, err)
		}
	}
	in.keep(ctx, d, st, *set, families[0].MediaSet)
	return nil
}

// unreadable finds the damaged page when the backup looks at checksums.
func (in *Instance) unreadable(d *database, st backupStatement, set *Set) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if st.log || !d.damaged || !set.Checksum {
		return nil
	}
	if !st.options.has("CONTINUE_AFTER_ERROR") {
		return failure(3043, "BACKUP '%s' detected an error on page (%d:%d) in file '%s'.", d.name, damagedFile, damagedPage, d.files[0].Physical)
	}
	set.Damaged = true
	return nil
}

// progress says how far a statement is, as often as STATS wants, and strikes.
func (in *Instance) progress(ctx context.Context, s *tds.Session, database string, step int, a *tds.Answer, f *strike, work func(percent int) error) error {
	for percent := step; step > 0 && percent <= 100; percent += step {
		in.mu.Lock()
		in.running[s.ID].percent = percent
		in.mu.Unlock()
		if err := in.pace(ctx, s, database, percent); err != nil {
			return err
		}
		if err := work(percent); err != nil {
			return err
		}
		if err := errors.Join(a.Message(percentProcessed(percent)), a.Flush()); err != nil && ctx.Err() == nil {
			return err
		}
	}
	if err := in.pace(ctx, s, database, 100); err != nil {
		return err
	}
	if err := f.strike(ctx, Inside, a); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return aborted()
	}
	return nil
}

// nothing is the work of a statement whose work is done at its end.
func nothing(int) error { return nil }

func (in *Instance) pace(ctx context.Context, s *tds.Session, database string, percent int) error {
	in.mu.Lock()
	paced := in.config.Pace != nil && in.running[s.ID].database != 0
	in.mu.Unlock()
	if paced {
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
func (in *Instance) keep(ctx context.Context, d *database, st backupStatement, set Set, media tds.GUID) {
	position := 1
	if st.devices[0].url {
		// Nothing is ever added there.
	} else if _, sets, err := in.read(context.WithoutCancel(ctx), st.devices[0]); err == nil {
		position = len(sets)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	in.history = append(in.history, historyEntry{set: set, position: position, media: media, devices: st.devices})
	switch {
	case st.log && !set.CopyOnly:
		d.logStart, d.firstFork, d.begins, d.bulk = set.Last, set.Fork, false, false
	case !st.log && !set.CopyOnly:
		if set.Type == DatabaseSet {
			d.fullLSN, d.baseLSN, d.baseID = set.Checkpoint, set.Checkpoint, set.ID
		}
		if d.model != Simple && d.logStart == 0 {
			d.logStart, d.firstFork, d.begins = set.First, d.fork, true
		}
	}
	if st.options.has("NORECOVERY") {
		d.state, d.restored = Restoring, set.LogEnd
	}
	if file := st.options.texts["STANDBY"]; file != "" {
		d.standby, d.restored = file, set.LogEnd
	}
}
