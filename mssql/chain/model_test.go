package chain_test

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/mssql/chain"
	"github.com/quiesce-go/quiesce/mssql/mtf"
)

// The model: databases whose every log record is known, that are written to, backed up and restored. It knows what each backup really holds, which no planner is told.

// A record is one change in the log.
type record struct {
	id int
	at time.Time
	n  uint32 // its LSN
}

// A living is a database on a server.
type living struct {
	fork    mtf.GUID
	records []record // all that made it what it is, across forks
	logged  uint32   // where the next log backup begins
	first   mtf.GUID
	point   uint32
	next    uint32
	base    mtf.GUID
	binding mtf.GUID
}

// truth is what a backup really holds.
type truth struct {
	path []record // all up to its end; a log holds those from its first LSN on
	base mtf.GUID
}

type world struct {
	rng    *rand.Rand
	now    time.Time
	last   uint64
	family mtf.GUID
	name   string
	alive  []*living
	paths  map[mtf.GUID][]record // the longest path of each fork
	sets   []chain.Set
	truths map[mtf.GUID]truth
	ids    int
}

func newWorld(rng *rand.Rand, name string, seed uint64) *world {
	w := &world{rng: rng, now: time.Date(2024, 3, 1, 8, 0, 0, 0, time.UTC), last: seed, name: name, paths: map[mtf.GUID][]record{}, truths: map[mtf.GUID]truth{}}
	w.family = w.guid()
	w.alive = []*living{{fork: w.family, first: w.family, next: 100, logged: 100, binding: w.guid()}}
	return w
}

func (w *world) guid() (g mtf.GUID) {
	w.last++
	binary.BigEndian.PutUint64(g[8:], w.last)
	return g
}

func lsn(n uint32) mtf.LSN {
	if n == 0 {
		return mtf.LSN{}
	}
	return mtf.LSN{VLF: 25, Block: n, Slot: 1}
}

func (w *world) pass(longest time.Duration) {
	w.now = w.now.Add(time.Duration(w.rng.Int64N(int64(longest))).Truncate(100 * time.Nanosecond))
}

func (w *world) write(d *living, most int) {
	for range w.rng.IntN(most + 1) {
		w.pass(3 * time.Second)
		w.append(d)
	}
}

func (w *world) append(d *living) {
	w.ids++
	d.records = append(slices.Clip(d.records), record{w.ids, w.now, d.next})
	d.next += 1 + w.rng.Uint32N(3)
	if len(d.records) > len(w.paths[d.fork]) {
		w.paths[d.fork] = d.records
	}
}

func (w *world) header(d *living, typ mtf.Type) chain.Set {
	return chain.Set{
		Type: typ, GUID: w.guid(), Database: w.name, FamilyGUID: w.family, BindingID: d.binding, Fork: d.fork, FirstFork: d.fork, Started: w.now.Truncate(time.Second),
		Position: 1, Stripes: 1, Devices: []string{fmt.Sprint("file", w.last)}, RecoveryModel: "FULL", VersionMajor: 16,
	}
}

// backup takes one; what is written while it is taken is in it up to some point.
func (w *world) backup(d *living, typ mtf.Type, copyOnly bool) {
	if typ == mtf.Differential && d.base.IsZero() {
		return
	}
	s := w.header(d, typ)
	s.CopyOnly = copyOnly
	if typ != mtf.Log {
		w.append(d) // the checkpoint
		s.FirstLSN, s.CheckpointLSN = lsn(d.next), lsn(d.next)
		w.append(d)
	} else {
		s.FirstLSN = lsn(d.logged)
		if d.first != d.fork {
			s.FirstFork, s.ForkPointLSN = d.first, lsn(d.point)
		}
	}
	w.write(d, 2)
	s.LastLSN = lsn(d.next)
	if typ == mtf.Log && d.logged == d.next {
		s.LastLSN = s.FirstLSN
	}
	w.truths[s.GUID] = truth{d.records, d.base}
	switch {
	case typ == mtf.Differential:
		s.DifferentialBaseGUID = d.base
	case typ == mtf.Database && !copyOnly:
		d.base = s.GUID
	case typ == mtf.Log && !copyOnly:
		d.logged, d.first, d.point = d.next, d.fork, 0
	}
	if typ == mtf.Log && w.rng.IntN(12) == 0 {
		s.BulkLogged = true
	}
	w.write(d, 2)
	w.pass(2 * time.Second)
	s.Finished = w.now.Truncate(time.Second)
	w.sets = append(w.sets, s)
}

