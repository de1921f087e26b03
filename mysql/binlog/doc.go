// Package binlog reads binary logs of MySQL and MariaDB, checks them, and replays them into a server.
//
// # Words
//
// A binary log is files, each of events. Its first event, the format description, says how all others are written. A transaction is the events from the one that names it (its GTID, which may be anonymous) to the one that commits it; a statement
// such as CREATE TABLE is one too. A row group is the rows of one statement with the maps of the tables they belong to. A file may also be a piece of one: the magic number and a format description, and then events from the middle; that is
// how the server sends it when it is asked from there.
//
// # Three layers
//
// A Scanner reads events one by one, byte for byte as the server wrote them, checks the checksum of each and that each follows the one before it. A Walker says to which transaction each event belongs, when that was committed, and where it ends. Both need memory for one
// event. A Replayer sends transactions to a server over one connection, without a client program.
//
// # Moments
//
// The commit time of a transaction has microseconds on MySQL 8.0.1 and later, and whole seconds on MariaDB and older servers, where it is when the last statement began.
//
// # What is guaranteed
//
// With checksums, which servers write by default, one changed bit anywhere is found. That an event is missing in the middle is found by the positions that events name. A file that ends in the middle of an event is damaged; one that ends between two events may be
// whole or not: Walker.Inside tells if that was inside a transaction, and a last event of the type ROTATE or STOP that the server ended it.
//
// # Where the facts are from
//
// Events are decoded by github.com/go-mysql-org/go-mysql. How to replay them was tried on MySQL 9.7 and MariaDB 10.11: sections 8 and 9 of the notes this was written from. Behind them are the manuals of both servers, of the statement BINLOG and the program mysqlbinlog above all.
package binlog
