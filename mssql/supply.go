package mssql

import (
	"context"
	"errors"

	"golang.org/x/sync/errgroup"

	"github.com/quiesce-go/quiesce/backup"
)

// supply brings the files of the links to where the server reads them: those of one link while the one before is restored, and no further ahead, so
// that the place need hold two links and not the whole chain. It keeps a context, because it lives within one restore.
type supply struct {
	from    *origin
	links   []link
	ctx     context.Context
	cancel  context.CancelFunc
	at      int           // the link that next gives
	pending chan delivery // of links[at]; nil when none is on its way
}

type delivery struct {
	devices []device
	err     error
}

// newSupply begins to bring the first link. The caller must close it.
func newSupply(ctx context.Context, from *origin, links []link) *supply {
	ctx, cancel := context.WithCancel(ctx)
	s := &supply{from: from, links: links, ctx: ctx, cancel: cancel}
	s.start()
	return s
}

func (s *supply) start() {
	if s.at >= len(s.links) {
		return
	}
	l := s.links[s.at]
	s.pending = make(chan delivery, 1)
	go func(to chan<- delivery) {
		devices, err := s.from.bring(s.ctx, l)
		to <- delivery{devices, err}
	}(s.pending)
}

// next waits for the files of the next link and begins to bring those of the one after it.
func (s *supply) next() ([]device, error) {
	d := <-s.pending
	s.pending = nil
	if d.err != nil {
		return nil, d.err
	}
	s.at++
	s.start()
	return d.devices, nil
}

// used removes the files of the link that next gave last.
func (s *supply) used() error { return s.from.release(s.links[s.at-1]) }

// failure is why the server could not read the files of the link that next gave last; nil where it failed by itself.
func (s *supply) failure() error { return s.from.failure(s.links[s.at-1]) }

// close stops what is on its way and waits for its end.
func (s *supply) close() {
	s.cancel()
	if s.pending != nil {
		<-s.pending
		s.pending = nil
	}
}

// fetch brings all stripes of a link.
func fetch(ctx context.Context, set *backup.RestoreSet, l link) ([]device, error) {
	devices := make([]device, len(l.entries))
	g, ctx := errgroup.WithContext(ctx)
	for i, e := range l.entries {
		g.Go(func() error {
			f, err := set.Fetch(ctx, l.step, e)
			devices[i] = device{Path: f.ServerPath}
			return err
		})
	}
	return devices, g.Wait()
}

// drop removes them.
func drop(set *backup.RestoreSet, l link) error {
	var errs []error
	for _, e := range l.entries {
		errs = append(errs, set.Drop(l.step, e))
	}
	return errors.Join(errs...)
}
