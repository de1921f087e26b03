package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
)

// The artifacts of a MySQL backup, as restore --files writes them. mysql/FORMAT.md describes them.

// mysqlIndex is index.json. The artifacts it lists are read where they lie beside it.
type mysqlIndex struct{}

func (mysqlIndex) Type() string { return "MySQL dump index" }

func (mysqlIndex) Match(head []byte, _ int64) bool {
	return begins(head, "format", "server", "flavour")
}

func (mysqlIndex) Inspect(ctx context.Context, f *os.File) (Report, error) {
	var r Report
	var x struct {
		Format int `json:"format"`
		Server struct {
			Flavour string `json:"flavour"`
			Version string `json:"version"`
			Time    any    `json:"time"`
			GTID    string `json:"gtid"`
		} `json:"server"`
		Schemas []struct {
			Name   string `json:"name"`
			Tables []struct {
				Name   string `json:"name"`
				Rows   int64  `json:"rows"`
				Chunks []struct {
					Artifact string `json:"artifact"`
					Rows     int64  `json:"rows"`
				} `json:"chunks"`
			} `json:"tables"`
		} `json:"schemas"`
		Rows      int64          `json:"rows"`
		Artifacts map[string]sum `json:"artifacts"`
		Complete  bool           `json:"complete"`
	}
	data, err := document(f, &r, &x)
	if data == nil || err != nil {
		return r, err
	}
	if x.Format != 1 {
		r.problem("format %d is not one this program reads", x.Format)
	}
	if !x.Complete {
		r.problem("is not marked complete: the dump was cut short")
	}
	var rows int64
	tables, schemas := 0, []string{}
	for _, s := range x.Schemas {
		schemas, tables = append(schemas, s.Name), tables+len(s.Tables)
		for _, t := range s.Tables {
			var n int64
			for _, c := range t.Chunks {
				n += c.Rows
				if _, ok := x.Artifacts[c.Artifact]; !ok {
					r.problem("%s.%s: its chunk %s is not listed", s.Name, t.Name, c.Artifact)
				}
			}
			if n != t.Rows {
				r.problem("%s.%s: %d rows in chunks, %d in the table", s.Name, t.Name, n, t.Rows)
			}
			rows += t.Rows
		}
	}
	if rows != x.Rows {
		r.problem("%d rows in tables, %d in total", rows, x.Rows)
	}
	checked, err := beside(ctx, filepath.Dir(f.Name()), x.Artifacts, &r)
	r.Details = map[string]any{"server": x.Server.Flavour + " " + x.Server.Version, "time": x.Server.Time, "schemas": schemas,
		"tables": tables, "rows": x.Rows, "artifacts": len(x.Artifacts), "checked": checked}
	if x.Server.GTID != "" {
		r.Details["gtid"] = x.Server.GTID
	}
	return r, err
}

// sum is what an artifact must be.
type sum struct {
	Bytes int64  `json:"bytes"`
	CRC   string `json:"crc32c"`
}

// beside reads the listed artifacts that lie below dir and compares them. An index looked at alone is not missing its artifacts.
func beside(ctx context.Context, dir string, artifacts map[string]sum, r *Report) (checked int, err error) {
	absent := 0
	for _, name := range slices.Sorted(maps.Keys(artifacts)) {
		if err := context.Cause(ctx); err != nil {
			return checked, err
		}
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			r.problem("%q is not the name of an artifact", name)
			continue
		}
		got, err := sumOf(filepath.Join(dir, filepath.FromSlash(name)))
		switch want := artifacts[name]; {
		case errors.Is(err, fs.ErrNotExist):
			absent++
			continue
		case err != nil:
			return checked, err
		case got.Bytes != want.Bytes:
			r.problem("%s has %d bytes, want %d", name, got.Bytes, want.Bytes)
		case got.CRC != want.CRC:
			r.problem("%s has crc32c %s, want %s", name, got.CRC, want.CRC)
		}
		checked++
	}
	if checked > 0 && absent > 0 {
		r.problem("%d of %d artifacts are missing", absent, len(artifacts))
	}
	return checked, nil
}

