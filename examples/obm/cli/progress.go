package cli

import (
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	"golang.org/x/term"

	"github.com/quiesce-go/quiesce/backup"
)

// progress shows, on standard error, what a pipeline does while it works. Close it before anything else is written.
type progress interface {
	event(backup.Event)
	Close() error
}

// progress chooses how: a bar on a terminal, lines elsewhere, nothing with --quiet.
func (in *invocation) progress() progress {
	switch {
	case in.quiet:
		return noProgress{}
	case terminal(in.Stderr) && !in.verbose:
		return &bars{w: in.stderr()}
	}
	return &lines{w: in.stderr()}
}

// terminal reports whether v, a reader or a writer, is one that a person sits at.
func terminal(v any) bool {
	f, ok := v.(*os.File)
	return ok && f != nil && term.IsTerminal(int(f.Fd()))
}

type noProgress struct{}

func (noProgress) event(backup.Event) {}
func (noProgress) Close() error       { return nil }

// lineEvery is how often a pipe gets a line while bytes move.
const lineEvery = 10 * time.Second

// lines is progress for a pipe or a log: one line for each phase, and one about every ten seconds while bytes move.
type lines struct {
	mu   sync.Mutex
	w    io.Writer
	last time.Duration // Elapsed at the last line
}

func (l *lines) event(e backup.Event) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch e := e.(type) {
	case backup.PhaseStarted:
		l.last = 0
		fmt.Fprintf(l.w, "%s: %s\n", e.Job, e.Phase)
	case backup.Progress:
		if e.Elapsed < l.last { // another run, verify goes from backup to backup
			l.last = 0
		}
		if e.Elapsed-l.last >= lineEvery {
			l.last = e.Elapsed
			fmt.Fprintf(l.w, "%s: %s: %s\n", e.Job, e.Phase, moved(e))
		}
	default:
		if text := remark(e); text != "" {
			fmt.Fprintln(l.w, text)
		}
	}
}

func (l *lines) Close() error { return nil }

// moved says how far a run has come.
func moved(e backup.Progress) string {
	s := size(e.Shipped)
	if e.Expected > 0 {
		s += " of " + size(e.Expected)
	}
	if e.Items > 0 {
		s += fmt.Sprintf(", %d of %d items", e.ItemsDone, e.Items)
	}
	s += fmt.Sprintf(", %s/s", size(int64(e.Rate)))
	if e.ETA > 0 {
		s += fmt.Sprintf(", %s left", e.ETA.Round(time.Second))
	}
	return s
}

// remark is an event that is a sentence for the operator, or empty.
func remark(e backup.Event) string {
	switch e := e.(type) {
	case backup.RunStarted:
		if e.Resumed {
			return fmt.Sprintf("%s: %s was interrupted and is continued from its stage", e.Job, e.ID)
		}
	case backup.Warning:
		return fmt.Sprintf("%s: warning: %s", e.Job, e.Text)
	case backup.Stalled:
		return fmt.Sprintf("%s: no byte has moved for %s", e.Job, e.For)
	}
	return ""
}

// bars is progress for a terminal: a bar while bytes move.
type bars struct {
	mu     sync.Mutex
	w      io.Writer
	p      *mpb.Progress
	bar    *mpb.Bar
	id     backup.ID
	newest atomic.Pointer[backup.Progress] // read by the bar's own goroutine, which must not wait for mu
}

func (b *bars) event(e backup.Event) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := e.(type) {
	case backup.Progress:
		b.newest.Store(&e)
		if b.bar == nil || e.ID != b.id {
			b.end()
			b.begin(e)
		}
		b.bar.SetTotal(max(e.Expected, e.Shipped, 1), false)
		b.bar.SetCurrent(e.Shipped)
	default:
		if text := remark(e); text != "" {
			b.end()
			fmt.Fprintln(b.w, text)
		}
	}
}

// begin starts a bar for the run of e.
func (b *bars) begin(e backup.Progress) {
	b.id = e.ID
	b.p = mpb.New(mpb.WithOutput(b.w), mpb.WithWidth(48))
	b.bar = b.p.New(0, mpb.BarStyle(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string {
			e := b.newest.Load()
			return fmt.Sprintf("%s %s ", e.Job, e.Phase)
		})),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return " " + moved(*b.newest.Load()) })))
}

// end leaves the bar as it stands, since only the result knows whether all went well, and waits until it is drawn.
func (b *bars) end() {
	if b.bar == nil {
		return
	}
	b.bar.Abort(false)
	b.p.Wait()
	b.bar, b.p = nil, nil
}

func (b *bars) Close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.end()
	return nil
}
