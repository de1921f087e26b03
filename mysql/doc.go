// Package mysql backs up MariaDB and MySQL servers and restores them: everything, one schema, or one schema under another name, as it was at a backup or at any moment since. It is pure
// Go and needs no client program.
//
// # Words
//
// The item of a backup is the server ("instance"); its schemas are the item's objects, which a restore can select singly. A chunk is a piece of one
// table, an artifact of its own. The index, index.json, is the artifact written last; it lists all others with row counts and checksums.
// FORMAT.md describes every artifact, and how to restore by hand with a stock client.
//
// # One run
//
// A backup opens Options.Connections sessions and makes their transactions see one moment of the server: by BACKUP STAGE on MariaDB, which holds up
// commits for some milliseconds; else by FLUSH TABLES WITH READ LOCK, each try bounded by Options.LockWait; else without a lock, by comparing the
// positions of the binary log until all sessions saw the same; else over a single session. Which one it was stands in the backup's Meta as "lock", the position in
// the item's Checkpoint, see the type of that name. Tables without transactions are read while the lock is held as far as
// Options.LockedBytes allows, and are otherwise named in a warning. Then the lock is released, definitions are read, and all sessions read
// chunks from one queue, largest first. Tables are cut by their primary key or a unique key, so that one large table keeps all of them busy.
//
// DDL while a backup runs: on MySQL 8 and later LOCK INSTANCE FOR BACKUP keeps it out where the account has BACKUP_ADMIN. Elsewhere a table that was
// altered after the snapshot makes the run fail and is named; one that was already read keeps its ALTER waiting until the end.
//
// A restore reads all definitions first and refuses, before it changes anything, what exists already, what cannot be renamed without doubt and what
// is of another flavour. Then come accounts, schemas, sequences, tables, rows over all connections by LOAD DATA LOCAL or, where the server does not allow
// that, by INSERT; secondary indexes of larger tables after their rows; foreign keys, routines, views, triggers, events, grants. Every chunk is one
// transaction, committed only when exactly its rows went in without a warning.
//
// # What is kept
//
// Values byte for byte, in every column type: FLOAT, of which the server's text has only six digits, is read as a double; TIMESTAMP in UTC; text in its
// own charset. Generated columns are not stored, invisible ones are. All objects with their definer, sql_mode, charset, collation and time
// zone; database defaults; users, roles and grants, without those the server makes itself and without objects in the schemas mysql, sys,
// information_schema, performance_schema and ndbinfo.
//
// Not kept: the history of system-versioned tables (the backup warns), server variables, replication settings, server-side
// files such as loadable functions and plugins.
//
// # Binary log
//
// A log backup is what the server wrote to its binary log since the last backup, whole transactions, byte for byte, read over the replication protocol; nothing is flushed, locked or purged for it. It continues the last backup only if it can be shown to: the
// same server, the same file with the same beginning, at least as long, and all transactions that were there then. Otherwise (purged, reset, cut, another server) the run takes a full and says why; positions then belong to a new history, so that
// log from before is never applied to what came after.
//
// A restore to a moment loads the full and replays the log behind it over one connection, up to the last transaction that was committed by then: to the microsecond on MySQL, where the log has such times; on MariaDB, whose log has whole seconds, a transaction
// counts as committed at the end of its second. Restore options stop at a GTID or before it, a place in a file (see Source.Locate) stops to the byte. Row, mixed and statement format are replayed; with the latter what depends on chance may come out
// differently, as on a replica. What a filter of the backup left out is left out of the replay: rows by their table, statements by the schema they ran in. Rows of the server's own tables are never replayed, accounts by their statements only in a restore of everything.
//
// Log backups and replay were run against MariaDB 10.11. Of MySQL no server was at hand for them: genuine logs of 9.7 were read and checked, with tagged GTIDs and compressed transactions, and not replayed.
//
// # Kinds
//
// Full and log. A Source that was made from a pool of the driver takes fulls only, because following the log needs a login of its own.
//
// # Rights
//
// SELECT, SHOW VIEW, TRIGGER, EVENT on what is backed up, and RELOAD for a snapshot over several connections. For the position BINLOG MONITOR (MariaDB
// 10.5 and later) or REPLICATION CLIENT; for routines SHOW_ROUTINE (MySQL 8.0.20 and later) or SELECT on mysql.proc (MariaDB); for
// accounts SELECT on the schema mysql; on MySQL BACKUP_ADMIN; for log backups REPLICATION SLAVE. Source.Check says what is missing. A restore needs what the objects need, in practice an administrator; a replay needs BINLOG REPLAY (MariaDB 10.5 and later) or
// BINLOG_ADMIN (MySQL) besides.
//
// # Servers
//
// MariaDB 10.4 and later and MySQL 8.0 and later; on older ones the ways without newer statements are used. A server that
// speaks the protocol but is only part of a MySQL, such as the embedded github.com/dolthub/go-mysql-server, is recognised by what it lacks and
// used in a reduced mode: no lock, no position, no accounts, no routines, loading by INSERT, no promise of consistency.
package mysql
