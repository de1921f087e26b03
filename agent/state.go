package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/quiesce-go/quiesce/backup"
	"github.com/quiesce-go/quiesce/sink"
)

// stateVersion is the version of the files this package writes. It reads no other.
const stateVersion = 1

// jobState is what is remembered of one job. All of it may be lost: what was backed up is known at the target.
type jobState struct {
	Version int    `json:"version"`
	Job     string `json:"job"`
	// Served says, per schedule ("full", "log", "verify", ...), up to which of its times it has been seen to.
	Served map[string]time.Time `json:"served,omitempty"`
	// Last holds the newest record per action; for backups, per kind asked for.
	Last map[string]Record `json:"last,omitempty"`
	// Notices belongs to the observer.
	Notices map[string]string `json:"notices,omitempty"`
}

// stateStore keeps the jobStates, in memory and as one file per job in a directory. A file that cannot be read or written is a warning in the log.
type stateStore struct {
	dir string // empty means memory only
	log *slog.Logger

	mu   sync.Mutex
	sink *sink.Dir // opened by the first use
	jobs map[string]*storedState
}

type storedState struct {
	jobState
	lost  bool // there was nothing to read
	ahead bool // the last write failed: the file knows less than this
}

func newStateStore(dir string, log *slog.Logger) *stateStore {
	return &stateStore{dir: dir, log: log, jobs: make(map[string]*storedState)}
}

// last returns the newest records of a job by their key.
func (s *stateStore) last(job string) map[string]Record {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.job(job).Last)
}

// lastBackup returns the newest backup that is remembered, or "".
func (s *stateStore) lastBackup(job string) (id backup.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.job(job).Last {
		if r.Action == ActionBackup {
			id = max(id, r.ID)
		}
	}
	return id
}

// served returns up to when a schedule has been seen to, or the zero time.
func (s *stateStore) served(job, schedule string) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.job(job).Served[schedule]
}

// lost reports whether nothing was remembered of the job when it was first asked for.
func (s *stateStore) lost(job string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.job(job).lost
}

// serve notes that schedules have been seen to up to the given times. It only ever moves forward.
func (s *stateStore) serve(ctx context.Context, job string, upTo map[string]time.Time) {
	if len(upTo) == 0 {
		return
	}
	s.change(ctx, job, func(st *jobState) { st.serve(upTo) })
}

// record keeps r as the newest of its key, together with the schedules it has served.
func (s *stateStore) record(ctx context.Context, r Record, upTo map[string]time.Time) {
	s.change(ctx, r.Job, func(st *jobState) {
		st.serve(upTo)
		if st.Last == nil {
			st.Last = make(map[string]Record)
		}
		st.Last[r.key()] = r
	})
}

func (st *jobState) serve(upTo map[string]time.Time) {
	if st.Served == nil {
		st.Served = make(map[string]time.Time)
	}
	for k, t := range upTo {
		if t.After(st.Served[k]) {
			st.Served[k] = t
		}
	}
}

// change applies fn to a job's state and writes it.
func (s *stateStore) change(ctx context.Context, job string, fn func(*jobState)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.job(job)
	s.open()
	if other, err := s.read(job); err == nil {
		st.merge(other) // a program run by hand may have written since
	}
	fn(&st.jobState)
	if s.sink == nil {
		return
	}
	data, err := json.MarshalIndent(st.jobState, "", "  ")
	if err == nil {
		err = s.sink.Put(context.WithoutCancel(ctx), stateKey(job), bytes.NewReader(data))
	}
	st.ahead = err != nil
	if err != nil {
		s.log.Warn("the state could not be written; what happened since is remembered until this program ends", "job", job, "state", s.dir, "err", err)
	}
}

// merge takes over what another process learned.
func (st *jobState) merge(other jobState) {
	st.serve(other.Served)
	for k, r := range other.Last {
		if st.Last == nil {
			st.Last = make(map[string]Record)
		}
		if have, ok := st.Last[k]; !ok || r.Finished.After(have.Finished) {
			st.Last[k] = r
		}
	}
}

// job returns what is in memory, reading the file the first time.
func (s *stateStore) job(job string) *storedState {
	if st, ok := s.jobs[job]; ok {
		return st
	}
	st := &storedState{}
	s.jobs[job] = st
	s.open()
	var err error
	if st.jobState, err = s.read(job); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			s.log.Warn("the state cannot be read and counts as lost", "job", job, "state", s.dir, "err", err)
		}
		st.jobState, st.lost = jobState{Version: stateVersion, Job: job}, true
	}
	return st
}

func (s *stateStore) open() {
	if s.dir == "" || s.sink != nil {
		return
	}
	d, err := sink.OpenDir(s.dir)
	if err != nil {
		s.log.Warn("the state directory cannot be used; nothing is remembered", "state", s.dir, "err", err)
		return
	}
	s.sink = d
}

func (s *stateStore) read(job string) (st jobState, err error) {
	if s.sink == nil {
		return st, fs.ErrNotExist
	}
	r, err := s.sink.Get(context.Background(), stateKey(job))
	if err != nil {
		return st, err
	}
	defer r.Close()
	if err := json.NewDecoder(r).Decode(&st); err != nil {
		return jobState{}, err
	}
	if st.Version != stateVersion || st.Job != job {
		return jobState{}, fmt.Errorf("it is version %d of job %q; want version %d of %q", st.Version, st.Job, stateVersion, job)
	}
	return st, nil
}

func stateKey(job string) string { return job + ".json" }
