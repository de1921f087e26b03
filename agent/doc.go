// Package agent is the runtime on the protected machine: it starts backups when they are due and keeps what follows from them in order.
//
// An Agent holds jobs. A Job is one instance of an application with its schedules, its retention, its objective and its hooks; what it backs up comes from
// Job.Open, where to from Job.Config. The package knows no application: a program decides which it links.
// Package agent/config builds jobs from a YAML file; programs with a configuration of their own fill the struct.
//
//	a, err := agent.New(agent.Options{Jobs: jobs, State: "/var/lib/vendor/agent"})
//	...
//	err = a.Run(ctx) // until ctx ends
//
// Each action of a job (backup, verify, rehearse, prune, restore) can also be called by hand; it takes the same path
// as a scheduled one and ends in the same Record.
//
// # What a run is made of
//
//	the job is free, and fewer than Options.Concurrent runs are under way
//	a log or differential becomes a full when there is nothing to build on, or the last full is too old; the record says why
//	the before hooks; one that fails stops the run
//	the backup, as package backup does it
//	retention, when the run earned a proof; never otherwise
//	the after hooks, or the failed hooks
//	the record goes to the state, the metrics, the log and, when the job's state changed, to the notifiers
//
// # What is guaranteed
//
// Losing the state directory loses no backup and no schedule: what was last backed up is asked of the target. One job never runs two actions at once
// in one agent; over several machines the lease of package backup decides. When Run's context ends, runs go on for Options.Grace, are then
// cancelled, clean up and are waited for. A backup that nobody proved does not count for the objective, nor does it let anything older be removed.
//
// # What is not
//
// The agent catches no signals and reads no environment: the program does. A schedule is not a promise of the second;
// jitter, a busy job and Options.Concurrent delay runs.
package agent
