package oracle

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/quiesce-go/quiesce/backup"
)

// hotCopier copies the data files of an open database in backup mode [BRU 29.4].
type hotCopier struct{}

func (hotCopier) data(ctx context.Context, r *run) (span, error) {
	var done span
	for _, sc := range r.scopes() {
		began := func(state map[int]backupState) error { return r.copyScope(ctx, sc, state) }
		err := r.refresh(ctx, sc)
		if err != nil {
			return done, err
		}
		if slices.ContainsFunc(sc.files, func(i int) bool { return r.written(r.inv.DataFiles[i]) }) {
			err = r.hot(ctx, sc, began)
		} else {
			err = began(nil)
		}
		if err != nil {
			return done, err
		}
	}
	// A data file that came to be since the survey is not copied. All its redo is in the logs, when these go back to the survey.
	done.from = r.inv.CurrentSCN
	for _, d := range r.inv.DataFiles {
		if d.BackupSCN != 0 {
			done.from = min(done.from, d.BackupSCN)
		}
	}
	err := r.s.with(ctx, func(c *session) (err error) {
		// Read behind the last END BACKUP: a restore to this SCN has applied that.
		if done.end, err = c.scn(ctx); err != nil {
			return err
		}
		done.at, err = c.now(ctx)
		return err
	})
	return done, err
}

// refresh reads again what the server says of the data files of a scope: hours may have passed since the survey, and files grow, or become read-only.
func (r *run) refresh(ctx context.Context, sc scope) error {
	now := *r.inv
	if err := r.s.with(ctx, func(c *session) error { return c.askFiles(ctx, &now) }); err != nil {
		return r.s.fail(ctx, "look at the data files of", sc.String(), err)
	}
	for _, i := range sc.files {
		d := &r.inv.DataFiles[i]
		at := slices.IndexFunc(now.DataFiles, func(n DataFile) bool { return n.File == d.File && n.CreationSCN == d.CreationSCN })
		if at < 0 {
			return fmt.Errorf("data file %d, %s, was dropped since the backup began: run again", d.File, d.Name)
		}
		*d = now.DataFiles[at]
	}
	r.present = now.DataFiles
	return nil
}

// written reports whether the database may write to the file.
func (r *run) written(d DataFile) bool {
	if d.Status == "OFFLINE" || d.Status == "SYSOFF" || d.Status == "RECOVER" || d.Enabled == "READ ONLY" || d.Enabled == "DISABLED" {
		return false
	}
	for _, c := range r.inv.Containers {
		if c.ID == d.Container {
			return c.OpenMode == openReadWrite
		}
	}
	return true
}

// scopes are what goes into backup mode together, in order. A tablespace of which one file is offline cannot be put into it by its name (ORA-01128); the database as a whole can, and then neither
// offline files nor read-only tablespaces are [SQL].
func (r *run) scopes() []scope {
	var out []scope
	whole := r.s.opt.WholeDatabase || r.inv.CDB
	for _, i := range r.ch.files {
		d := r.inv.DataFiles[i]
		at := slices.IndexFunc(out, func(s scope) bool { return s.tablespace == d.TablespaceName })
		if at < 0 {
			out = append(out, scope{tablespace: d.TablespaceName, files: []int{i}})
			continue
		}
		if r.written(d) != r.written(r.inv.DataFiles[out[at].files[0]]) {
			whole = true
		}
		out[at].files = append(out[at].files, i)
	}
	if whole {
		return []scope{{files: r.ch.files}}
	}
	return out
}

// copyScope copies the files of a scope. state is V$BACKUP after BEGIN BACKUP.
func (r *run) copyScope(ctx context.Context, sc scope, state map[int]backupState) error {
	for _, i := range sc.files {
		if d := r.inv.DataFiles[i]; r.written(d) && !state[d.File].active() {
			return fmt.Errorf("data file %d, %s, is not in backup mode (V$BACKUP says %q) though BEGIN BACKUP succeeded: was it added, or brought online, a moment ago? run again",
				d.File, d.Name, state[d.File].status)
		}
	}
	err := r.parallel(ctx, len(sc.files), func(ctx context.Context, n int) error {
		d := &r.inv.DataFiles[sc.files[n]]
		r.st.Moved()
		if r.written(*d) {
			d.BackupSCN = state[d.File].change
		}
		return r.s.fail(ctx, "copy data file", d.Name, r.copyData(ctx, d))
	})
	if err != nil {
		return err
	}
	return r.untouched(ctx, sc)
}

// untouched makes sure that files which were copied without backup mode, being offline or read-only, stayed so meanwhile.
func (r *run) untouched(ctx context.Context, sc scope) error {
	now := *r.inv
	err := r.s.with(ctx, func(c *session) error { return c.askFiles(ctx, &now) })
	if err != nil {
		return r.s.fail(ctx, "look at the data files of", "", err)
	}
	for _, i := range sc.files {
		d := r.inv.DataFiles[i]
		if r.written(d) {
			continue
		}
		at := slices.IndexFunc(now.DataFiles, func(n DataFile) bool { return n.File == d.File })
		if at < 0 || now.DataFiles[at].Status != d.Status || now.DataFiles[at].Enabled != d.Enabled || now.DataFiles[at].CheckpointSCN != d.CheckpointSCN {
			return fmt.Errorf("data file %d, %s, was %s and %s and is not any more: it was brought online while it was copied; run again", d.File, d.Name, d.Status, d.Enabled)
		}
	}
	return nil
}

// copyData copies one data file and checks it as it passes.
func (r *run) copyData(ctx context.Context, d *DataFile) error {
	a := backup.Artifact{Name: fmt.Sprintf("data/%05d-%s", d.File, baseName(d.Name)), Item: itemName, Role: backup.RoleData, Meta: map[string]string{
		"file": strconv.Itoa(d.File), "tablespace": d.TablespaceName, "path": d.Name, "hot": strconv.FormatBool(d.BackupSCN != 0),
	}}
	err := r.pass(ctx, a, d.Name, func(in *passing) error {
		have, err := r.inv.checkData(ctx, in, d)
		if have != nil {
			in.w.Annotate("checkpoint", strconv.FormatUint(have.CheckpointSCN, 10))
			in.w.Annotate("fractured", strconv.FormatInt(have.Fractured, 10))
		}
		return in.doubt(err)
	})
	if err == nil {
		d.Artifact = a.Name
	}
	return err
}

// copyLogs copies archived logs.
func (r *run) copyLogs(ctx context.Context, logs []ArchivedLog) error {
	if r.rman != nil {
		return r.rman.logs(ctx, logs)
	}
	return r.parallel(ctx, len(logs), func(ctx context.Context, n int) error {
		l := logs[n]
		return r.s.fail(ctx, "copy archived log", l.Name, r.copyLog(ctx, l))
	})
}

func (r *run) copyLog(ctx context.Context, l ArchivedLog) error {
	a := backup.Artifact{Name: l.Artifact, Item: itemName, Role: backup.RoleLog, Meta: map[string]string{
		"thread": strconv.Itoa(l.Thread), "sequence": strconv.FormatUint(l.Sequence, 10), "first": strconv.FormatUint(uint64(l.FirstSCN), 10),
		"next": strconv.FormatUint(uint64(l.NextSCN), 10), "path": l.Name,
	}}
	return r.pass(ctx, a, l.Name, func(in *passing) error { return in.doubt(r.inv.checkLog(ctx, in, l)) })
}
