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
// Each action of a job (backup, verify, rehearse, prune, restore) can also be called by hand, with and without Run; it takes the same path
// as a scheduled one and ends in the same Record. It ends with the context of its caller.
//
// # What a run is made of
//
//	the job is free, and fewer than Options.Concurrent actions are under way
//	a log or differential becomes a full when there is nothing proven to build on, or Job.Promote says so; the record says why
//	the before hooks; one that fails stops the run
//	Job.Open, and the backup, as package backup does it
//	retention, when the run earned a proof; never otherwise
//	the after hooks, or the failed hooks
//	the record goes to the state, the metrics, the log and, when the job's state changed, to the notifiers
//
// # What is due
//
// What is due while its job is busy starts when the job is free, once however often it was due. Of backups that wait, only the strongest is made. At
// the start of Run, what should have been done while no agent ran is made up for: the state says up to when a schedule has been seen to, and when the state is
// lost, the target's history does. A schedule that neither knows is new and begins now. A scheduled run
// that finds the job held by another machine, or by the lease of a program that died, is tried again, less and less often, unless the other has made it unnecessary. When the machine slept or its clock was set, that is noticed within a minute.
//
// # What is guaranteed
//
// Losing the state directory loses no backup, and no missed backup stays unmade for it: what was last backed up is asked of the target. One job never runs two actions at once
// in one agent; over several machines the lease of package backup decides. When Run's context ends, runs go on for Options.Grace, are then
// cancelled, clean up and are waited for; one that was cancelled is made up for by the next start. When Run returns, all it started has ended. A backup
// that nobody proved does not count for the objective, nor does it let anything older be removed. A source or a hook that panics makes a failed record and nothing worse,
// as long as it does so on the goroutine it was called on.
//
// # What is not
//
// The agent catches no signals and reads no environment: the program does. (A Command inherits the environment, as programs do.) A schedule is not a promise of
// the second; jitter, a busy job and Options.Concurrent delay runs. What is lost with the state: when verifies, rehearses and prunes were last made, the last records, and what
// people have been told. While the agent runs it reads the headers at the target again after an hour or when something other than a backup went by; until
// then what other machines did there does not show in Status.
package agent
