// Package blocks writes and reads files as Oracle Database lays them out, for tests that have no genuine file: data files block by block, redo logs,
// control files, in both byte orders.
//
// It knows: block 0 of all files; the file header of data files with everything that says whose file it is and in what state (database, tablespace,
// incarnation, checkpoint, backup mode); the cache header, checksum and tail of data blocks; bigfile addresses; blocks half-way through a write
// (Torn); the header and the block headers of redo logs, with and without checksums, longer than their use, or still open; SCNs of up to 63 bits;
// the generic header of control files.
//
// It does not know what is inside: the payload of a data block, the records of a log and the content of a control file are bytes that the caller
// chooses, laid out in a way of this package's own. A server would not read them.
//
// Offsets are those that published block dumps (bbed, of 11.2) and two open-source readers of redo logs (OpenLogReplicator, oracdc) show. No genuine
// file was at hand. See oracle/blockfile for the same facts, read by other code.
package blocks
