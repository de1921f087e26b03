//go:build (linux && (amd64 || arm64)) || (darwin && (amd64 || arm64)) || (windows && (amd64 || 386))

package capi

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/domino/notes"
)

// library is Domino's library, initialised. There can be one in a process.
type library struct {
	*functions
	pins     runtime.Pinner // Domino may keep what it was initialised with
	callback uintptr
	quit     chan struct{} // closed to end the first thread
	first    chan error    // the first thread: initialised or not; then, that it has ended
	threads  sync.WaitGroup
	close    sync.Once

	recovering sync.Mutex // held by the one recovery, since the callback does not say whose it is

	mu   sync.Mutex
	put  func(id notes.UNID, number uint32, path string) error // of that recovery
	lost bool                                                  // a thread was given up inside a call
}

// Open loads the library and initialises Domino. After Close the process can open no other: it should end.
func Open(c Config) (notes.API, error) {
	if c.Program == "" {
		return nil, &backup.Error{Op: "load", App: application, Err: errors.New("no program directory"), Advice: "name the directory in which " + libraryName() + " lies"}
	}
	if c.Library == "" {
		c.Library = filepath.Join(c.Program, libraryName())
	}
	f, err := bind(c.Library)
	if err != nil {
		return nil, &backup.Error{Op: "load", App: application, Artifact: c.Library, Err: err,
			Advice: "name the program directory of a Domino whose architecture is that of this program (" + runtime.GOARCH + ")"}
	}
	l := &library{functions: f, quit: make(chan struct{}), first: make(chan error)}
	l.callback = newCallback(l.wanted)
	go l.firstThread(c)
	if err := <-l.first; err != nil {
		return nil, &backup.Error{Op: "initialise", App: application, Artifact: c.INI, Err: err, Advice: backup.Hint(err)}
	}
	return l, nil
}

const application = "domino"

// firstThread initialises Domino and stays until the end.
func (l *library) firstThread(c Config) {
	runtime.LockOSThread() // and never unlocked: the thread ends with this function
	args := []string{c.Program}
	if c.INI != "" {
		args = append(args, "="+c.INI)
	}
	argv := make([]*byte, len(args)+1) // nil at its end
	for i, a := range args {
		b := append([]byte(a), 0)
		l.pins.Pin(&b[0])
		argv[i] = &b[0]
	}
	l.pins.Pin(&argv[0])
	if err := l.status("NotesInitExtended", l.NotesInitExtended(int32(len(args)), &argv[0]), false); err != nil {
		l.pins.Unpin()
		l.first <- err
		return
	}
	l.first <- nil
	<-l.quit
	l.NotesTerm()
	l.pins.Unpin()
	l.first <- nil
}

// Close ends all threads, and Domino unless a thread is still inside a call.
func (l *library) Close() error {
	var err error
	l.close.Do(func() {
		l.mu.Lock()
		lost := l.lost
		l.mu.Unlock()
		if lost {
			err = errors.New("a thread is still inside a call of the Notes C API: the process must end without NotesTerm")
			return
		}
		l.threads.Wait()
		close(l.quit)
		err = <-l.first
	})
	return err
}

// status is what a call has answered; with Domino's own words when it can be asked for them.
func (l *library) status(call string, word uint16, ask bool) error {
	s := notes.ToStatus(word)
	if s == 0 {
		return nil
	}
	e := &notes.CallError{Call: call, Status: s}
	if ask {
		buf := make([]byte, 512)
		n := int(l.OSLoadString(0, uint16(s), &buf[0], uint16(len(buf)-1)))
		e.Detail = l.fromLMBCS(text(buf[:min(n, len(buf))]))
	}
	return e
}

// wanted is called by Domino, on any thread, for each extent that a recovery needs. Nothing but a status may leave it.
func (l *library) wanted(id *notes.UNID, number uint32, where *byte) (status uintptr) {
	defer func() {
		if recover() != nil {
			status = uintptr(statusPut)
		}
	}()
	l.mu.Lock()
	put := l.put
	l.mu.Unlock()
	if put == nil || id == nil || where == nil {
		return uintptr(statusPut)
	}
	if put(*id, number, l.fromLMBCS(cString(where))) != nil {
		return uintptr(statusPut)
	}
	return 0
}

// expect has put called for each extent until the function it returns is called.
func (l *library) expect(put func(id notes.UNID, number uint32, path string) error) (over func()) {
	l.recovering.Lock()
	l.mu.Lock()
	l.put = put
	l.mu.Unlock()
	return func() {
		l.mu.Lock()
		l.put = nil
		l.mu.Unlock()
		l.recovering.Unlock()
	}
}

// Thread begins a thread of Domino's on an operating system thread of its own.
func (l *library) Thread(ctx context.Context) (notes.Thread, error) {
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	t := &thread{library: l, work: make(chan func())}
	begun := make(chan error)
	l.threads.Go(func() {
		runtime.LockOSThread() // as in firstThread
		if err := l.status("NotesInitThread", l.NotesInitThread(), false); err != nil {
			begun <- err
			return
		}
		begun <- nil
		for f := range t.work {
			f()
		}
		l.NotesTermThread()
	})
	if err := <-begun; err != nil {
		return nil, fmt.Errorf("begin a thread: %w", err)
	}
	return t, nil
}
