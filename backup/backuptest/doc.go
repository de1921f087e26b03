// Package backuptest tells whether an implementation of a backup contract keeps it.
//
// Every suite asks named rules one after another, each on a fresh subject, and prints why a broken rule matters and who loses data by it.
// The Check functions give the same answers as values, for programs that are no tests.
//
// # Authors of targets
//
// TestSink asks a Sink, and what more it implements: PutIfAbsenter, Sealer.
//
//	func TestMySink(t *testing.T) {
//		backuptest.TestSink(t, func(t *testing.T) backup.Sink { return mysink.New(t.TempDir()) })
//	}
//
// NewMemSink is a sink in memory that keeps every rule, and NewFaultySink makes any sink fail, stall or tear its n-th call.
// Both serve to test what stands above a sink.
//
// # Authors of agents
//
// TestSource asks a Source in a real pipeline, staged and streaming: round trips over all kinds of links and to a time, failing
// sinks and cancels at many moments, kept log, dead runs, honest windows, damage, restores that must be refused. What it needs of the application is small:
// content that changes, a fingerprint of it, a way to lose it, and word of whether something was left open. See Application, and the optional abilities
// beside it, each of which lets more rules be asked.
//
//	func TestMyAgent(t *testing.T) {
//		backuptest.TestSource(t, func() (backuptest.Application, error) { return startMyServer() })
//	}
//
// # Authors of stages
//
// TestStager asks a Stager: empty and private places that nobody shares, nothing left after a release, and stages that are found again after
// their process was killed.
//
// # The reference application
//
// NewLedger starts a small server in memory that has all that makes backups hard: a transaction log per database or a shared one, truncation, backup mode,
// sessions that survive their client, streams that begin anew, databases that come, go and fail. Its every past state is known, so that a
// restore to any time can be compared with what was. Ledger.Source is its agent with every ability, written to be read: ledgersource.go takes
// backups, ledgerrestore.go and ledgerreplay.go bring them back. OpenLedger keeps it on disk for tests that kill processes.
//
// # What is not promised
//
// A passed suite does not prove an implementation right; it proves that the mistakes we have met or could think of are not in it. Each rule is
// itself tested against an implementation that was made to break it.
package backuptest
