package exchangesim

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/quiesce-go/quiesce/internal/sim/exchangesim/esefile"
)

// image is a database file in memory.
type image struct {
	path    string
	header  esefile.Header
	pages   map[uint32]esefile.Page
	trailer *esefile.Trailer
	dbtime  uint64 // the counter as far as it has been brought
	changed bool
}

// loadImage reads a database and checks every page.
func loadImage(path string) (*image, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	h, err := esefile.DecodeHeader(b)
	if err != nil {
		return nil, jet(errDatabaseCorrupted, "%s: %v", path, err)
	}
	size := int(h.PageBytes)
	if len(b) < 2*size || len(b)%size != 0 {
		return nil, jet(errDatabaseCorrupted, "%s has %d bytes, which is no number of pages", path, len(b))
	}
	img := &image{path: path, header: h, pages: map[uint32]esefile.Page{}, dbtime: h.DBTime}
	if last := b[len(b)-size:]; h.FullCur.First != 0 && len(b) > 2*size {
		if t, ok := esefile.DecodeTrailer(last); ok {
			img.trailer = &t
			b = b[:len(b)-size]
		}
	}
	for at := 2 * size; at < len(b); at += size {
		p, err := esefile.DecodePage(b[at:at+size], uint32(at/size-1))
		if err != nil {
			return nil, jet(errReadVerify, "%s: %v", path, err)
		}
		if p.Key != "" {
			img.pages[p.Number] = p
			img.dbtime = max(img.dbtime, p.DBTime)
		}
	}
	return img, nil
}

func (img *image) values() map[string]string {
	m := map[string]string{}
	for _, p := range img.pages {
		m[p.Key] = p.Value
	}
	return m
}

// apply replays one record of this database.
func (img *image) apply(r esefile.Record, series esefile.Signature) error {
	switch own := img.header.LogSignature == series; {
	case own && !img.header.Attach.Before(r.At): // it came with this, or is of another past
		return nil
	case !own && (r.Type != esefile.RecordAttach || r.DBTime != img.dbtime): // it was not attached to this series yet
		return nil
	}
	switch r.Type {
	case esefile.RecordAttach:
		if r.DBTime != img.dbtime {
			return jet(errConsistentTime, "%s: the logs go on with a database of another past: its counter was %d where they attached it, and is %d here", img.path, r.DBTime, img.dbtime)
		}
		img.header.Attach, img.header.LogSignature, img.changed = r.At, series, true
	case esefile.RecordDetach:
		if r.DBTime < img.dbtime {
			return jet(errConsistentTime, "%s is newer than the logs", img.path)
		}
	case esefile.RecordSet:
		img.dbtime = max(img.dbtime, r.DBTime)
		if r.DBTime > img.pages[r.Page].DBTime {
			img.pages[r.Page] = esefile.Page{Number: r.Page, DBTime: r.DBTime, Key: r.Key, Value: r.Value}
			img.changed = true
		}
	default:
		return jet(errLogCorrupt, "a record of type %d", r.Type)
	}
	return nil
}

// finish writes the database back, in clean shutdown at a position.
func (img *image) finish(at esefile.Position, stamp esefile.Stamp, hard bool) error {
	h := img.header
	h.State, h.DBTime, h.MinRequired, h.MaxRequired, h.MaxCommitted, h.MaxRequiredTime = esefile.Clean, img.dbtime, 0, 0, 0, esefile.Stamp{}
	h.Consistent, h.ConsistentTime, h.Detach, h.DetachTime = at, stamp, at, stamp
	h.FullCur, h.SnapshotCur = esefile.Mark{}, esefile.Mark{}
	if hard {
		h.FullPrev, h.IncPrev, h.CopyPrev = esefile.Mark{}, esefile.Mark{}, esefile.Mark{}
		h.FullPrevBy, h.IncPrevBy, h.CopyPrevBy = 0, 0, 0
	}
	img.header = h
	b := h.Encode()
	numbers := []uint32{}
	for n := range img.pages {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	for i, n := range numbers {
		if n != uint32(i+1) {
			return jet(errDatabaseCorrupted, "%s: page %d is not there", img.path, i+1)
		}
		b = append(b, img.pages[n].Encode(int(h.PageBytes))...)
	}
	return os.WriteFile(img.path, b, 0o600)
}

// finishStream writes the header of the .stm file beside.
func (img *image) finishStream(stm string) error {
	if stm == "" {
		return nil
	}
	s, err := esefile.ReadHeader(stm)
	if err != nil {
		return jet(errFileNotFound, "%v", err)
	}
	if s.Signature != img.header.Signature {
		return jet(errStreamFileMismatch, "%s does not belong to %s", stm, img.path)
	}
	return esefile.WriteHeader(stm, img.header.Stream())
}

// entry is a log that was read.
type entry struct {
	name    string
	log     *esefile.Log
	records []esefile.Record
}

// readLogs reads logs in order and checks that they are one series from one generation on. gap and foreign are the errors for those.
func readLogs(files []logFile, gap, foreign error) (entries []entry, err error) {
	for _, f := range files {
		b, err := os.ReadFile(f.path)
		if err != nil {
			return nil, err
		}
		log, records, err := esefile.DecodeLog(b)
		if err != nil {
			return nil, jet(errLogCorrupt, "%s: %v", f.path, err)
		}
		h := log.Header
		if f.generation != 0 && f.generation != h.Generation {
			return nil, jet(errLogGeneration, "%s has generation %d", f.path, h.Generation)
		}
		if n := len(entries); n > 0 {
			switch prev := entries[n-1].log; {
			case prev.Header.Signature != h.Signature:
				return nil, fmt.Errorf("%s is of another series than %s: %w", f.path, entries[n-1].name, foreign)
			case prev.Header.Generation+1 != h.Generation:
				return nil, fmt.Errorf("%s: the logs from generation %d to %d are missing: %w", f.path, prev.Header.Generation+1, h.Generation-1, gap)
			case prev.Header.Created != h.PrevCreated:
				return nil, jet(errLogSequence, "%s does not continue %s", f.path, entries[n-1].name)
			case h.Segmented && prev.Sum() != h.PreviousSum:
				return nil, jet(errLogChecksum, "%s continues a log with another content than %s", f.path, entries[n-1].name)
			}
		}
		entries = append(entries, entry{f.path, log, records})
	}
	return entries, nil
}

// replay brings images forward through logs.
func replay(images map[byte]*image, entries []entry) error {
	for _, e := range entries {
		for _, r := range e.records {
			img := images[r.Database]
			if img == nil {
				continue
			}
			if err := img.apply(r, e.log.Header.Signature); err != nil {
				return errors.Join(fmt.Errorf("replaying %s", e.name), err)
			}
		}
	}
	return nil
}
