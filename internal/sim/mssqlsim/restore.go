package mssqlsim

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

func (in *Instance) restore(ctx context.Context, s *tds.Session, st restoreStatement, a *tds.Answer, f *strike) error {
	if s.InTransaction() {
		return failure(3021, "Cannot perform a backup or restore operation within a transaction.")
	}
	if err := st.options.tuned(len(st.devices) > 0 && st.devices[0].url); err != nil {
		return err
	}
	if err := in.allowsRestore(s, st); err != nil {
		return err
	}
	if len(st.devices) == 0 {
		return in.recoverOnly(st, a)
	}
	set, err := in.pick(ctx, st)
	if err != nil {
		return err
	}
	if err := in.unlocked(set.TDEThumbprint, ""); err != nil {
		return err
	}
	d, err := in.beginRestore(s, st, set, a)
	if err != nil {
		return err
	}
	err = in.progress(ctx, s, st.database, st.options.numbers["STATS"], a, f, nothing)
	if err == nil {
		set.Records, err = in.readSet(ctx, st)
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	d.busy = false
	delete(in.running, s.ID)
	if err != nil {
		return err
	}
	if err := in.applySet(d, st, set, a); err != nil {
		return err
	}
	if strings.EqualFold(d.name, "master") {
		in.stopped = true
		return errors.Join(a.Message(info(3150, "The master database has been successfully restored. Shutting down SQL Server.")), a.Flush(), tds.ErrGone)
	}
	return errors.Join(
		a.Message(info(4035, "Processed %d pages for database '%s', file '%s' on file %d.", len(set.Records), d.name, d.files[0].Logical, st.position())),
		a.Message(info(3014, "RESTORE %s successfully processed %d pages in 0.010 seconds (0.001 MB/sec).", st.what, len(set.Records))))
}

// allowsRestore applies the rules that ask for the server and the database that is there, not for the backup.
func (in *Instance) allowsRestore(s *tds.Session, st restoreStatement) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	master := strings.EqualFold(st.database, "master")
	r := in.right(s)
	switch {
	case d == nil && r != SysAdmin && r != Creator:
		return denied("CREATE DATABASE", "master")
	case r != SysAdmin && r != Creator:
		m := failure(3110, "User does not have permission to RESTORE database '%s'.", d.name)
		m.Class = 14
		return m
	case strings.EqualFold(st.database, "tempdb"):
		return failure(3147, "Backup and restore operations are not allowed on database tempdb.")
	case master && !in.single:
		return failure(3108, "To restore the master database, the server must be running in single-user mode. "+
			"For information on starting in single-user mode, see \"How to: Start an Instance of SQL Server (sqlservr.exe)\" in Books Online.")
	case master && (st.what != "DATABASE" || st.options.given("NORECOVERY") || st.options.given("STANDBY") || st.options.stop.set()):
		return masterInOneStep()
	case !master && in.single:
		return failure(3112, "Cannot restore any database other than master when the server is in single user mode.")
	case d != nil && d.replica != nil:
		return failure(3104, "RESTORE cannot operate on database '%s' because it is configured for database mirroring or has joined an availability group. "+
			"If you intend to restore the database, use ALTER DATABASE to remove mirroring or to remove the database from its availability group.", d.name)
	case d != nil && d.snapshotOf != nil:
		return failure(3002, "Cannot BACKUP or RESTORE a database snapshot.")
	case d != nil && !master:
		return in.exclusive(s, d)
	}
	return nil
}

func masterInOneStep() tds.Message {
	return failure(3109, "Master can only be restored and fully recovered in a single step using a full database backup. "+
		"Options such as NORECOVERY, STANDBY, and STOPAT are not supported.")
}

// exclusive checks that nobody is in the database.
func (in *Instance) exclusive(s *tds.Session, d *database) error {
	if p := in.sessions[s]; strings.EqualFold(p.database, d.name) {
		return failure(3102, "RESTORE cannot process database '%s' because it is in use by this session. "+
			"It is recommended that the master database be used when performing this operation.", d.name)
	}
	if in.occupied(d, s) || d.busy {
		return failure(3101, "Exclusive access could not be obtained because the database is in use.")
	}
	return nil
}

// recoverOnly is RESTORE DATABASE without a device.
func (in *Instance) recoverOnly(st restoreStatement, a *tds.Answer) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	switch {
	case d == nil:
		return noDatabase(st.database)
	case d.state != Restoring && d.standby == "":
		return failure(3153, "The database is already fully recovered.")
	case d.unfinished != tds.GUID{} || d.next == 0:
		return failure(4333, "The database cannot be recovered because the log was not restored.")
	}
	d.settle(st.options)
	return a.Message(info(3014, "RESTORE DATABASE successfully processed 0 pages in 0.010 seconds (0.000 MB/sec)."))
}