// restore takes a database back to one of its records, in place or as a copy beside it, and so begins a fork.
func (w *world) restore(d *living, beside bool) {
	if len(d.records) < 3 {
		return
	}
	keep := 1 + w.rng.IntN(len(d.records)-1)
	past := slices.Clone(d.records[:keep])
	// The fork that the record is of, and where that began.
	fork, begun := w.forkOf(past[keep-1])
	point := d.records[keep].n
	r := &living{fork: w.guid(), records: past, next: point, first: fork, point: point, logged: point, base: d.base, binding: w.guid()}
	if w.rng.IntN(2) == 0 && begun < point {
		r.logged = begun + 1 + w.rng.Uint32N(point-begun) // not at begun itself: a log from there on is of the fork before
		for _, x := range past {                          // logs begin at records
			if x.n >= r.logged {
				r.logged = x.n
				break
			}
		}
		r.logged = min(r.logged, point)
	}
	if base, ok := w.truths[d.base]; ok && len(base.path) > keep {
		r.base = mtf.GUID{} // the state is older than the base, so it has none until the next full
	}
	w.pass(time.Minute)
	w.append(r) // recovery writes
	if beside {
		w.alive = append(w.alive, r)
		return
	}
	*d = *r
}

// forkOf is the fork on which a record was written, and the LSN of the first record of that fork.
func (w *world) forkOf(r record) (mtf.GUID, uint32) {
	for fork, path := range w.paths {
		i := slices.IndexFunc(path, func(x record) bool { return x.id == r.id })
		if i < 0 {
			continue
		}
		// Of the forks whose paths hold the record, the one that wrote it has the lowest number: others were restored from it.
		begun := w.begun(fork)
		if begun <= i {
			return fork, path[begun].n
		}
	}
	panic("a record of no fork")
}

// begun is the index of the first record that fork itself wrote.
func (w *world) begun(fork mtf.GUID) int {
	path := w.paths[fork]
	n := 0
	for other, p := range w.paths {
		if binary.BigEndian.Uint64(other[8:]) >= binary.BigEndian.Uint64(fork[8:]) {
			continue
		}
		common := 0
		for common < len(path) && common < len(p) && path[common].id == p[common].id {
			common++
		}
		n = max(n, common)
	}
	return n
}

func (w *world) live(steps int) {
	w.write(w.alive[0], 4)
	w.backup(w.alive[0], mtf.Database, false)
	for range steps {
		d := w.alive[w.rng.IntN(len(w.alive))]
		w.pass(90 * time.Second)
		w.write(d, 3)
		switch w.rng.IntN(20) {
		case 0, 1:
			w.backup(d, mtf.Database, false)
		case 2:
			w.backup(d, mtf.Database, true)
		case 3, 4, 5:
			w.backup(d, mtf.Differential, false)
		case 6, 7:
			w.backup(d, mtf.Log, true)
		case 8:
			w.restore(d, false)
		case 9:
			if len(w.alive) < 3 {
				w.restore(d, true)
			}
		default:
			w.backup(d, mtf.Log, false)
		}
	}
}

// An engine is a server that restores: SQL Server's rules as the reference has them, over what backups really hold.
type engine struct {
	truths  map[mtf.GUID]truth
	records []record
	next    mtf.LSN
	base    mtf.GUID
	online  bool // something was restored
	stopped bool // a log was stopped in
}

var errReached = errors.New("4338: stopped already")

// restore applies a set as the server would. beyond tells which records are past the stop; nil is none.
func (e *engine) restore(s chain.Set, beyond func(record) bool) error {
	t := e.truths[s.GUID]
	switch {
	case s.Type == mtf.Database:
		if e.online {
			return errors.New("3159: there is a database")
		}
		*e = engine{truths: e.truths, records: t.path, next: s.LastLSN, base: s.GUID, online: true}
		if s.CopyOnly {
			e.base = mtf.GUID{}
		}
		return nil
	case !e.online:
		return errors.New("3118: there is no database")
	case s.Type == mtf.Differential:
		if e.base != t.base || e.base.IsZero() {
			return errors.New("3136: another base")
		}
		e.records, e.next = t.path, s.LastLSN
		return nil
	case beyond != nil && slices.ContainsFunc(e.records, beyond):
		return errors.New("4335: beyond the stop")
	case e.stopped:
		return errReached
	case e.next.Compare(s.FirstLSN) < 0:
		return errors.New("4305: too late")
	case e.next.Compare(s.LastLSN) > 0:
		return errors.New("4326: too early")
	case len(t.path) < len(e.records) || !slices.Equal(t.path[:len(e.records)], e.records):
		return errors.New("4330: another past")
	}
	records := e.records
	for _, r := range t.path[len(e.records):] {
		if beyond != nil && beyond(r) {
			if s.BulkLogged {
				return errors.New("4341: bulk-logged")
			}
			e.records, e.stopped = records, true
			return nil
		}
		records = append(slices.Clip(records), r)
	}
	e.records, e.next = records, s.LastLSN
	return nil
}
