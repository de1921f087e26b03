// Package backuptest tells whether an implementation of a backup contract keeps it.
//
// Authors of targets run TestSink, which asks a Sink (and what more it implements: PutIfAbsenter, Sealer) one named rule
// after another, each on a fresh sink, and prints why a broken rule matters. CheckSink gives the same answers as values, for
// programs that are no tests.
//
//	func TestMySink(t *testing.T) {
//		backuptest.TestSink(t, func(t *testing.T) backup.Sink { return mysink.New(t.TempDir()) })
//	}
//
// NewMemSink is a sink in memory that keeps every rule, and NewFaultySink makes any sink fail, stall or tear its n-th call.
// Both serve to test what stands above a sink.
package backuptest