// beginRestore checks whether the set fits. From then on a database that is restored from a full backup has lost what it had.
func (in *Instance) beginRestore(s *tds.Session, st restoreStatement, set Set, a *tds.Answer) (*database, error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	d := in.find(st.database)
	if err := in.fits(d, st, set); err != nil {
		return nil, err
	}
	files, problems := in.place(d, st, set)
	if len(problems) > 0 {
		for _, m := range problems[:len(problems)-1] {
			if err := a.Message(m); err != nil {
				return nil, err
			}
		}
		return nil, problems[len(problems)-1]
	}
	if d == nil {
		d = &database{name: st.database}
		in.add(d)
	}
	if set.Type == DatabaseSet {
		access := d.access
		*d = database{id: d.id, name: d.name, access: access, unfinished: set.ID, created: set.Created, model: set.Model, ballast: set.Ballast}
	}
	d.state, d.standby, d.busy, d.files = Restoring, "", true, files
	in.running[s.ID] = &activity{command: "RESTORE " + st.what, database: d.id, since: in.config.Now()}
	return d, nil
}

// fits applies the rules that ask for the backup.
func (in *Instance) fits(d *database, st restoreStatement, set Set) error {
	device := st.devices[0].path
	system := slices.Contains([]string{"master", "model", "msdb"}, strings.ToLower(set.Database)) && strings.EqualFold(set.Database, st.database)
	stop := st.options.stop
	switch {
	case st.what == "LOG" && set.Type != LogSet:
		return failure(3135, "The backup set in file '%s' was created by BACKUP DATABASE and cannot be used for this restore operation.", device)
	case st.what == "DATABASE" && set.Type == LogSet:
		return failure(3135, "The backup set in file '%s' was created by BACKUP LOG and cannot be used for this restore operation.", device)
	case strings.EqualFold(st.database, "master") && set.Type != DatabaseSet:
		return masterInOneStep()
	case system && set.Version != in.config.Version:
		return failure(3168, "The backup of the system database on the device %s cannot be restored because it was created by a different version of the server (%s) than this server (%s).",
			device, versionText(set.Version), versionText(in.config.Version))
	case databaseVersion(set.Version) > databaseVersion(in.config.Version):
		return failure(3169, "The database was backed up on a server running database version %d. That version is incompatible with this server, which supports version %d. "+
			"Either restore the database on a server that supports the backup, or use a backup that is compatible with this server.",
			databaseVersion(set.Version), databaseVersion(in.config.Version))
	case st.options.given("STANDBY") && databaseVersion(set.Version) < databaseVersion(in.config.Version):
		return failure(3180, "This backup cannot be restored using WITH STANDBY because a database upgrade is needed. Reissue the RESTORE without WITH STANDBY.")
	case set.Damaged && set.Type != LogSet && !st.options.has("CONTINUE_AFTER_ERROR"):
		return failure(3182, "The backup set cannot be restored because the database was damaged when the backup occurred. Salvage attempts may exploit WITH CONTINUE_AFTER_ERROR.")
	case stop.set() && set.Model == Simple:
		return failure(3145, "The STOPAT option is not supported for databases that use the SIMPLE recovery model.")
	case stop.marked() && st.what == "DATABASE":
		return failure(4340, "The point-in-time clause of this RESTORE statement is restricted for use by RESTORE LOG statements only. "+
			"Omit the clause or use a clause that includes a timestamp.")
	case !stop.at.IsZero() && set.Type != LogSet && set.end().After(stop.at):
		return failure(4338, "The STOPAT clause specifies a point too early to allow this backup set to be restored. "+
			"Choose a different stop point or use RESTORE DATABASE WITH RECOVERY to recover at the current point.")
	case set.TransferSize > 0 && st.options.numbers["MAXTRANSFERSIZE"] > 0 && set.TransferSize > st.options.numbers["MAXTRANSFERSIZE"] &&
		slices.ContainsFunc(set.Files, func(f File) bool { return f.Stream }):
		return failure(3199, "RESTORE requires MAXTRANSFERSIZE=%d but %d was specified.", set.TransferSize, st.options.numbers["MAXTRANSFERSIZE"])
	case set.Type == DatabaseSet:
		return mayReplace(d, st, set)
	}
	return d.mayRollForward(st, set)
}

