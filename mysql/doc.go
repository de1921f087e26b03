// Package mysql backs up MariaDB and MySQL servers and restores them: everything, one schema, or one schema under another name. It is pure
// Go on go-sql-driver/mysql and needs no client program.
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
// Not kept: the history of system-versioned tables (the backup warns), server variables, binary logs, replication settings, server-side
// files such as loadable functions and plugins.
//
// # Kinds
//
// Every backup is a full. Its position is recorded for log backups to start from.
//
// # Rights
//
// SELECT, SHOW VIEW, TRIGGER, EVENT on what is backed up, and RELOAD for a snapshot over several connections. For the position BINLOG MONITOR (MariaDB
// 10.5 and later) or REPLICATION CLIENT; for routines SHOW_ROUTINE (MySQL 8.0.20 and later) or SELECT on mysql.proc (MariaDB); for
// accounts SELECT on the schema mysql; on MySQL BACKUP_ADMIN. Source.Check says what is missing. A restore needs what the objects need, in practice an administrator.
//
// # Servers
//
// MariaDB 10.4 and later and MySQL 8.0 and later; on older ones the ways without newer statements are used. A server that
// speaks the protocol but is only part of a MySQL, such as the embedded github.com/dolthub/go-mysql-server, is recognised by what it lacks and
// used in a reduced mode: no lock, no position, no accounts, no routines, loading by INSERT, no promise of consistency.
package mysql
