// Package dominosim is a small Domino server for tests: databases that are files, a transaction log, and the Notes C API of backup and recovery over both.
package dominosim
