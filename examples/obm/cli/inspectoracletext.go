package cli

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// What lies beside the files of Oracle Database that oracleFile reads, in a backup as restore --files writes it and where restore puts it.

// oracleInventory is inventory.json. The artifacts it lists are looked for beside it, and measured; what they hold is told when they are inspected themselves.
type oracleInventory struct{}

func (oracleInventory) Type() string { return "Quiesce inventory of an Oracle database" }

func (oracleInventory) Match(head []byte, _ int64) bool {
	return begins(head, "format", "dbid", "unique_name", "instance_name")
}

func (oracleInventory) Inspect(_ context.Context, f *os.File) (Report, error) {
	var r Report
	var inv struct {
		Format       int    `json:"format"`
		DBID         uint64 `json:"dbid"`
		Name         string `json:"name"`
		Version      string `json:"version"`
		Host         string `json:"host"`
		ResetlogsSCN uint64 `json:"resetlogs_scn"`
		Containers   []struct {
			Name string `json:"name"`
		} `json:"containers"`
		DataFiles []struct {
			Name     string `json:"name"`
			Artifact string `json:"artifact"`
			Bytes    int64  `json:"bytes"`
			Offset   int64  `json:"block1_offset"`
		} `json:"data_files"`
		Backup struct {
			Kind string    `json:"kind"`
			From uint64    `json:"from"`
			End  uint64    `json:"end"`
			At   time.Time `json:"at"`
			Logs []struct {
				Artifact string `json:"artifact"`
				Bytes    int64  `json:"bytes"`
			} `json:"logs"`
			Files  map[string]string `json:"files"`
			Doubts map[string]string `json:"doubts"`
			RMAN   struct {
				Pieces []struct {
					Artifact string `json:"artifact"`
					Bytes    int64  `json:"bytes"`
				} `json:"pieces"`
			} `json:"rman"`
		} `json:"backup"`
	}
	data, err := document(f, &r, &inv)
	if data == nil || err != nil {
		return r, err
	}
	if inv.Format != 1 {
		r.problem("format %d is not one this program reads", inv.Format)
	}
	// Of each artifact, how long it is at least: a data file may have grown while it was copied.
	least := map[string]int64{}
	for _, name := range inv.Backup.Files {
		least[name] = 1
	}
	copies := 0
	for _, d := range inv.DataFiles {
		if d.Artifact != "" {
			least[d.Artifact] = d.Bytes + d.Offset
			copies++
		}
	}
	for _, l := range inv.Backup.Logs {
		if l.Artifact != "" {
			least[l.Artifact] = l.Bytes
		}
	}
	for _, p := range inv.Backup.RMAN.Pieces {
		least[p.Artifact] = p.Bytes
	}
	if err := measured(f.Name(), least, &r); err != nil {
		return r, err
	}
	containers := []string{}
	for _, c := range inv.Containers {
		containers = append(containers, plain(c.Name))
	}
	r.Details = map[string]any{"database": plain(inv.Name), "dbid": inv.DBID, "version": plain(inv.Version), "host": plain(inv.Host), "resetlogs_scn": scn(inv.ResetlogsSCN), "containers": containers,
		"kind": plain(inv.Backup.Kind), "from_scn": scn(inv.Backup.From), "end_scn": scn(inv.Backup.End), "end_time": inv.Backup.At, "data_files": copies, "logs": len(inv.Backup.Logs)}
	if len(inv.Backup.Doubts) > 0 {
		r.Details["doubts"] = inv.Backup.Doubts
	}
	return r, nil
}

// measured looks for the files that a listing names below its own folder. A listing looked at alone is not missing its files.
func measured(listing string, least map[string]int64, r *Report) error {
	absent := 0
	for name, bytes := range least {
		if !filepath.IsLocal(filepath.FromSlash(name)) {
			r.problem("%q is no name of an artifact", name)
			continue
		}
		info, err := os.Stat(filepath.Join(filepath.Dir(listing), filepath.FromSlash(name)))
		switch {
		case errors.Is(err, fs.ErrNotExist):
			absent++
		case err != nil:
			return err
		case info.Size() < bytes:
			r.problem("%s has %d bytes, and must have %d", name, info.Size(), bytes)
		}
	}
	if absent > 0 && absent < len(least) {
		r.problem("%d of %d files are not beside it", absent, len(least))
	}
	return nil
}

// oracleText is a text for or by Oracle Database, known by how it begins. Whether it is whole only who reads it can tell; a NUL byte is in none.
type oracleText struct {
	name  string
	match *regexp.Regexp
	// details are what a line tells; nil for nothing.
	details func(line string, to map[string]any)
}

// oracleTexts are those that a backup and a restore have.
func oracleTexts() []Inspector {
	return []Inspector{
		oracleText{"Quiesce script that restores an Oracle database", regexp.MustCompile(`\A-- Restore of (database|tablespace|pluggable database|data file)s? `), nil},
		oracleText{"Quiesce script for the temporary files of an Oracle database", regexp.MustCompile(`\A-- Temporary files are not in a backup\.`), nil},
		oracleText{"Oracle control file as SQL", regexp.MustCompile(`(?m)\A(\s*(--.*)?\n)*\s*STARTUP NOMOUNT\s*\n(\s*(--.*)?\n)*\s*CREATE CONTROLFILE `), nil},
		oracleText{"Oracle parameters", regexp.MustCompile(`(?im)\A(# Oracle init\.ora parameter file|(\s*(#.*)?\n)*(\*|[a-z0-9_#$]+)\.[a-z0-9_]+ *=)`), oracleParameter},
	}
}

func (o oracleText) Type() string { return o.name }

func (o oracleText) Match(head []byte, _ int64) bool {
	return !bytes.ContainsRune(head, 0) && o.match.Match(head)
}

func (o oracleText) Inspect(ctx context.Context, f *os.File) (Report, error) {
	r := Report{Details: map[string]any{"checked": "that it is text"}}
	in := bufio.NewReader(f)
	for n := 1; ; n++ {
		if err := context.Cause(ctx); err != nil {
			return r, err
		}
		line, err := in.ReadString('\n')
		if strings.ContainsRune(line, 0) {
			r.problem("line %d has a NUL byte, which is in no text", n)
		}
		if o.details != nil {
			o.details(strings.TrimSpace(line), r.Details)
		}
		if errors.Is(err, io.EOF) {
			return r, nil
		}
		if err != nil {
			return r, err
		}
	}
}

// oracleParameter notes what says whose parameters they are.
func oracleParameter(line string, to map[string]any) {
	key, value, ok := strings.Cut(line, "=")
	if !ok || strings.HasPrefix(line, "#") {
		return
	}
	count, _ := to["parameters"].(int)
	to["parameters"] = count + 1
	name := strings.ToLower(strings.TrimSpace(key))
	name = name[strings.Index(name, ".")+1:] // behind the instance that it is for
	if name == "db_name" || name == "control_files" {
		to[name] = plain(strings.ReplaceAll(value, "'", ""))
	}
}

// oraclePasswords is a password file. Nothing of it is shown.
type oraclePasswords struct{}

func (oraclePasswords) Type() string { return "Oracle password file" }

func (oraclePasswords) Match(head []byte, _ int64) bool {
	const within = 1024 // behind a header of a block
	return bytes.Contains(head[:min(within, len(head))], []byte("\x00ORACLE Remote Password file"))
}

func (oraclePasswords) Inspect(_ context.Context, f *os.File) (Report, error) {
	info, err := f.Stat()
	if err != nil {
		return Report{}, err
	}
	return Report{Details: map[string]any{"bytes": info.Size(), "checked": "that it begins as one"}}, nil
}