// mayReplace checks whether a full backup may overwrite the database that is there.
func mayReplace(d *database, st restoreStatement, set Set) error {
	stop := st.options.stop.at
	if d == nil || st.options.has("REPLACE") {
		return nil
	}
	tail := d.state == Online && d.standby == "" && d.model != Simple && d.logStart != 0
	switch {
	case d.family != set.FamilyGUID && d.family != tds.GUID{}:
		return failure(3154, "The backup set holds a backup of a database other than the existing '%s' database.", d.name)
	case tail && stop.IsZero():
		return failure(3159, "The tail of the log for the database \"%s\" has not been backed up. Use BACKUP LOG WITH NORECOVERY to backup the log "+
			"if it contains work you do not want to lose. Use the WITH REPLACE or WITH STOPAT clause of the RESTORE statement to just overwrite the contents of the log.", d.name)
	case tail && slices.ContainsFunc(d.records, func(r Record) bool { return r.LSN >= d.logStart && !r.At.After(stop) }):
		return failure(3173, "The STOPAT clause provided with this RESTORE statement indicates that the tail of the log contains changes that must be backed up "+
			"to reach the target point in time. The tail of the log for the database \"%s\" has not been backed up. Use BACKUP LOG WITH NORECOVERY to back up the log, "+
			"or use the WITH REPLACE clause in your RESTORE statement to overwrite the tail of the log.", d.name)
	}
	return nil
}

// mayRollForward checks whether a differential or a log continues what was restored.
func (d *database) mayRollForward(st restoreStatement, set Set) error {
	switch {
	case d == nil:
		return failure(3118, "The database \"%s\" does not exist. RESTORE can only create a database when restoring either a full backup or a file backup of the primary file.", st.database)
	case d.state != Restoring && d.standby == "":
		return failure(3117, "The log or differential backup cannot be restored because no files are ready to rollforward.")
	case d.unfinished != tds.GUID{}:
		return failure(4319, "A previous restore operation was interrupted and did not complete processing on file '%s'. "+
			"Either restore the backup set that was interrupted or restart the restore sequence.", d.files[0].Logical)
	case d.incomplete && !st.options.has("CONTINUE_AFTER_ERROR"):
		return failure(4323, "A previous RESTORE WITH CONTINUE_AFTER_ERROR operation left the database in a potentially damaged state. "+
			"To continue this RESTORE sequence, all further steps must include the CONTINUE_AFTER_ERROR option.")
	case set.FamilyGUID != d.family:
		return failure(3154, "The backup set holds a backup of a database other than the existing '%s' database.", d.name)
	case set.Type == DifferentialSet && set.BaseID != d.baseID:
		return failure(3136, "This differential backup cannot be restored because the database has not been restored to the correct earlier state.")
	case set.Type == DifferentialSet && set.Last < d.next:
		return failure(3120, "This backup set will not be restored because all data has already been restored to a point beyond the time covered by this backup set.")
	case set.Type == DifferentialSet:
		return nil
	}
	return d.continues(st.options.stop, set)
}

// continues checks the order of logs, and that the restore can stop where it shall.
func (d *database) continues(stop stop, set Set) error {
	switch {
	case set.First > d.next:
		return failure(4305, "The log in this backup set begins at LSN %s, which is too recent to apply to the database. An earlier log backup that includes LSN %s can be restored.", set.First, d.next)
	case set.Last < d.next:
		return failure(4326, "The log in this backup set terminates at LSN %s, which is too early to apply to the database. A more recent log backup that includes LSN %s can be restored.", set.Last, d.next)
	case set.FirstFork != d.fork && set.Fork != d.fork || set.Fork != set.FirstFork && set.FirstFork == d.fork && d.next > set.ForkPoint:
		return failure(4330, "This backup set cannot be applied because it is on a recovery path that is inconsistent with the database. "+
			"The recovery path is the sequence of data and log backups that have brought the database to a particular recovery point. "+
			"Find a compatible backup to restore, or restore the rest of the database to match a recovery point within this backup set, "+
			"which will restore the database to a different point in time.  For more information about recovery paths, see SQL Server Books Online.")
	case stop.bad:
		return failure(4334, "The named mark does not identify a valid LSN.")
	case !stop.at.IsZero() && stop.at.Before(d.restored), stop.lsn > 0 && stop.lsn < d.next:
		return failure(4335, "The specified STOPAT time is too early. All or part of the database is already rolled forward beyond that point.")
	}
	if _, _, reached := d.cut(stop, set); reached && set.BulkLogged && (stop.marked() || set.end().After(stop.at)) {
		return failure(4341, "This log backup contains bulk-logged changes. It cannot be used to stop at an arbitrary point in time.")
	}
	return nil
}

