package notes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
)

// settle is how long a call may go on after the parent has gone, and then again how long the ends of all threads may take.
const settle = 10 * time.Second

// Serve is the child's side: it greets the parent, does its calls on api, each thread of the parent's in one of api's, and returns when the parent has closed conn or ctx ends. What a thread leaves open, because
// the parent has died or forgot it, is then ended: applying and backups are aborted, databases closed, the archiving of logs ended. Databases that are offline stay so. Serve closes conn and
// leaves api to its caller. An error says that the parent broke the protocol, or that a thread is stuck in a call.
func Serve(ctx context.Context, conn io.ReadWriteCloser, api API) error {
	defer conn.Close()
	calls, giveUp := context.WithCancelCause(context.WithoutCancel(ctx))
	defer giveUp(nil)
	s := &server{conn: conn, api: api, over: make(chan struct{}), jobs: map[uint64]chan *frame{}, puts: map[uint64]chan *failure{}}
	if err := s.send(&frame{head: head{Kind: kindHello, Protocol: protocol}}); err != nil {
		return fmt.Errorf("greet: %w", err)
	}
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	err := s.read(calls)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		err = nil
	}
	return errors.Join(err, s.end(giveUp))
}

// Refuse is the child's side when there is no API: the parent's Start fails with err.
func Refuse(conn io.Writer, err error) error {
	return writeFrame(conn, &frame{head: head{Kind: kindHello, Protocol: protocol, Failure: toFailure(err)}})
}

// server serves one parent.
type server struct {
	conn io.ReadWriteCloser
	api  API
	over chan struct{} // closed when the parent is gone
	all  sync.WaitGroup

	writing sync.Mutex

	mu   sync.Mutex
	jobs map[uint64]chan *frame   // by thread
	puts map[uint64]chan *failure // by call
}

func (s *server) send(f *frame) error {
	s.writing.Lock()
	defer s.writing.Unlock()
	return writeFrame(s.conn, f)
}

// read takes what the parent sends. Its caller reads no more.
func (s *server) read(calls context.Context) error {
	defer close(s.over)
	r := bufio.NewReaderSize(s.conn, 64<<10)
	for {
		f, err := readFrame(r)
		if err == nil {
			err = s.dispatch(calls, f)
		}
		if err != nil {
			return err
		}
	}
}

func (s *server) dispatch(calls context.Context, f *frame) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch f.Kind {
	case kindThread:
		if s.jobs[f.Thread] != nil {
			return fmt.Errorf("%w: thread %d is begun twice", errFrame, f.Thread)
		}
		jobs := make(chan *frame, 1)
		s.jobs[f.Thread] = jobs
		s.all.Go(func() { s.thread(calls, f, jobs) })
		return nil
	case kindCall:
		return offer(s.jobs[f.Thread], f, f)
	case kindPlaced:
		return offer(s.puts[f.ID], f.Failure, f)
	}
	return fmt.Errorf("%w: %q", errFrame, f.Kind)
}

// offer hands v over without waiting: who keeps to the protocol has room for it.
func offer[T any](to chan T, v T, f *frame) error {
	select {
	case to <- v:
		return nil
	default:
		return fmt.Errorf("%w: nobody waits for %q of thread %d, call %d", errFrame, f.Kind, f.Thread, f.ID)
	}
}

// end waits for the threads, at first with patience, then without.
func (s *server) end(giveUp context.CancelCauseFunc) error {
	s.mu.Lock()
	for _, jobs := range s.jobs {
		close(jobs)
	}
	s.jobs = nil
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { s.all.Wait(); close(done) }()
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
	}
	giveUp(errors.New("the parent is gone"))
	t.Reset(settle)
	select {
	case <-done:
		return nil
	case <-t.C:
		return errors.New("a thread is stuck in a call of the Notes C API")
	}
}

// ask has the parent place an extent. The frame carries the number of the Recover that wants it.
func (s *server) ask(ctx context.Context, id uint64, e Extent) error {
	answer := make(chan *failure, 1)
	s.mu.Lock()
	s.puts[id] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.puts, id)
	}()
	if err := s.send(&frame{head: head{Kind: kindPut, ID: id, Out: &output{Extent: e}}}); err != nil {
		return err
	}
	select {
	case f := <-answer:
		return f.toError("place an extent")
	case <-s.over:
		return errors.New("the parent is gone")
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// thread is the life of one thread.
func (s *server) thread(ctx context.Context, first *frame, jobs chan *frame) {
	t, err := s.api.Thread(ctx)
	if s.answer(first, output{}, nil, err) != nil && err == nil {
		_ = t.End() // nobody to tell
		return
	}
	if err != nil {
		s.drop(first.Thread)
		return
	}
	w := &worker{Thread: t, server: s, databases: map[Handle]bool{}, backups: map[BackupContext]Handle{}, applies: map[ApplyContext]bool{}}
	for f := range jobs {
		if f.Call == callTerm {
			s.drop(f.Thread)
			_ = s.answer(f, output{}, nil, errors.Join(w.release(ctx), t.End())) // when the parent has gone, the end of jobs says it
			return
		}
		out, body, err := w.invoke(ctx, f)
		w.remember(f, out, err)
		if s.answer(f, out, body, err) != nil {
			break
		}
	}
	_ = errors.Join(w.release(ctx), t.End()) // nobody to tell
}

// drop forgets a thread.
func (s *server) drop(thread uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.jobs, thread)
}

func (s *server) answer(f *frame, out output, body []byte, err error) error {
	return s.send(&frame{head: head{Kind: kindAnswer, ID: f.ID, Out: &out, Failure: toFailure(err)}, body: body})
}

// worker does the calls of one thread, and knows what they have left open.
type worker struct {
	Thread
	server *server
	buf    []byte

	databases map[Handle]bool
	backups   map[BackupContext]Handle
	applies   map[ApplyContext]bool
	archiving bool
}

// remember notes what a call has opened or ended.
func (w *worker) remember(f *frame, out output, err error) {
	if err != nil || f.In == nil {
		return
	}
	switch f.Call {
	case callOpen:
		w.databases[Handle(out.Handle)] = true
	case callClose:
		delete(w.databases, Handle(f.In.Handle))
	case callBackupStart:
		w.backups[BackupContext(out.Context)] = Handle(f.In.Handle)
	case callBackupEnd:
		delete(w.backups, BackupContext(f.In.Context))
	case callApplyStart:
		w.applies[ApplyContext(out.Context)] = true
	case callApplyEnd:
		delete(w.applies, ApplyContext(f.In.Context))
	case callArchivingBegin:
		w.archiving = true
	case callArchivingEnd:
		w.archiving = false
	}
}

// release ends what is still open, the last first.
func (w *worker) release(ctx context.Context) error {
	var errs []error
	for _, a := range slices.Sorted(maps.Keys(w.applies)) {
		errs = append(errs, w.ApplyEnd(ctx, a, true))
	}
	for _, c := range slices.Sorted(maps.Keys(w.backups)) {
		errs = append(errs, w.BackupEnd(ctx, w.backups[c], c, true))
	}
	for _, h := range slices.Sorted(maps.Keys(w.databases)) {
		errs = append(errs, w.Close(ctx, h))
	}
	if w.archiving {
		errs = append(errs, w.ArchivingEnd(ctx))
	}
	return errors.Join(errs...)
}
