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

// Check implements backup.Checker. It has the server write a copy of its control file, which it reads back and removes, reads the beginning of a data file, and writes a file into Options.StateDir. Nothing is put into
// backup mode, and no log is switched.
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
	if err != nil {
		return append(out, finding("database can be backed up while it is open", err))
	}
	out = append(out, s.told(inv, ch), c.checkRights(ctx, s.opt.Mode), s.checkState())
	const job = "check"
	f := s.files(job)
	if s.opt.Mode == ModeRMAN {
		out = append(out, s.checkRMAN(ctx, c, inv)...)
	} else {
		out = append(out, c.checkMode(ctx), s.checkData(ctx, f, inv, ch))
	}
	out = append(out, s.checkScratch(ctx, c, f, inv, dir))
	if err := f.close(ctx); err != nil {
		out = append(out, backup.Finding{What: fmt.Sprintf("a DIRECTORY object of the check stays: %v", err)})
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

// checkRights names what the login lacks, where the server answers that question. Administrative logins have all of it.
func (c *session) checkRights(ctx context.Context, mode Mode) backup.Finding {
	have := map[string]bool{}
	if err := c.each(ctx, "SELECT PRIVILEGE FROM SESSION_PRIVS ORDER BY PRIVILEGE", func(r row) { have[r.text("PRIVILEGE")] = true }); err != nil {
		return backup.Finding{What: "rights cannot be asked for on this server"}
	}
	if have["SYSDBA"] || have["SYSBACKUP"] {
		return backup.Finding{What: "login has an administrative privilege"}
	}
	need := []string{"ALTER DATABASE", "ALTER SYSTEM", "ALTER TABLESPACE"}
	if mode == ModeRemote {
		need = append(need, "CREATE ANY DIRECTORY")
	}
	lacks := slices.DeleteFunc(need, func(p string) bool { return have[p] || p == "ALTER TABLESPACE" && have["MANAGE TABLESPACE"] })
	switch {
	case len(lacks) == 0:
		return backup.Finding{What: "login may put data files into backup mode and archive logs"}
	case slices.Equal(lacks, []string{"CREATE ANY DIRECTORY"}):
		return backup.Finding{What: "login lacks CREATE ANY DIRECTORY, and reads folders only for which an administrator made a DIRECTORY object"}
	}
	return backup.Finding{What: "login may put data files into backup mode and archive logs", Err: fmt.Errorf("it lacks %s", strings.Join(lacks, ", ")), Hint: adviceRights}
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
		err = &backup.Error{Op: "read", App: application, Instance: s.instance, Artifact: path, Err: err,
			Advice: "in local mode this process must run on the server's machine under an account that may read its files, such as oracle; or use remote mode"}
	}
	return finding(what, s.fail(ctx, "read", path, err))
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
