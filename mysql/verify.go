package mysql

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/backup"
)

// Verify implements backup.Verifier. Without a server it checks that the index is there and complete, that it and the artifacts agree, that
// every definition is where the index says, and that every chunk has the rows, columns, escapes and last line it must have.
func (s *Source) Verify(ctx context.Context, set *backup.RestoreSet) error {
	for _, step := range set.Steps() {
		check := verify
		if step.Item.Kind == backup.Log {
			check = func(ctx context.Context, m material) error { return verifyLog(ctx, m, step) }
		}
		if err := check(ctx, stepMaterial{set, step}); err != nil {
			return &backup.Error{Op: "verify", App: application, Instance: s.instance, ID: step.ID, Err: err,
				Advice: "do not rely on this backup; take a new one and verify an older one"}
		}
	}
	return nil
}

func verify(ctx context.Context, m material) error {
	x, err := loadIndex(ctx, m)
	if err != nil {
		return err
	}
	m = checked{m, x.Artifacts}
	for _, s := range x.Schemas {
		if err := verifySchema(ctx, m, s); err != nil {
			return err
		}
	}
	if x.Accounts == nil {
		return nil
	}
	b, err := get(ctx, m, x.Accounts.Artifact)
	if err != nil {
		return err
	}
	for _, a := range x.Accounts.Accounts {
		if err := verifyStatement(x.Accounts.Artifact, b, a.Create, "CREATE"); err != nil {
			return err
		}
		for _, g := range a.Grants {
			if err := verifyStatement(x.Accounts.Artifact, b, g, "GRANT"); err != nil {
				return err
			}
		}
	}
	return nil
}

// loadIndex reads the index and compares it with the artifacts that are there. It is the first act of every verify and every restore.
func loadIndex(ctx context.Context, m material) (*index, error) {
	have := m.sums()
	own, ok := have[indexName]
	if !ok {
		return nil, fmt.Errorf("%s is missing: the dump was cut short: %w", indexName, backup.ErrCorrupt)
	}
	b, err := get(ctx, m, indexName)
	if err != nil {
		return nil, err
	}
	check := newCRC()
	check.Write(b)
	if got := fmt.Sprintf("%08x", check.Sum32()); own.CRC != "" && own.CRC != got {
		return nil, fmt.Errorf("%s: checksum %s, want %s: %w", indexName, got, own.CRC, backup.ErrCorrupt)
	}
	x, err := decodeIndex(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	var wrong []string
	for name, want := range x.Artifacts {
		got, ok := have[name]
		switch {
		case !ok:
			wrong = append(wrong, fmt.Sprintf("%s is missing", name))
		case got.Bytes != want.Bytes:
			wrong = append(wrong, fmt.Sprintf("%s has %d bytes, the index says %d", name, got.Bytes, want.Bytes))
		}
	}
	for name := range have {
		if _, ok := x.Artifacts[name]; !ok && name != indexName {
			wrong = append(wrong, fmt.Sprintf("%s is not in the index", name))
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return nil, fmt.Errorf("the artifacts do not match the index: %s: %w", some(wrong), backup.ErrCorrupt)
	}
	return x, nil
}

// some joins the first few of a list that may be long.
func some(list []string) string {
	const few = 8
	if len(list) <= few {
		return strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], ", "), len(list)-few)
}

func verifySchema(ctx context.Context, m material, s schemaEntry) error {
	defs := []struct {
		name string
		at   span
	}{{s.Artifact, s.Create}}
	for _, t := range s.Tables {
		defs = append(defs, struct {
			name string
			at   span
		}{t.Artifact, t.Create})
	}
	for _, o := range s.Objects {
		defs = append(defs, struct {
			name string
			at   span
		}{o.Artifact, o.Create})
	}
	for _, d := range defs {
		b, err := get(ctx, m, d.name)
		if err != nil {
			return err
		}
		if err := verifyStatement(d.name, b, d.at, "CREATE"); err != nil {
			return err
		}
	}
	for _, t := range s.Tables {
		var rows int64
		for _, c := range t.Chunks {
			if err := verifyChunk(ctx, m, t, c); err != nil {
				return err
			}
			rows += c.Rows
		}
		if rows != t.Rows {
			return fmt.Errorf("%s.%s: chunks hold %d rows, the index says %d: %w", s.Name, t.Name, rows, t.Rows, backup.ErrCorrupt)
		}
	}
	return nil
}

func verifyStatement(name string, b []byte, at span, verb string) error {
	stmt, err := at.in(name, b)
	if err != nil {
		return err
	}
	if len(stmt) < len(verb) || !strings.EqualFold(stmt[:len(verb)], verb) {
		return fmt.Errorf("%s: %.40q where a %s statement must be: %w", name, stmt, verb, backup.ErrCorrupt)
	}
	return nil
}

func verifyChunk(ctx context.Context, m material, t *tableEntry, c chunkEntry) error {
	r, err := m.open(ctx, c.Artifact)
	if err != nil {
		return err
	}
	defer r.Close()
	l := newLines(r)
	want := max(1, len(t.Columns))
	var n int64
	var scratch []byte
	for {
		line, err := l.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("%s: %w", c.Artifact, err)
		}
		n++
		if got := bytes.Count(line, []byte{'\t'}) + 1; got != want {
			return fmt.Errorf("%s: line %d has %d fields, the table %d columns: %w", c.Artifact, n, got, want, backup.ErrCorrupt)
		}
		for field, rest, more := nextField(line); ; field, rest, more = nextField(rest) {
			if scratch, _, err = unescape(scratch[:0], field); err != nil {
				return fmt.Errorf("%s: line %d: %w", c.Artifact, n, err)
			}
			if !more {
				break
			}
		}
		if n%4096 == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if n != c.Rows {
		return fmt.Errorf("%s: %d rows, the index says %d: %w", c.Artifact, n, c.Rows, backup.ErrCorrupt)
	}
	return nil
}
