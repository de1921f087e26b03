package oracle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/oracle/blockfile"
)

// Check implements backup.Checker. It has the server write a copy of its control file, which it reads back and removes, reads the beginning of a data file, and writes a file
// into Options.StateDir. Nothing is put into backup mode, and no log is switched.
func (s *Source) Check(ctx context.Context, dir backup.StageDir) []backup.Finding {
	c, err := s.open(ctx)
	if err != nil {
		return []backup.Finding{finding("server is reachable and takes the login", err)}
	}
	defer c.close()
	inv, err := c.survey(ctx)
	if err != nil {
		return []backup.Finding{finding("server describes its database", s.fail(ctx, "look at", "", err))}
	}
	out := []backup.Finding{{What: fmt.Sprintf("server is reachable: %s on %s, version %s, DBID %d, incarnation %d", inv.Name, inv.Host, inv.Version, inv.DBID, inv.ResetlogsSCN)}}
	ch, err := s.decide(backup.Full, inv, backup.Anchor{})
	if err == nil {
		err = s.archives(inv)
	}
	if err != nil {
		return append(out, finding("database can be backed up while it is open", err))
	}
	out = append(out, s.told(inv, ch))
	out = append(out, c.checkRights(ctx, inv)...)
	out = append(out, s.checkState())
	const job = "check"
	f := s.files(job)
	if s.opt.Mode == ModeRMAN {
		out = append(out, s.checkRMAN(ctx, c, inv)...)
	} else {
		out = append(out, c.checkMode(ctx), s.checkData(ctx, f, inv, ch), s.checkLogs(ctx, c, f, inv))
	}
	out = append(out, s.checkScratch(ctx, c, f, inv, dir))
	if err := f.close(ctx); err != nil {
		out = append(out, backup.Finding{What: staying(err)})
	}
	return out
}

func finding(what string, err error) backup.Finding {
	return backup.Finding{What: what, Err: err, Hint: backup.Hint(err)}
}

// told says what a full would take.
func (s *Source) told(inv *Inventory, ch choice) backup.Finding {
	var bytes int64
	for _, i := range ch.files {
		bytes += inv.DataFiles[i].Bytes
	}
	what := fmt.Sprintf("%d data files to back up, %d MiB, in ARCHIVELOG", len(ch.files), bytes>>20)
	if len(ch.warns) > 0 {
		what += "; " + strings.Join(ch.warns, "; ")
	}
	return backup.Finding{What: what}
}

// checkMode tells of data files that are in backup mode. It is no failure: the next run ends what a dead run of ours left, and log runs do not mind.
func (c *session) checkMode(ctx context.Context) backup.Finding {
	state, err := c.inBackup(ctx)
	if err != nil {
		return finding("backup mode can be looked at", c.src.fail(ctx, "look at the backup mode of", "", err))
	}
	var active []int
	for file, b := range state {
		if b.active() {
			active = append(active, file)
		}
	}
	if len(active) == 0 {
		return backup.Finding{What: "no data file is in backup mode"}
	}
	slices.Sort(active)
	return backup.Finding{What: fmt.Sprintf("data files are in backup mode now, and a full fails unless a dead run of ours left them so: %v", active), Hint: adviceInBackup}
}

// checkRights names what the login lacks, where the server answers that question. That it may ask the views is known already, and EXECUTE on UTL_FILE shows when the copy of the
// control file is removed.
func (c *session) checkRights(ctx context.Context, inv *Inventory) []backup.Finding {
	have := map[string]bool{}
	if err := c.each(ctx, "SELECT PRIVILEGE FROM SESSION_PRIVS ORDER BY PRIVILEGE", func(r row) { have[r.text("PRIVILEGE")] = true }); err != nil {
		return []backup.Finding{{What: "rights cannot be asked for on this server"}}
	}
	if have["SYSDBA"] {
		return []backup.Finding{{What: "login has an administrative privilege"}}
	}
	may := backup.Finding{What: "login may put data files into backup mode and archive logs"}
	need := []string{"ALTER DATABASE", "ALTER SYSTEM"}
	if !c.src.opt.WholeDatabase && !inv.CDB && !have["MANAGE TABLESPACE"] { // both do by ALTER TABLESPACE [SQL]
		need = append(need, "ALTER TABLESPACE")
	}
	if lacks := slices.DeleteFunc(need, func(p string) bool { return have[p] }); len(lacks) > 0 {
		may.Err, may.Hint = fmt.Errorf("it lacks %s", strings.Join(lacks, ", ")), adviceRights
	}
	out := []backup.Finding{may}
	if c.src.opt.Mode != ModeRemote {
		return out
	}
	switch {
	case !have["CREATE ANY DIRECTORY"]:
		out = append(out, backup.Finding{What: "login lacks CREATE ANY DIRECTORY, and reads only folders for which an administrator made a DIRECTORY object"})
	case !have["DROP ANY DIRECTORY"]:
		out = append(out, backup.Finding{What: "login lacks DROP ANY DIRECTORY, which SYSBACKUP does not include: DIRECTORY objects that it creates stay, and are used again"})
	}
	return out
}