func sumOf(name string) (sum, error) {
	f, err := os.Open(name)
	if err != nil {
		return sum{}, err
	}
	defer f.Close()
	h := crc32.New(crc32.MakeTable(crc32.Castagnoli))
	n, err := io.Copy(h, f)
	return sum{Bytes: n, CRC: fmt.Sprintf("%08x", h.Sum32())}, err
}

// mysqlScript is a definition: table.sql, accounts.sql and the like.
type mysqlScript struct{}

const scriptIntro = "-- quiesce: "

func (mysqlScript) Type() string { return "MySQL dump definition" }

func (mysqlScript) Match(head []byte, _ int64) bool {
	return bytes.HasPrefix(head, []byte(scriptIntro))
}

func (mysqlScript) Inspect(_ context.Context, f *os.File) (Report, error) {
	var r Report
	text, err := io.ReadAll(io.LimitReader(f, maxDocument+1))
	if err != nil {
		return r, err
	}
	what, rest, whole := bytes.Cut(text[len(scriptIntro):], []byte("\n"))
	r.Details = map[string]any{"of": string(what), "bytes": len(text)}
	// Accounts may be none; every other script has its one statement.
	if !whole || !bytes.HasSuffix(text, []byte("\n")) || !bytes.Contains(rest, []byte("CREATE ")) && filepath.Base(f.Name()) != "accounts.sql" {
		r.problem("it was cut short")
	}
	return r, nil
}

// mysqlChunk is data.00001.tsv. It has no magic number, so it is recognised by what its format demands of every line, and only
// where there are several columns.
type mysqlChunk struct{}

func (mysqlChunk) Type() string { return "MySQL dump chunk" }

func (mysqlChunk) Match(head []byte, size int64) bool {
	if bytes.IndexByte(head, 0) >= 0 || bytes.IndexByte(head, '\r') == 0 {
		return false
	}
	fields := 0
	for line := range bytes.Lines(head) {
		if line[len(line)-1] != '\n' && int64(len(head)) < size {
			break // cut by the head
		}
		n, ok := chunkLine(bytes.TrimSuffix(line, []byte("\n")))
		if !ok || fields > 0 && n != fields {
			return fields > 1 && int64(len(head)) == size // damage further down is a problem of a chunk, not another type
		}
		fields = n
	}
	return fields > 1
}

// chunkLine counts the fields of a line and checks its escapes.
func chunkLine(line []byte) (fields int, ok bool) {
	for i := 0; i < len(line); i++ {
		if line[i] != '\\' {
			continue
		}
		i++
		if i == len(line) || bytes.IndexByte([]byte(`tn\0N`), line[i]) < 0 {
			return 0, false
		}
	}
	return bytes.Count(line, []byte("\t")) + 1, true
}

func (mysqlChunk) Inspect(ctx context.Context, f *os.File) (Report, error) {
	var r Report
	in := bufio.NewReaderSize(f, 1<<20)
	var rows, bytesRead int64
	fields := 0
	for {
		line, err := in.ReadBytes('\n')
		bytesRead += int64(len(line))
		if errors.Is(err, io.EOF) && len(line) == 0 {
			break
		}
		if err != nil && !errors.Is(err, io.EOF) {
			return r, err
		}
		rows++
		if err != nil {
			r.problem("its last line, %d, has no end: it was cut short", rows)
		}
		n, ok := chunkLine(bytes.TrimSuffix(line, []byte("\n")))
		switch {
		case !ok:
			r.problem("line %d has an escape that does not exist", rows)
		case fields > 0 && n != fields:
			r.problem("line %d has %d fields, those before it %d", rows, n, fields)
		default:
			fields = n
		}
		if len(r.Problems) > 9 {
			r.problem("and perhaps more: it was read no further")
			break
		}
		if cause := context.Cause(ctx); rows%4096 == 0 && cause != nil {
			return r, cause
		}
	}
	r.Details = map[string]any{"rows": rows, "fields": fields, "bytes": bytesRead}
	return r, nil
}
