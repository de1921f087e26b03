package main

import (
	"fmt"
	"path/filepath"
)

// summary says in a few plain lines what happened and what to do next.
func (s *story) summary() {
	m := s.manifest
	ratio := 0.0
	if m.Bytes > 0 {
		ratio = 100 * float64(m.StoredBytes) / float64(m.Bytes)
	}
	line := s.out.line
	line("", "")
	line("summary", fmt.Sprintf("%s rows, %s; %s at the target (%.0f%%)", count(s.rows), size(m.Bytes), size(m.StoredBytes), ratio))
	line("", fmt.Sprintf("backup   %8s  %s", span(s.backed), speed(m.Bytes, s.backed)))
	line("", fmt.Sprintf("proof    %8s  %s", span(s.proved), speed(m.Bytes, s.proved)))
	line("", fmt.Sprintf("restore  %8s  %s", span(s.brought), speed(m.Bytes, s.brought)))
	line("", "everything came back identical")
	line("", "")
	if s.o.keep {
		line("kept", s.where+", below "+s.job)
		line("", "key: "+s.key)
		part := filepath.Join(s.where, s.job, "runs", string(m.ID))
		line("", "stock tools open every part below "+part+": age -d -i "+s.key+" PART | zstd -d")
		line("", "")
	}
	line("next", "your own server:   go run ./examples/quickstart -dsn 'USER:PASSWORD@tcp(HOST:3306)/'")
	line("", "another target:    go run ./examples/quickstart -sink 's3://BUCKET?region=REGION'")
	line("", "look at a backup:  go run ./examples/quickstart -keep")
	line("", "in your program:   examples/embed")
}
