package exchangesim

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/quiesce-go/quiesce/exchange"
	"github.com/quiesce-go/quiesce/exchange/esebcli"
	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// engine is eseutil of a program.
type engine struct{ c *Client }

// Recover brings databases into clean shutdown. The server need not be up.
func (e *engine) Recover(ctx context.Context, r exchange.Recovery) error {
	return e.c.call(ctx, "Engine.Recover", []string{r.Base, r.LogDir, r.SystemDir, r.DatabaseDir}, func() error {
		err := e.c.s.inUse(r.LogDir)
		if err == nil {
			err = e.c.s.recoverSoft(r)
		}
		var hr esebcli.HRESULT
		if errors.As(err, &hr) && hr.JET() != 0 {
			return fmt.Errorf("operation terminated with error %d: %w", hr.JET(), err)
		}
		return err
	})
}

// inUse refuses a folder whose log runs.
func (s *Server) inUse(dir string) error {
	for _, g := range s.groups {
		if g.log != nil && filepath.Clean(dir) == g.logDir {
			return jet(errAccessDenied, "%s: the server has it open", g.currentLog())
		}
	}
	return nil
}

// isMounted reports whether a file is a database that is mounted.
func (s *Server) isMounted(path string) bool {
	for _, g := range s.groups {
		for _, d := range g.dbs {
			if d.mounted && (d.file == path || d.stm == path) {
				return true
			}
		}
	}
	return false
}

// recoverSoft is soft recovery (eseutil /r).
func (s *Server) recoverSoft(r exchange.Recovery) error {
	files, err := seriesIn(r.LogDir, r.Base)
	if err != nil {
		return err
	}
	checkpoint := filepath.Join(r.SystemDir, r.Base+".chk")
	k, kerr := esefile.ReadCheckpoint(checkpoint)
	if kerr != nil && !errors.Is(kerr, fs.ErrNotExist) {
		return jet(errCheckpoint, "%s: %v", checkpoint, kerr)
	}
	if kerr == nil {
		files = slices.DeleteFunc(files, func(f logFile) bool { return f.generation < k.At.Generation })
	}
	if len(files) == 0 {
		return jet(errMissingLog, "%s: no log of %s to begin with", r.LogDir, r.Base)
	}
	entries, err := readLogs(files, esebcli.FromJET(errMissingLog), esebcli.FromJET(errLogSignature))
	if err != nil {
		return err
	}
	series := entries[0].log.Header.Signature
	if kerr == nil && k.Signature != series {
		return jet(errCheckpointSeries, "%s is of another series of logs", checkpoint)
	}
	images, err := s.attached(r, entries)
	if err != nil {
		return err
	}
	first, last := entries[0].log.Header.Generation, entries[len(entries)-1].log.Header.Generation
	for _, img := range images {
		if err := covered(img, series, first, last, r.AllowLoss); err != nil {
			return err
		}
	}
	if err := replay(images, entries); err != nil {
		return err
	}
	end := entries[len(entries)-1].log
	for _, img := range images {
		if !img.changed && img.header.State == esefile.Clean {
			continue
		}
		if err := errors.Join(img.finish(end.End(), s.stamp(), false), img.finishStream(s.streamOf(img.path))); err != nil {
			return err
		}
	}
	return s.continueLogs(r, end)
}

// streamOf is the .stm file beside a database, where the version has them.
func (s *Server) streamOf(edb string) string {
	if s.cfg.Version > 2003 {
		return ""
	}
	return strings.TrimSuffix(edb, ".edb") + ".stm"
}

// seriesIn are the logs in a folder, the current one last, with the generations of their headers.
func seriesIn(dir, base string) ([]logFile, error) {
	files, err := closedLogs(dir, base)
	if err != nil {
		return nil, err
	}
	current := filepath.Join(dir, base+".log")
	h, err := esefile.ReadLogHeader(current)
	if errors.Is(err, fs.ErrNotExist) {
		return files, nil
	}
	if err != nil {
		return nil, jet(errLogCorrupt, "%v", err)
	}
	return append(files, logFile{current, h.Generation}), nil
}

// attached finds the databases that the logs name.
func (s *Server) attached(r exchange.Recovery, entries []entry) (map[byte]*image, error) {
	type known struct {
		path     string
		attached bool
	}
	all := map[byte]known{}
	for _, e := range entries {
		for _, d := range e.log.Header.Databases {
			all[d.ID] = known{d.Path, true}
		}
		for _, rec := range e.records {
			switch rec.Type {
			case esefile.RecordAttach:
				all[rec.Database] = known{rec.Value, true}
			case esefile.RecordDetach:
				all[rec.Database] = known{rec.Value, false}
			}
		}
	}
	images := map[byte]*image{}
	for id, k := range all {
		path := k.path
		if r.DatabaseDir != "" {
			path = filepath.Join(r.DatabaseDir, filepath.Base(path))
		}
		if s.isMounted(path) {
			return nil, jet(errAccessDenied, "%s: the server has it open", path)
		}
		img, err := loadImage(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && img.header.ID != uint32(id) {
			if k.attached && !r.IgnoreMissing {
				return nil, jet(errAttachmentMismatch, "%s: the logs name this database, and it is not there", path)
			}
			continue
		}
		if err != nil {
			return nil, err
		}
		images[id] = img
	}
	return images, nil
}

// covered reports why logs cannot recover a database.
func covered(img *image, series esefile.Signature, first, last uint32, lose bool) error {
	h := img.header
	switch {
	case h.FullCur.First != 0:
		return jet(errSoftOnBackup, "%s is a copy by the streaming API: it needs hard recovery", img.path)
	case h.State == esefile.Clean:
		return nil
	case h.LogSignature != series:
		return jet(errLogSignature, "%s needs logs of another series", img.path)
	case h.MinRequired < first || h.MaxRequired > last:
		return jet(errRequiredLogs, "%s needs the logs %d-%d, and there are %d-%d", img.path, h.MinRequired, h.MaxRequired, first, last)
	case h.MaxCommitted > last && !lose:
		return jet(errCommittedLogs, "%s: logs were committed up to %d, and there are %d-%d", img.path, h.MaxCommitted, first, last)
	}
	return nil
}

// continueLogs makes what the server goes on with: a current log, and a checkpoint behind what was replayed.
func (s *Server) continueLogs(r exchange.Recovery, last *esefile.Log) error {
	end := last.End()
	current := filepath.Join(r.LogDir, r.Base+".log")
	if _, err := os.Stat(current); errors.Is(err, fs.ErrNotExist) {
		h := last.Header
		h.Generation, h.PrevCreated, h.Created, h.PreviousSum, h.Databases = h.Generation+1, h.Created, s.stamp(), last.Sum(), nil
		log, err := esefile.NewLog(h)
		if err != nil {
			return err
		}
		if err := os.WriteFile(current, log.Bytes(), 0o600); err != nil {
			return err
		}
		end = log.End()
	}
	k := esefile.Checkpoint{At: end, Signature: last.Header.Signature, SystemPath: r.SystemDir, LogPath: r.LogDir}
	return os.WriteFile(filepath.Join(r.SystemDir, r.Base+".chk"), k.Encode(), 0o600)
}

var _ exchange.Engine = (*engine)(nil)
