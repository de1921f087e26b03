package mssql

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
)

// destination is where a run's backups go.
type destination interface {
	// stripes is over how many devices to spread a backup of about so many bytes, uncompressed, when want are wished for.
	stripes(want int, bytes int64) (int, error)
	// tune sets what the devices ask of a statement.
	tune(o *backupOptions)
	// open makes room for one backup: an artifact per stripe, of about so many bytes each.
	open(ctx context.Context, artifacts []backup.Artifact, bytesEach int64) (target, error)
	// close ends what was set up for the run.
	close(ctx context.Context) error
}

// target is the room for one backup. It ends with commit or close; close after commit does nothing.
type target interface {
	// devices are the stripes as the server names them.
	devices() []device
	// readable reports whether the server can read again what it wrote.
	readable() bool
	// sets are the facts of what the server wrote, once its statement succeeded.
	sets(ctx context.Context, c *session, f facts) ([]chain.Set, error)
	// failure is why the devices did not take what the server wrote, once its statement failed; nil where it failed by itself.
	failure() error
	annotate(key, value string)
	// commit keeps what was written. The server must have closed it.
	commit() error
	// close discards it, half-written files included.
	close() error
}

// noStage is what to do about a job that streams.
const noStage = "SQL Server writes its backups to files: give the job a stage, a directory that the server's account can write to and this process can read; " +
	"or, with SQL Server 2022 and later, set Options.Endpoint"

// newDestination chooses between files in the stage and streaming. The caller closes it.
func (s *Source) newDestination(ctx context.Context, req backup.Request, st *backup.Stage) (destination, error) {
	if !st.Streaming() {
		return &stageFiles{st: st, turn: make(chan struct{}, 1)}, nil
	}
	if s.opt.Endpoint == nil {
		return nil, &backup.Error{Op: "back up", App: application, Instance: s.instance, Err: backup.ErrNoPath, Advice: noStage}
	}
	g, err := s.openGate(ctx, req.Job, req.Log)
	if err != nil {
		return nil, err
	}
	return &uploads{st: st, gate: g}, nil
}

// stageFiles are files in the stage that the server writes.
type stageFiles struct {
	st *backup.Stage
	// turn is held while room is made: two backups that each hold half of their stripes would wait for each other for ever where the stage has a quota.
	turn chan struct{}
}

func (d *stageFiles) stripes(want int, _ int64) (int, error) { return want, nil }

func (d *stageFiles) tune(*backupOptions) {}

func (d *stageFiles) close(context.Context) error { return nil }

func (d *stageFiles) open(ctx context.Context, artifacts []backup.Artifact, bytesEach int64) (target, error) {
	select {
	case d.turn <- struct{}{}:
		defer func() { <-d.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var t slots
	for _, a := range artifacts {
		slot, err := d.st.Reserve(ctx, a, bytesEach)
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		t = append(t, slot)
	}
	return t, nil
}

// slots are the stripes of one backup.
type slots []*backup.Slot

func (t slots) devices() []device {
	out := make([]device, len(t))
	for i, s := range t {
		out[i] = device{Path: s.ServerPath}
	}
	return out
}

func (t slots) readable() bool { return true }

func (t slots) sets(ctx context.Context, c *session, _ facts) ([]chain.Set, error) {
	sets, err := c.headers(ctx, t.devices())
	if err != nil {
		return nil, fmt.Errorf("read back the header: %w", err)
	}
	return sets, nil
}

func (t slots) failure() error { return nil }

func (t slots) annotate(key, value string) {
	for _, s := range t {
		s.Annotate(key, value)
	}
}

func (t slots) commit() error {
	for _, s := range t {
		if err := s.Commit(); errors.Is(err, fs.ErrNotExist) {
			return &backup.Error{Op: "find the backup in the stage", App: application, Artifact: s.Path, Err: err,
				Advice: fmt.Sprintf("the server wrote %s, which is not the same file: set the stage's directory and its name on the server (server dir) to one shared folder", s.ServerPath)}
		} else if err != nil {
			return err
		}
	}
	return nil
}

func (t slots) close() error {
	var errs []error
	for _, s := range t {
		errs = append(errs, s.Close())
	}
	return errors.Join(errs...)
}

// artifacts names the files of one backup. A database may have any name; an artifact may not.
func artifacts(database string, c choice, stripes int) []backup.Artifact {
	dir := url.PathEscape(database)
	if dir == "." || dir == ".." {
		dir = "%2E" + dir[1:]
	}
	role, suffix := backup.RoleData, ".bak"
	if c.kind == backup.Log {
		role, suffix = backup.RoleLog, ".trn"
	}
	out := make([]backup.Artifact, stripes)
	for i := range out {
		name := dir + "/" + string(c.kind) + suffix
		if stripes > 1 {
			name = fmt.Sprintf("%s/%s-%dof%d%s", dir, c.kind, i+1, stripes, suffix)
		}
		out[i] = backup.Artifact{Name: name, Item: database, Role: role}
	}
	return out
}
