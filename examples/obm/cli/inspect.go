package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/quiesce-go/quiesce/backup"
)

// Inspector recognises one type of file by its content and checks it, without any server.
type Inspector interface {
	// Type is what the files are called: "Quiesce manifest".
	Type() string
	// Match reports whether a file that begins with head looks like one. head has up to HeadSize bytes, less only when the file is shorter;
	// size is the whole file in bytes. The first inspector that matches gets the file, so Match must not guess.
	Match(head []byte, size int64) bool
	// Inspect reads the file and tells what it holds and what is wrong with it. The error is about the reading; damage is a problem.
	Inspect(ctx context.Context, f *os.File) (Report, error)
}

// HeadSize is how many bytes an Inspector may look at to recognise a file.
const HeadSize = 64 << 10

// namer is an Inspector of files whose content tells nothing. It is asked for the name of a file, without its directory, when no Inspector knows the content.
type namer interface{ MatchName(base string) bool }

// Report is what an Inspector found.
type Report struct {
	// Details are what the file holds, for people and programs. They are printed as JSON.
	Details map[string]any
	// Problems are what is wrong, a sentence each; none means that the file is whole, as far as can be told without a server.
	Problems []string
}

// problem adds a sentence.
func (r *Report) problem(format string, args ...any) {
	r.Problems = append(r.Problems, fmt.Sprintf(format, args...))
}

func (in *invocation) inspect() *cobra.Command {
	var identity string
	cmd := &cobra.Command{
		Use:   "inspect PATH...",
		Short: "say what a file is and whether it is whole",
		Long: `Recognise files by their content and check them without any server: manifests, listings and parts of backups as they lie at a target,
and the files of the applications linked into the program. Directories are walked. No configuration is needed.
Of several backup files of SQL Server it is also told what they are together: which databases, to which times each can be restored, and what is missing.
Of databases and logs of the Extensible Storage Engine, which Exchange and Active Directory use, whether the databases can be recovered with the logs, and what keeps logs on a server.
With --identity encrypted parts are opened and checked to their end. Damage, and a file that is not recognised, make the exit code 1.`,
		Example: in.examples("inspect /var/backups/shop/manifests", "inspect --identity key.txt runs/*/entries.jsonl.zst.age", "inspect --json index.json | jq '.[].problems'"),
		Args:    in.args(cobra.MinimumNArgs(1)),
		RunE: func(cmd *cobra.Command, args []string) error {
			known, err := in.inspectors(identity)
			if err != nil {
				return err
			}
			all := []Inspected{}
			for _, path := range args {
				found, err := inspectBelow(cmd.Context(), known, path)
				all = append(all, found...)
				if err != nil {
					return err
				}
			}
			unit := "files"
			for _, i := range known {
				if s, ok := i.(summarizer); ok {
					sets := s.Summary()
					all = append(all, sets...)
					if len(sets) > 0 {
						unit = "files and sets of files"
					}
				}
			}
			if err := in.print(all, func(w io.Writer) { printInspected(w, all) }); err != nil {
				return err
			}
			bad := 0
			for _, i := range all {
				if !i.OK {
					bad++
				}
			}
			if bad > 0 {
				return &backup.Error{Op: "inspect", Err: fmt.Errorf("%d of %d %s: %w", bad, len(all), unit, backup.ErrCorrupt),
					Advice: "verify reads whole backups; plan finds a way around damaged ones"}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&identity, "identity", "", "age identity `file` that opens encrypted parts")
	return cmd
}

// inspectBelow inspects a file, or all files below a directory.
func inspectBelow(ctx context.Context, known []Inspector, path string) ([]Inspected, error) {
	var all []Inspected
	err := filepath.WalkDir(path, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return &backup.Error{Op: "inspect", Err: err, Advice: "name files or directories that can be read"}
		}
		if cause := context.Cause(ctx); cause != nil {
			return cause
		}
		if d.IsDir() {
			return nil
		}
		one, err := inspectFile(ctx, known, name)
		if err == nil {
			all = append(all, one)
		}
		return err
	})
	return all, err
}

// inspectFile lets the first inspector that knows the file have it.
func inspectFile(ctx context.Context, known []Inspector, name string) (Inspected, error) {
	one := Inspected{Path: name, Problems: []string{}, Details: map[string]any{}}
	f, err := os.Open(name)
	if err != nil {
		return one, &backup.Error{Op: "inspect", Err: err, Advice: "name files or directories that can be read"}
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return one, &backup.Error{Op: "inspect", Artifact: name, Err: err}
	}
	if !info.Mode().IsRegular() {
		one.Problems = append(one.Problems, "not a regular file")
		return one, nil
	}
	head := make([]byte, min(HeadSize, info.Size()))
	if _, err := io.ReadFull(f, head); err != nil {
		return one, &backup.Error{Op: "inspect", Artifact: name, Err: err}
	}
	for _, i := range known {
		if i.Match(head, info.Size()) {
			err := one.by(ctx, i, f)
			return one, err
		}
	}
	for _, i := range known {
		if n, ok := i.(namer); ok && n.MatchName(filepath.Base(name)) {
			err := one.by(ctx, i, f)
			return one, err
		}
	}
	one.Problems = append(one.Problems, "not recognised")
	return one, nil
}

// by lets an inspector have the file.
func (one *Inspected) by(ctx context.Context, i Inspector, f *os.File) error {
	one.Type = i.Type()
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return &backup.Error{Op: "inspect", Artifact: one.Path, Err: err}
	}
	r, err := i.Inspect(ctx, f)
	if err != nil {
		return &backup.Error{Op: "inspect", Artifact: one.Path, Err: err}
	}
	one.Problems = append(one.Problems, r.Problems...)
	if r.Details != nil {
		one.Details = r.Details
	}
	one.OK = len(one.Problems) == 0
	return nil
}

func printInspected(w io.Writer, all []Inspected) {
	for _, i := range all {
		mark := "ok  "
		if !i.OK {
			mark = "BAD "
		}
		fmt.Fprintf(w, "%s  %s: %s\n", mark, i.Path, orElse(i.Type, "unknown type"))
		if details, ok := i.Details.(map[string]any); ok {
			for _, k := range slices.Sorted(maps.Keys(details)) {
				fmt.Fprintf(w, "      %s: %v\n", strings.ReplaceAll(k, "_", " "), details[k])
			}
		}
		for _, p := range i.Problems {
			fmt.Fprintf(w, "      PROBLEM: %s\n", p)
		}
	}
}

// isDamage reports whether a reader failed because of what it read.
func isDamage(err error) bool {
	return errors.Is(err, backup.ErrCorrupt) || errors.Is(err, io.ErrUnexpectedEOF)
}