// cut finds where a log is stopped: the records before it, its LSN, and whether the log reaches it.
func (d *database) cut(stop stop, set Set) (fresh []Record, last LSN, reached bool) {
	last = set.Last
	if stop.lsn > 0 && stop.lsn < set.Last {
		if reached, last = true, stop.lsn; !stop.before {
			last++
		}
	}
	for _, r := range set.Records {
		named := stop.mark != "" && strings.EqualFold(r.Mark, stop.mark) && r.LSN >= d.next && !r.At.Before(stop.after)
		if named && stop.before || !stop.at.IsZero() && r.At.After(stop.at) || stop.lsn > 0 && r.LSN >= last {
			return fresh, min(last, r.LSN), true
		}
		if r.LSN >= d.next {
			fresh = append(fresh, r)
		}
		if named {
			return fresh, r.LSN + blockOfLSN, true
		}
	}
	return fresh, last, reached || !stop.at.IsZero() && !set.end().Before(stop.at)
}

// readSet reads what is restored; damage shows now.
func (in *Instance) readSet(ctx context.Context, st restoreStatement) ([]Record, error) {
	records, err := in.load(ctx, st)
	var m tds.Message
	if errors.As(err, &m) && m.Number == 3183 && st.options.has("CONTINUE_AFTER_ERROR") {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.find(st.database).incomplete = true
		return nil, nil
	}
	return records, err
}

// applySet makes the database what the set says. The caller holds the lock.
func (in *Instance) applySet(d *database, st restoreStatement, set Set, a *tds.Answer) error {
	switch set.Type {
	case DatabaseSet:
		d.unfinished = tds.GUID{}
		d.records, d.next, d.logStart, d.restored = slices.Clone(set.Records), set.Last, 0, set.end()
		d.family, d.binding, d.fork, d.firstFork, d.forkPoint = set.FamilyGUID, set.Binding, set.Fork, set.Fork, 0
		d.fullLSN, d.baseLSN, d.baseID = set.Checkpoint, set.Checkpoint, set.ID
		d.readOnly, d.captured, d.published, d.broker = set.ReadOnly, set.Captured, set.Published, set.Broker
		d.incomplete = d.incomplete || set.Damaged
		d.damaged = set.Damaged
		for _, c := range in.certificates {
			if len(set.TDEThumbprint) > 0 && slices.Equal(c.Thumbprint, set.TDEThumbprint) {
				d.certificate = c.Name
			}
		}
	case DifferentialSet:
		kept := slices.DeleteFunc(d.records, func(r Record) bool { return r.LSN >= set.BaseLSN })
		d.records, d.next, d.fork, d.firstFork, d.restored = append(kept, set.Records...), set.Last, set.Fork, set.Fork, set.end()
	case LogSet:
		fresh, last, reached := d.cut(st.options.stop, set)
		if last <= set.ForkPoint && set.FirstFork != set.Fork {
			d.fork = set.FirstFork
		} else {
			d.fork = set.Fork
		}
		d.records, d.next, d.firstFork, d.restored = append(d.records, fresh...), max(last, d.next), d.fork, set.end()
		if stop := st.options.stop; stop.set() && !reached {
			if stop.marked() {
				return a.Message(noMarkYet())
			}
			return a.Message(readyToRecover())
		}
		if at := st.options.stop.at; !at.IsZero() && at.Before(d.restored) {
			d.restored = at
		}
	}
	d.settle(st.options)
	return nil
}

// settle leaves a database as the options of its last restore want it.
func (d *database) settle(o options) {
	d.standby = ""
	switch {
	case o.has("NORECOVERY"):
		d.state = Restoring
		return
	case o.texts["STANDBY"] != "":
		d.state, d.standby = Online, o.texts["STANDBY"]
		return
	}
	d.recover()
	if o.has("RESTRICTED_USER") {
		d.access = restrictedUser
	}
	d.broker = o.has("ENABLE_BROKER") || o.has("NEW_BROKER")
	d.captured = d.captured && o.has("KEEP_CDC")
	d.published = d.published && o.has("KEEP_REPLICATION")
}

// recover brings a database online. What is written from here on is another future than that of the backups: a new fork begins.
func (d *database) recover() {
	d.state, d.restored, d.incomplete, d.lost = Online, time.Time{}, false, false
	d.binding = newGUID()
	d.firstFork, d.fork, d.forkPoint = d.fork, newGUID(), d.next
	d.logStart = 0
	if d.model != Simple {
		d.logStart = d.next
	}
}

