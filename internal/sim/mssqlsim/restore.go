package mssqlsim

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/internal/sim/mssqlsim/tds"
)

func (in *Instance) restore(ctx context.Context, s *tds.Session, st restoreStatement, a *tds.Answer) error {
	if s.InTransaction() {
		return failure(3021, "Cannot perform a backup or restore operation within a transaction.")
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.exclusive(s, st.database); err != nil {
		return err
	}
	d := in.find(st.database)
	if len(st.devices) == 0 {
		if d == nil {
			return noDatabase(st.database)
		}
		if !d.restoring {
			return failure(3153, "The database is already fully recovered.")
		}
		d.recover()
		return a.Message(info(3014, "RESTORE DATABASE successfully processed 0 pages in 0.010 seconds (0.000 MB/sec)."))
	}
	set, err := in.pick(ctx, st)
	if err != nil {
		return err
	}
	if set.Records, err = in.load(ctx, st); err != nil {
		return err
	}
	switch {
	case st.what == "LOG" && set.Type != LogSet:
		return failure(3135, "The backup set in file '%s' was created by BACKUP DATABASE and cannot be used for this restore operation.", st.devices[0])
	case st.what == "DATABASE" && set.Type == LogSet:
		return failure(3135, "The backup set in file '%s' was created by BACKUP LOG and cannot be used for this restore operation.", st.devices[0])
	case !st.options.stopAt.IsZero() && set.Model == Simple:
		return failure(3145, "The STOPAT option is not supported for databases that use the SIMPLE recovery model.")
	case set.Type == DatabaseSet:
		d, err = in.restoreFull(d, st, set)
	default:
		err = rollForward(d, st, set)
	}
	if err != nil {
		return err
	}
	early := !st.options.stopAt.IsZero() && set.Type == LogSet && set.Finish.Before(st.options.stopAt)
	if early {
		err = a.Message(info(4322, "This backup set contains records that were logged before the designated point in time. "+
			"The database is being left in the restoring state so that more roll forward can be performed."))
	}
	if !early && !st.options.has("NORECOVERY") {
		d.recover()
	}
	return errors.Join(err, a.Message(info(3014, "RESTORE %s successfully processed %d pages in 0.010 seconds (0.001 MB/sec).", st.what, len(set.Records))))
}

// exclusive checks that nobody is in the database.
func (in *Instance) exclusive(s *tds.Session, name string) error {
	for other, at := range in.sessions {
		if !strings.EqualFold(at, name) {
			continue
		}
		if other == s {
			return failure(3102, "RESTORE cannot process database '%s' because it is in use by this session. "+
				"It is recommended that the master database be used when performing this operation.", name)
		}
		return failure(3101, "Exclusive access could not be obtained because the database is in use.")
	}
	return nil
}

// pick reads the devices and finds the set that FILE names.
func (in *Instance) pick(ctx context.Context, st restoreStatement) (Set, error) {
	var found []Set
	seen := map[int]bool{}
	count := 0
	var mediaSet tds.GUID
	for i, path := range st.devices {
		family, sets, err := in.config.Media.Read(ctx, path)
		if err != nil {
			return Set{}, deviceMessage(ctx, path, err)
		}
		if i > 0 && family.MediaSet != mediaSet {
			return Set{}, failure(3258, "The volume on the device \"%s\" is not part of the media set that is currently being processed. "+
				"Ensure that the backup devices are loaded with the correct media.", path)
		}
		seen[family.Sequence] = true
		found, count, mediaSet = sets, family.Count, family.MediaSet
	}
	if len(seen) < count {
		return Set{}, failure(3132, "The media set has %d media families but only %d are provided. All members must be provided.", count, len(seen))
	}
	position := max(1, st.options.file)
	if position > len(found) {
		return Set{}, failure(4038, "Cannot find file ID %d on device '%s'.", position, st.devices[0])
	}
	set := found[position-1]
	if st.options.has("CHECKSUM") && !set.Checksum {
		return Set{}, failure(3187, "RESTORE WITH CHECKSUM cannot be specified because the backup set does not contain checksum information.")
	}
	return set, nil
}

func (in *Instance) restoreFull(d *database, st restoreStatement, set Set) (*database, error) {
	replace := st.options.has("REPLACE")
	switch {
	case d == nil || replace:
	case d.family != set.FamilyGUID:
		return nil, failure(3154, "The backup set holds a backup of a database other than the existing '%s' database.", d.name)
	case !d.restoring && d.model != Simple && d.logStart != 0 && st.options.stopAt.IsZero():
		return nil, failure(3159, "The tail of the log for the database \"%s\" has not been backed up. Use BACKUP LOG WITH NORECOVERY to backup the log "+
			"if it contains work you do not want to lose. Use the WITH REPLACE or WITH STOPAT clause of the RESTORE statement to just overwrite the contents of the log.", d.name)
	}
	files := slices.Clone(set.Files)
	for logical, physical := range st.options.moves {
		i := slices.IndexFunc(files, func(f File) bool { return strings.EqualFold(f.Logical, logical) })
		if i < 0 {
			return nil, failure(3234, "Logical file '%s' is not part of database '%s'. Use RESTORE FILELISTONLY to list the logical file names.", logical, st.database)
		}
		files[i].Physical = physical
	}
	if d == nil {
		d = &database{name: st.database}
		in.add(d)
	}
	d.restoring, d.model, d.created, d.files = true, set.Model, set.Created, files
	d.ballast = set.Ballast
	d.records, d.next, d.logStart = slices.Clone(set.Records), set.Last, 0
	d.family, d.binding, d.fork, d.firstFork, d.forkPoint = set.FamilyGUID, set.Binding, set.Fork, set.Fork, 0
	d.fullLSN, d.baseLSN, d.baseID = set.Checkpoint, set.Checkpoint, set.ID
	return d, nil
}

// rollForward applies a differential or a log to a database that waits for it.
func rollForward(d *database, st restoreStatement, set Set) error {
	if d == nil {
		return failure(3118, "The database \"%s\" does not exist. RESTORE can only create a database when restoring either a full backup or a file backup of the primary file.", st.database)
	}
	if !d.restoring {
		return failure(3117, "The log or differential backup cannot be restored because no files are ready to rollforward.")
	}
	if set.Type == DifferentialSet {
		if set.BaseID != d.baseID {
			return failure(3136, "This differential backup cannot be restored because the database has not been restored to the correct earlier state.")
		}
		kept := slices.DeleteFunc(d.records, func(r Record) bool { return r.LSN >= set.BaseLSN })
		d.records, d.next, d.fork, d.firstFork = append(kept, set.Records...), set.Last, set.Fork, set.Fork
		return nil
	}
	return d.applyLog(st, set)
}

func (d *database) applyLog(st restoreStatement, set Set) error {
	switch {
	case set.FamilyGUID != d.family:
		return failure(3154, "The backup set holds a backup of a database other than the existing '%s' database.", d.name)
	case set.First > d.next:
		return failure(4305, "The log in this backup set begins at LSN %s, which is too recent to apply to the database. An earlier log backup that includes LSN %s can be restored.", set.First, d.next)
	case set.Last < d.next:
		return failure(4326, "The log in this backup set terminates at LSN %s, which is too early to apply to the database. A more recent log backup that includes LSN %s can be restored.", set.Last, d.next)
	case set.FirstFork != d.fork || set.Fork != set.FirstFork && d.next > set.ForkPoint:
		return failure(4330, "This backup set cannot be applied because it is on a recovery path that is inconsistent with the database.")
	}
	last := set.Last
	var fresh []Record
	for _, r := range set.Records {
		if !st.options.stopAt.IsZero() && r.At.After(st.options.stopAt) {
			last = min(last, r.LSN)
			break
		}
		if r.LSN >= d.next {
			fresh = append(fresh, r)
		}
	}
	if n := len(d.records); last < d.next || n > 0 && !st.options.stopAt.IsZero() && d.records[n-1].At.After(st.options.stopAt) {
		return failure(4335, "The specified STOPAT time is too early. All or part of the database is already rolled forward beyond that point.")
	}
	d.records, d.next, d.fork, d.firstFork = append(d.records, fresh...), last, set.Fork, set.Fork
	return nil
}

// recover brings a database online. What is written from here on is another future than that of the backups: a new fork begins.
func (d *database) recover() {
	d.restoring = false
	d.binding = newGUID()
	d.firstFork, d.fork, d.forkPoint = d.fork, newGUID(), d.next
	d.logStart = 0
	if d.model != Simple {
		d.logStart = d.next
	}
}
