package mssql

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
	"github.com/quiesce-go/quiesce/mssql/s3endpoint"
)

// uploads are backups that the server sends to the endpoint, whose bytes go on to the target without a file.
type uploads struct {
	st   *backup.Stage
	gate *gate
}

// stripes is over how many URLs a backup must be spread: those wanted, or more where one URL does not take its share. What the server estimates may be short, so
// a quarter is added.
func (d *uploads) stripes(want int, bytes int64) (int, error) {
	transfer := d.gate.src.opt.Endpoint.transfer()
	each := int64(transfer) * s3endpoint.MaxParts
	n := (bytes + bytes/4 + each - 1) / each
	if n > maxStripes {
		return 0, &backup.Error{Op: "stream", App: application, Instance: d.gate.src.instance,
			Err:    fmt.Errorf("%w: about %d bytes are more than %d URLs of %d bytes take", backup.ErrRefused, bytes, maxStripes, each),
			Advice: fmt.Sprintf("raise the endpoint's transfer size (it is %d, at most %d), or give the job a stage", transfer, s3endpoint.MaxPart)}
	}
	return max(want, int(n)), nil
}

func (d *uploads) tune(o *backupOptions) { o.maxTransferSize = d.gate.src.opt.Endpoint.transfer() }

func (d *uploads) open(ctx context.Context, artifacts []backup.Artifact, _ int64) (target, error) {
	ctx, cancel := context.WithCancel(ctx)
	t := &streams{cancel: cancel}
	for i, a := range artifacts {
		w, err := d.st.Create(ctx, a)
		if err != nil {
			return nil, errors.Join(err, t.close())
		}
		s := &stream{w: w, inspection: inspect(ctx)}
		t.all = append(t.all, s)
		suffix := fmt.Sprintf("/%dof%d.bak", i+1, len(artifacts))
		if s.upload, err = d.gate.endpoint.Receive(ctx, d.gate.key(suffix), s, s.commit); err != nil {
			return nil, errors.Join(err, t.close())
		}
	}
	return t, nil
}

func (d *uploads) close(ctx context.Context) error { return d.gate.close(ctx) }

// stream is one stripe on its way to the target. What is written goes by a reader of the tape format, which tells what it is and whether it is whole.
type stream struct {
	w          *backup.Writer
	upload     *s3endpoint.Upload
	inspection *inspection
	// broken is why the run cannot keep what comes: the stage or its target failed.
	broken error
	// damage is why what came is no backup.
	damage error
}

// Write implements io.Writer for the endpoint.
func (s *stream) Write(p []byte) (int, error) {
	s.inspection.write(p)
	n, err := s.w.Write(p)
	if err != nil {
		s.broken = err
	}
	return n, err
}

// commit keeps the stripe. The server is told that its backup is complete, and truncates the log, only when this returned nil.
func (s *stream) commit() error {
	if s.damage = s.inspection.end(); s.damage != nil {
		return s.damage
	}
	if sets := s.inspection.media.Sets; len(sets) == 1 {
		s.w.Annotate("set", sets[0].GUID.String())
	}
	if err := s.w.Commit(); err != nil {
		s.broken = err
		return err
	}
	return nil
}

func (s *stream) close() error {
	if s.upload != nil {
		s.upload.Close() // from here on nothing writes
	}
	s.inspection.abandon()
	return s.w.Close()
}

// streams are the stripes of one backup.
type streams struct {
	all    []*stream
	cancel context.CancelFunc // of what may block
}

func (t *streams) devices() []device {
	out := make([]device, len(t.all))
	for i, s := range t.all {
		out[i] = device{URL: true, Path: s.upload.URL}
	}
	return out
}

func (t *streams) readable() bool { return false }

// sets are taken from msdb, and compared with the bytes where these can be read without a server.
func (t *streams) sets(ctx context.Context, c *session, f facts) ([]chain.Set, error) {
	media := make([]*mtf.Media, len(t.all))
	for i, s := range t.all {
		if err := received(s.upload); err != nil {
			return nil, err
		}
		media[i] = s.inspection.media
	}
	set, err := c.recorded(ctx, f, t.devices())
	if err != nil {
		return nil, err
	}
	return []chain.Set{set}, agree(set, media)
}

// received reports whether an upload is kept, once its statement succeeded. The statement says whether there is a backup, the endpoint whether it is here.
func received(u *s3endpoint.Upload) error {
	select {
	case <-u.Done():
		return u.Err()
	default:
		return fmt.Errorf("the server reported success, and never completed its upload to %s", u.URL)
	}
}

// agree compares a record with the files it is about.
func agree(set chain.Set, media []*mtf.Media) error {
	for i, m := range media {
		if m.Container == mtf.Wrapped {
			continue
		}
		if len(m.Sets) != 1 {
			return fmt.Errorf("%w: stripe %d holds %d backups, not one", backup.ErrCorrupt, i+1, len(m.Sets))
		}
		if differs := differences(set, fromFile(m.Sets[0])); differs != "" {
			return fmt.Errorf("%w: stripe %d is not the backup that the server recorded: %s", backup.ErrCorrupt, i+1, differs)
		}
		if set.Checksums && m.Depth < mtf.Summed {
			return fmt.Errorf("%w: stripe %d has no checksums, though the server recorded some", backup.ErrCorrupt, i+1)
		}
	}
	if len(media) > 0 && media[0].Container == mtf.Plain {
		return mtf.Group(media...)[0].Check()
	}
	return nil
}

// failure is why the streams did not take what the server sent; nil where the server alone gave up.
func (t *streams) failure() error {
	var err error
	for _, s := range t.all {
		// Only what has ended may be asked: the others are still written to.
		select {
		case <-s.upload.Done():
		default:
			continue
		}
		switch {
		case s.broken != nil:
			return runError{s.broken}
		case s.damage != nil:
			err = s.damage
		case err == nil:
			err = s.upload.Err()
		}
	}
	return err
}

// annotate does nothing: a stripe is kept before the statement returns, and takes its notes then.
func (t *streams) annotate(string, string) {}

// commit does nothing either.
func (t *streams) commit() error { return nil }

func (t *streams) close() error {
	t.cancel()
	var errs []error
	for _, s := range t.all {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// inspection reads a file of the tape format as it passes.
type inspection struct {
	to    *io.PipeWriter
	done  chan struct{}
	ended bool // the reader has given up, and need not be fed
	media *mtf.Media
	err   error
}

func inspect(ctx context.Context) *inspection {
	r, w := io.Pipe()
	in := &inspection{to: w, done: make(chan struct{})}
	go func() {
		defer close(in.done)
		in.media, in.err = mtf.Verify(ctx, r)
		_ = r.Close() // a write that waits fails, and no other is tried
	}()
	return in
}

func (in *inspection) write(p []byte) {
	if in.ended {
		return
	}
	if _, err := in.to.Write(p); err != nil {
		in.ended = true
	}
}

// end tells the reader that this was all, and returns what it found wrong.
func (in *inspection) end() error {
	_ = in.to.Close() // it cannot fail
	<-in.done
	return in.err
}

// abandon ends the reader where it stands.
func (in *inspection) abandon() {
	_ = in.to.CloseWithError(context.Canceled) // it cannot fail
	<-in.done
}
