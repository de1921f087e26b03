package cli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"syscall"
	"text/tabwriter"
	"time"
)

// print writes a result: as JSON when that was asked for, else as text writes it.
func (in *invocation) print(v any, text func(w io.Writer)) error {
	var result bytes.Buffer
	if in.json {
		enc := json.NewEncoder(&result)
		enc.SetIndent("", "  ")
		enc.SetEscapeHTML(false)
		if err := enc.Encode(v); err != nil {
			return fmt.Errorf("print the result: %w", err)
		}
	} else {
		text(&result)
	}
	_, err := result.WriteTo(in.stdout())
	if errors.Is(err, syscall.EPIPE) { // the reader has seen enough
		return nil
	}
	if err != nil {
		return fmt.Errorf("print the result: %w", err)
	}
	return nil
}

// table writes rows in columns; the first row is the heading.
func table(w io.Writer, rows [][]string) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range rows {
		fmt.Fprintln(tw, strings.TrimRight(strings.Join(r, "\t"), "\t "))
	}
	_ = tw.Flush() // when nobody can read the output there is nobody to tell
}

// size prints bytes for people.
func size(n int64) string {
	const unit = 1024
	if n < unit {
		return fmt.Sprintf("%d B", n)
	}
	f, prefix := float64(n), -1
	for f >= unit && prefix < 5 {
		f, prefix = f/unit, prefix+1
	}
	return fmt.Sprintf("%.1f %ciB", f, "KMGTPE"[prefix])
}

// moment prints a time for people, in UTC with the fraction it has, so that it can be given to --at again.
func moment(t time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// took prints a duration for people.
func took(d time.Duration) string {
	if d < time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(time.Second / 10).String()
}
