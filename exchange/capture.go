package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/exchange/ese"
)

// capture is the copy of one group.
type capture struct {
	r     *run
	task  *task
	from  origin
	names *artifactNames
	// databases and logs are what was read, to its end.
	databases []readDatabase
	logs      []ese.NamedLog
	partial   bool // the last of logs was still being written
}

type readDatabase struct {
	name string
	*ese.Database
}

func (r *run) capture(k *task, from origin) *capture {
	return &capture{r: r, task: k, from: from, names: namesFor(k.Name)}
}

// file copies one file of the server.
func (c *capture) file(ctx context.Context, owner, kind, path string, meta map[string]string, judge proof) error {
	in, size, err := c.from.open(ctx, path)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer in.Close()
	meta[metaKind], meta[metaFile] = kind, path
	a := backup.Artifact{Name: c.names.take(owner, path), Item: c.task.Name, Role: roleOf(kind), Meta: meta}
	n, err := c.r.store(ctx, a, in, judge)
	if err == nil && n < size {
		err = damaged("the server gave %d of its %d bytes", n, size)
	}
	if err != nil {
		return fmt.Errorf("copy %s: %w", path, err)
	}
	return nil
}

// all copies the databases of the group, each with its streaming file.
func (c *capture) all(ctx context.Context) error {
	for _, d := range c.task.Databases {
		for _, f := range []struct{ kind, path string }{{fileDatabase, d.File}, {fileStream, d.StreamFile}} {
			if f.path == "" {
				continue
			}
			meta := map[string]string{metaDatabase: d.Name, metaGUID: d.GUID}
			err := c.file(ctx, d.Name, f.kind, f.path, meta, func(ctx context.Context, r io.Reader) (map[string]string, error) {
				found, err := ese.VerifyDatabase(ctx, r, -1)
				c.databases = append(c.databases, readDatabase{d.Name, found})
				return aboutDatabase(found), err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// aboutDatabase is what an artifact says of a database: the logs it needs, and of which series.
func aboutDatabase(d *ese.Database) map[string]string {
	meta := map[string]string{metaSignature: seriesText(d.LogSignature)}
	if v := ese.Explain(ese.Set{Database: d}); !d.Streaming && v.RequiredFirst > 0 {
		meta[metaRequired] = fmt.Sprintf("%d-%d", v.RequiredFirst, v.CommittedLast)
	}
	return meta
}

// log copies one log. ends is when it was certainly over; zero: unknown.
func (c *capture) log(ctx context.Context, l serverLog, ends time.Time) error {
	meta := map[string]string{metaGeneration: strconv.FormatUint(uint64(l.head.Generation), 10), metaCreated: stampText(l.head.Created),
		metaPrevious: stampText(l.head.PreviousCreated), metaSignature: seriesText(l.head.Signature)}
	if l.partial {
		meta[metaPartial] = "true"
	}
	if !ends.IsZero() && !l.partial {
		meta[metaEnds] = ends.Format(time.RFC3339Nano)
	}
	return c.file(ctx, "logs", fileLog, l.path, meta, func(ctx context.Context, r io.Reader) (map[string]string, error) {
		found, err := ese.VerifyLog(ctx, r)
		c.logs, c.partial = append(c.logs, ese.NamedLog{Name: l.name, Log: found}), l.partial
		if err == nil && (found.Generation != l.head.Generation || found.Created != l.head.Created) {
			err = damaged("it was log 0x%X when its header was read, and is log 0x%X now", l.head.Generation, found.Generation)
		}
		return nil, err
	})
}

// take copies logs, in order. heads are all that are known, whose times tell when the one before each was over; up is when the last was over, where that is not one of them.
func (c *capture) take(ctx context.Context, logs, heads []serverLog, up time.Time) (ends time.Time, err error) {
	over := c.overs(heads)
	for i, l := range logs {
		ends = over[l.head.Generation]
		if ends.IsZero() && i == len(logs)-1 {
			ends = up
		}
		if err := c.log(ctx, l, ends); err != nil {
			return ends, err
		}
	}
	return ends, c.chain()
}

// overs is by when each log was over, as the creation of the next one tells.
func (c *capture) overs(heads []serverLog) map[uint32]time.Time {
	at := map[uint32]time.Time{}
	for _, h := range heads {
		at[h.head.Generation-1] = over(h.head.Created, c.r.s.opt.Zone)
	}
	return at
}

// control adds the checkpoint file, which no restore needs: a recovery can do without it.
func (c *capture) control(ctx context.Context, path string) error {
	err := c.file(ctx, "checkpoint", fileCheckpoint, path, map[string]string{}, func(ctx context.Context, r io.Reader) (map[string]string, error) {
		_, err := ese.VerifyCheckpoint(ctx, r)
		return nil, err
	})
	if err != nil && ctx.Err() == nil && stagingError(err) == nil {
		c.r.warn("%s: the checkpoint file was left out, which costs a recovery time only: %v", c.task.Name, err)
		return nil
	}
	return err
}

// note adds what the group was.
func (c *capture) note(ctx context.Context) error {
	n := groupNote{Format: noteFormat, Way: c.r.site.way, Server: c.r.s.here(c.r.site), Major: c.r.site.layout.Major, Group: c.task.Group}
	for _, d := range slices.Concat(c.task.idle, c.task.out) {
		n.Untaken = append(n.Untaken, d.Name)
	}
	text, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	a := backup.Artifact{Name: groupNoteName(c.task.Name), Item: c.task.Name, Role: backup.RoleControl, Meta: map[string]string{metaKind: fileNote}}
	_, err = c.r.store(ctx, a, bytes.NewReader(text), plain)
	return err
}

// chain checks that the logs that were read are one series without a break.
func (c *capture) chain() error {
	if len(c.logs) == 0 {
		return nil
	}
	return ese.CheckChain(c.logs[0].Log.Signature, c.logs)
}

// recoverable checks that each database has the logs that it requires.
func (c *capture) recoverable() error {
	for _, d := range c.databases {
		if d.Streaming {
			continue
		}
		v := ese.Explain(ese.Set{Database: d.Database, Logs: c.logs})
		switch {
		case !v.Possible:
			return damaged("database %q: %s: %s", d.name, v, strings.Join(v.Reasons, "; "))
		case !v.Lossless:
			c.r.warn("%s: %s: %s; what follows is in the next log backup", c.task.Name, v, strings.Join(v.Reasons, "; "))
		}
	}
	return nil
}

// full completes the item of a full that is consistent as of at.
func (c *capture) full(at time.Time) (backup.Item, error) {
	it := backup.Item{Name: c.task.Name, Kind: backup.Full, Reason: c.task.reason, CopyOnly: c.r.copyOnly, Objects: c.objects()}
	ck := checkpoint{Way: c.r.site.way}
	for _, d := range c.task.Databases {
		ck.Databases = append(ck.Databases, d.identity())
	}
	if n := len(c.logs); n > 0 {
		last := c.logs[n-1].Log
		it.Stream = seriesText(last.Signature)
		ck.Signature = it.Stream
		ck = ck.at(last, c.partial)
		it.End = ck.end()
		at = later(at, last.Created.In(c.r.s.opt.Zone))
		if a := c.task.anchor.Last; a != nil && a.Stream == it.Stream {
			at = later(at, a.Window.To)
		}
	}
	it.Window = backup.Window{From: at, To: at}
	var err error
	it.Checkpoint, err = json.Marshal(ck)
	return it, err
}

// link completes the item of a log link whose logs hold all changes up to.
func (c *capture) link(up time.Time) (backup.Item, error) {
	last, a := c.task.last, c.task.anchor.Last
	it := backup.Item{Name: c.task.Name, Kind: backup.Log, Parent: a.ID, Stream: last.Signature, Begin: last.end(), PointInTime: true, Objects: c.objects()}
	ck := last
	if n := len(c.logs); n > 0 {
		it.Begin = position(last.next(), false)
		ck = ck.at(c.logs[n-1].Log, c.partial)
	}
	it.End = ck.end()
	it.Window = backup.Window{From: a.Window.To, To: later(a.Window.To, up)}
	var err error
	it.Checkpoint, err = json.Marshal(ck)
	return it, err
}

// objects are the databases of a group that has several.
func (c *capture) objects() (names []string) {
	if len(c.task.Databases)+len(c.task.idle)+len(c.task.out) < 2 {
		return nil
	}
	for _, d := range c.task.Databases {
		names = append(names, d.Name)
	}
	return names
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