// checkState writes where markers are kept.
func (s *Source) checkState() backup.Finding {
	what := "state directory can be written to: " + s.opt.StateDir
	k := s.markersOf("check", uint64(os.Getpid()))
	err := k.save(&marker{Format: 1, Job: "check"})
	if err == nil {
		err = k.drop()
	}
	return finding(what, err)
}

// checkData reads the beginning of the first data file.
func (s *Source) checkData(ctx context.Context, f files, inv *Inventory, ch choice) backup.Finding {
	path := inv.DataFiles[ch.files[0]].Name
	what := "data files can be read: " + path
	in, err := f.open(ctx, path)
	if err == nil {
		defer func() { _ = in.Close() }()
		head := make([]byte, blockfile.MatchBytes)
		n, rerr := io.ReadFull(in, head)
		if rerr != nil && !errors.Is(rerr, io.ErrUnexpectedEOF) {
			err = rerr
		} else if kind, ok := blockfile.Match(head[:n]); !ok || kind != blockfile.Data {
			err = fmt.Errorf("it does not begin as a data file: % x", head[:min(n, 16)])
		}
	}
	if err != nil && advice(err) == "" {
		err = &backup.Error{Op: "read", App: application, Instance: s.instance, Artifact: path, Err: err, Advice: adviceReadable}
	}
	return finding(what, s.fail(ctx, "read", path, err))
}

// checkLogs looks for the last archived log of each thread. One that is not there may have been removed, so that is told and is no failure: with the next log run it is one, or a full instead.
func (s *Source) checkLogs(ctx context.Context, c *session, f files, inv *Inventory) backup.Finding {
	last := NoSCN
	for _, l := range inv.OnlineLogs {
		if l.Status == "CURRENT" {
			last = min(last, l.FirstSCN) // where the last archived log of its thread ends
		}
	}
	what := "archived logs can be read"
	if !s.reads() {
		return backup.Finding{What: what + " by the server"}
	}
	logs, err := c.logs(ctx, inv.ResetlogsSCN, last-1)
	if err != nil {
		return finding(what, s.fail(ctx, "list the archived logs of", "", err))
	}
	var gone []string
	threads := 0
	r := &run{s: s, files: f}
	for i := range logs {
		if i+1 < len(logs) && logs[i+1].Thread == logs[i].Thread {
			continue
		}
		threads++
		err := r.locateLogs(ctx, logs[i:i+1])
		var g *gap
		switch {
		case errors.As(err, &g):
			gone = append(gone, logs[i].String())
		case err != nil:
			return finding(what, err)
		}
	}
	if len(gone) > 0 {
		return backup.Finding{What: "archived logs are not where this process can read them, or were removed: " + strings.Join(gone, ", "), Hint: (&gap{}).Hint()}
	}
	return backup.Finding{What: fmt.Sprintf("%s: the last one of %d threads was looked for", what, threads)}
}

// checkScratch has the server write a control file that this process then reads.
func (s *Source) checkScratch(ctx context.Context, c *session, f files, inv *Inventory, dir backup.StageDir) backup.Finding {
	what := "a file that the server writes can be read by this process"
	room, err := s.scratch(dir, "check")
	if err != nil {
		return finding(what, err)
	}
	server, ours := room.paths(".ctl")
	if err := c.exec(ctx, "ALTER DATABASE BACKUP CONTROLFILE TO "+quoteText(server)+" REUSE"); err != nil {
		return finding(what, s.fail(ctx, "have the server write", server, err))
	}
	in, err := f.open(ctx, ours)
	if err == nil {
		err = inv.checkControl(ctx, in)
		_ = in.Close()
	}
	if rerr := f.remove(context.WithoutCancel(ctx), ours); err == nil && rerr != nil {
		err = fmt.Errorf("remove it: %w", rerr)
	}
	if err != nil {
		err = s.unreadable(ctx, ours, err)
	}
	return finding(what, err)
}

// Estimate implements backup.Estimator: the length of the data files for a full, what was archived since the last link for a log, and the current online logs.
func (s *Source) Estimate(ctx context.Context, req backup.Request) (int64, error) {
	var bytes int64
	err := s.with(ctx, func(c *session) error {
		inv, err := c.survey(ctx)
		if err != nil {
			return err
		}
		ch, err := s.decide(req.Kind, inv, req.Anchors[itemName])
		if err != nil {
			return nil //nolint:nilerr // Backup refuses it in its own words
		}
		for _, l := range inv.OnlineLogs {
			if l.Status == "CURRENT" {
				bytes += l.Bytes
			}
		}
		if ch.kind != backup.Log {
			for _, i := range ch.files {
				bytes += inv.DataFiles[i].Bytes + inv.DataFiles[i].Block1Offset
			}
			return nil
		}
		logs, err := c.logs(ctx, inv.ResetlogsSCN, ch.from.Next)
		for _, l := range logs {
			bytes += l.Bytes
		}
		return err
	})
	return bytes, s.fail(ctx, "estimate", "", err)
}

var (
	_ backup.Checker   = (*Source)(nil)
	_ backup.Estimator = (*Source)(nil)
)
