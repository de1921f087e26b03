package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// screen is where the story is told: a terminal has one line that moves, a pipe gets plain lines.
type screen struct {
	mu    sync.Mutex // events come from other goroutines
	w     io.Writer
	width int // columns of the terminal; 0 for a pipe
	step  string
	drawn bool      // the moving line stands on the terminal
	last  time.Time // of the last progress shown
}

// newScreen looks whether w is a terminal.
func newScreen(w io.Writer) *screen {
	s := &screen{w: w}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		if width, _, err := term.GetSize(int(f.Fd())); err == nil && width >= 40 {
			s.width = width
		}
	}
	return s
}

// begin opens a step of the story.
func (s *screen) begin(step string) {
	s.mu.Lock()
	s.step, s.last = step, time.Time{}
	s.mu.Unlock()
	s.progress(-1, "...")
}

// progress moves the bar of the step; share is from 0 to 1, or negative when unknown. Calls may come as often as they like.
func (s *screen) progress(share float64, format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	pause := 2 * time.Second
	if s.width > 0 {
		pause = 50 * time.Millisecond
	}
	if time.Since(s.last) < pause {
		return
	}
	s.last = time.Now()
	text := fmt.Sprintf(format, args...)
	if s.width == 0 {
		if text != "..." {
			s.print(s.step, text)
		}
		return
	}
	if share >= 0 {
		text = bar(share) + "  " + text
	}
	line := []rune(fmt.Sprintf("%-9s %s", s.step, text))
	if len(line) >= s.width {
		line = line[:s.width-1]
	}
	fmt.Fprintf(s.w, "\r\x1b[K%s", string(line))
	s.drawn = true
}

// end closes the step with what came of it, and says the rest on lines below.
func (s *screen) end(text string, more ...string) {
	s.line(s.step, text)
	for _, m := range more {
		s.line("", m)
	}
}

// line writes one line, in the place of the moving one.
func (s *screen) line(head, text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.print(head, text)
}

func (s *screen) print(head, text string) {
	if s.drawn {
		fmt.Fprint(s.w, "\r\x1b[K")
		s.drawn = false
	}
	fmt.Fprintln(s.w, strings.TrimRight(fmt.Sprintf("%-9s %s", head, text), " "))
}

// close leaves the cursor on a line of its own.
func (s *screen) close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drawn {
		fmt.Fprintln(s.w)
		s.drawn = false
	}
}

func bar(share float64) string {
	const cells = 24
	n := int(min(share, 1) * cells)
	return fmt.Sprintf("[%s%s] %3.0f%%", strings.Repeat("#", n), strings.Repeat(".", cells-n), min(share, 1)*100)
}

// size is a number of bytes for people.
func size(n int64) string {
	switch {
	case n >= 1e9:
		return fmt.Sprintf("%.2f GB", float64(n)/1e9)
	case n >= 1e6:
		return fmt.Sprintf("%.1f MB", float64(n)/1e6)
	case n >= 1e3:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%d B", n)
}

// speed is what n bytes in d come to.
func speed(n int64, d time.Duration) string {
	if d <= 0 {
		return "-"
	}
	return fmt.Sprintf("%.1f MB/s", float64(n)/1e6/d.Seconds())
}

// span is a duration for people.
func span(d time.Duration) string {
	if d < time.Minute {
		return fmt.Sprintf("%.2f s", d.Seconds())
	}
	return d.Round(time.Second).String()
}

// count groups the digits of n by thousands.
func count(n int) string {
	s := fmt.Sprint(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// many is "1 table" or "7 tables".
func many(n int, one string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + one + "s"
}