// place finds where the files go, and says why they cannot go there: the causes, then the message that sums up.
func (in *Instance) place(d *database, st restoreStatement, set Set) ([]File, []tds.Message) {
	var problems []tds.Message
	files := slices.Clone(set.Files)
	fresh := func(f File) bool {
		return set.Type == DatabaseSet || !slices.ContainsFunc(d.files, func(old File) bool { return old.ID == f.ID })
	}
	if set.Type != DatabaseSet {
		files = slices.Clone(d.files)
		for _, f := range set.Files {
			if fresh(f) {
				files = append(files, f)
			}
		}
	}
	moved := map[string]bool{}
	for _, m := range st.options.moves {
		i := slices.IndexFunc(files, func(f File) bool { return strings.EqualFold(f.Logical, m.logical) })
		switch {
		case i < 0:
			return nil, []tds.Message{failure(3234, "Logical file '%s' is not part of database '%s'. Use RESTORE FILELISTONLY to list the logical file names.", m.logical, st.database)}
		case moved[strings.ToLower(m.logical)]:
			return nil, []tds.Message{failure(4353, "Conflicting file relocations have been specified for file '%s'. Only a single WITH MOVE clause should be specified for any logical file name.", m.logical)}
		case !fresh(files[i]):
			return nil, []tds.Message{failure(3174, "The file '%s' cannot be moved by this RESTORE operation.", m.logical)}
		case d != nil && d.system() && !strings.EqualFold(files[i].Physical, m.physical):
			return nil, []tds.Message{failure(3179, "The system database cannot be moved by RESTORE.")}
		}
		moved[strings.ToLower(m.logical)] = true
		files[i].Physical = m.physical
	}
	for i, f := range files {
		if fresh(f) {
			problems = append(problems, in.placeFile(d, st, files[:i], f)...)
		}
	}
	if need := in.bytes(files); len(problems) == 0 && in.config.FreeBytes > 0 && need > in.config.FreeBytes {
		problems = append(problems, failure(3257, "There is insufficient free space on disk volume '%s' to create the database. "+
			"The database requires %d additional free bytes, while only %d bytes are available.", volume(files[0].Physical), need, in.config.FreeBytes))
	}
	if len(problems) > 0 {
		problems = append(problems, planningFailed())
	}
	return files, problems
}

func (in *Instance) bytes(files []File) (sum int64) {
	for _, f := range files {
		sum += f.Bytes
	}
	return sum
}

// volume is the mount point of a path.
func volume(path string) string {
	if len(path) > 2 && path[1] == ':' {
		return path[:3]
	}
	return "/"
}

// placeFile says why a file of a restore cannot be where it shall.
func (in *Instance) placeFile(d *database, st restoreStatement, before []File, f File) []tds.Message {
	elsewhere := failure(3156, "File '%s' cannot be restored to '%s'. Use WITH MOVE to identify a valid location for the file.", f.Logical, f.Physical)
	for _, other := range before {
		if plainPath(other.Physical) == plainPath(f.Physical) {
			return []tds.Message{failure(3176, "File '%s' is claimed by '%s'(%d) and '%s'(%d). The WITH MOVE clause can be used to relocate one or more files.",
				f.Physical, f.Logical, f.ID, other.Logical, other.ID)}
		}
	}
	for _, other := range in.databases {
		if other == d {
			continue
		}
		for _, taken := range other.files {
			if plainPath(taken.Physical) == plainPath(f.Physical) {
				return []tds.Message{failure(1834, "The file '%s' cannot be overwritten. It is being used by database '%s'.", f.Physical, other.name), elsewhere}
			}
		}
	}
	path := plainPath(f.Physical)
	folder := path[:max(0, strings.LastIndexByte(path, '/'))]
	known := in.config.Folders == nil
	for _, allowed := range append([]string{in.config.DataPath, in.config.LogPath}, in.config.Folders...) {
		known = known || plainPath(allowed) == folder
	}
	switch {
	case !known:
		return []tds.Message{failure(5133, "Directory lookup for the file \"%s\" failed with the operating system error 2(The system cannot find the file specified.).", f.Physical), elsewhere}
	case in.foreign[path] && !st.options.has("REPLACE"):
		return []tds.Message{failure(3142, "File \"%s\" cannot be restored over the existing \"%s\". Reissue the RESTORE statement using WITH REPLACE "+
			"to overwrite pre-existing files, or WITH MOVE to identify an alternate location.", f.Logical, f.Physical)}
	}
	return nil
}
