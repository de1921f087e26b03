package agent

import (
	"slices"
	"time"

	"github.com/quiesce-go/quiesce/backup"
)

// JobStatus is what is known of a job without asking its application.
type JobStatus struct {
	Job         string `json:"job"`
	Application string `json:"application,omitempty"`
	// Running is the action in progress, or empty.
	Running Action    `json:"running,omitempty"`
	Since   time.Time `json:"since,omitzero"`
	// Next is when each action or kind ("full", "log", "verify", ...) is due.
	Next map[string]time.Time `json:"next,omitempty"`
	// Last is the newest record of each action; for backups, of each kind asked for.
	Last map[string]Record `json:"last,omitempty"`
	// RecoveryPoint is the newest time that every item can be restored to from proven backups; zero when there is none.
	RecoveryPoint time.Time `json:"recovery_point,omitzero"`
	// Absent says that the backup which gives RecoveryPoint was begun longer ago than the objective, or that there is none. It is judged by this
	// machine's clock, and only once the target has been read.
	Absent bool `json:"absent,omitempty"`
}

// Status reports on all jobs, from memory: it makes no contact with target or application. What comes from the target is as it was when the agent
// last read it: at the start of Run and after each action.
func (a *Agent) Status() []JobStatus {
	a.mu.Lock()
	now := a.now()
	rs := slices.Clone(a.runners)
	all := make([]JobStatus, len(rs))
	for i, r := range rs {
		all[i] = JobStatus{Job: r.job.Name, Application: r.job.Application, Next: make(map[string]time.Time)}
		for _, e := range r.entries {
			next := e.start
			if !r.settled {
				next = e.table.next(now, now)
			}
			if !next.IsZero() {
				all[i].Next[e.key] = next
			}
		}
	}
	a.mu.Unlock()
	for i, r := range rs {
		all[i].Last = a.state.last(r.job.Name)
		r.mem.report(&all[i], r.job.Objective, now)
	}
	return all
}

// report fills in what is in memory.
func (m *memory) report(s *JobStatus, objective time.Duration, now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.Running, s.Since = m.running, m.since
	if m.application != "" {
		s.Application = m.application
	}
	s.RecoveryPoint = m.point
	s.Absent = objective > 0 && m.known && now.Sub(m.begun) > objective
}

// StatusFrom is what a history alone tells of a job, to a program that is not the agent that runs it: nothing of what is running and due, and of the past only
// the backups that exist.
func (j Job) StatusFrom(h backup.History, now time.Time) JobStatus {
	s := JobStatus{Job: j.Name, Application: j.Application, Last: make(map[string]Record)}
	for _, b := range h {
		outcome := OutcomeOK
		if b.Partial() {
			outcome = OutcomePartial
		}
		s.Last[string(b.Kind)] = Record{Job: j.Name, Action: ActionBackup, Outcome: outcome, Application: b.Application, Instance: b.Instance,
			Asked: b.Kind, Kind: b.Kind, ID: b.ID, Started: b.Started, Finished: b.Finished, Proof: &b.Proof, Bytes: b.Bytes, StoredBytes: b.StoredBytes, Parts: b.Parts}
	}
	point, begun := recoveryPoint(h)
	s.RecoveryPoint, s.Absent = point, j.Objective > 0 && now.Sub(begun) > j.Objective
	return s
}
