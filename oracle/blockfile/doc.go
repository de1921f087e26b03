// Package blockfile reads files of Oracle Database without a server: data files, archived redo logs and control files. Whose they are, whether they
// are whole, and, where the server wrote checksums, whether each byte is the one that was written.
//
// No genuine file of Oracle Database was at hand, and no server. Everything here rests on published block dumps and on two open-source readers of
// redo logs, named below, and was tried against synthetic files only. dbv, RMAN VALIDATE and a recovery are the judges; what this package adds is
// that it needs none of them.
//
// # Words
//
// A file is blocks of one size: 2 to 32 KiB in data files, 512 bytes to 4 KiB in redo, usually 16 KiB in control files. Block 0 belongs to the
// operating system's side, block 1 is the file header. The address of a data block is its relative file number and its number, or, in a bigfile
// tablespace, its number only. An SCN dates a change. Its wrap and base, the type of a block and a counter stand at the block's start, and again, in
// short, at its end, the tail. A fractured block is one whose end does not belong to its start, because it was copied while it was written. Thread,
// sequence and incarnation, that is RESETLOGS id and SCN, name a redo log.
//
// # One reading
//
// Match tells which of the three a file is. VerifyData, VerifyRedo and VerifyControl read a file once from a stream, and return what it says of
// itself along with an error, so that a damaged file can still be named. Follows tells whether a log continues another, and why not.
//
// A hot copy is taken while the database writes. Its fractured blocks are repaired by redo, provided that the file was in backup mode; Options.Hot
// has them counted and listed instead of called damage. A header that does not show backup mode takes that leave away: such a copy is beyond repair.
// The header itself is to be whole in any case; copy the file again if it is not.
//
// # What is guaranteed
//
// Without an error: the header of a data file is whole and the file has the length it gives; every block stands in its place, is of this file, and
// has an end that belongs to its start, but for blocks that were never written, which are zero, and for the fractured ones of a hot copy, all of
// which are counted. A redo log was closed, all blocks in use are there, and each says its number and the sequence of the log. So a file cut short
// anywhere is found, and so are blocks in another place than their own.
//
// When the depth is Summed, besides, every block from block 1 on that was ever written, or is in use, has a checksum, and it is right: one changed
// bit is always found, and so is any run of up to 16. For a data file it also means that no block is fractured.
//
// 512 KiB of memory are enough for a file of any size. Nothing is allocated by a length that a file names, and of what is wrong 20 are told and all
// are counted.
//
// # What is not
//
// Checksums are XOR of 16-bit words: two words that change in the same bits, or change places, keep it. Without DB_BLOCK_CHECKSUM there is none:
// Depth is then Walked. Block 0 has none that is known. That of a data file is warned about only, and what stands behind the blocks in use of a log
// is not looked at. A checksum of 0 in redo that is not right counts as none.
//
// A block whose bytes were all lost to zeros, as in a hole that a broken copy left, cannot be told from one that was never written: DataFile.Zero
// counts both. Rows, indexes, undo and redo records are not looked into: a block that was wrong before it was written is right here. Blocks that a
// server has marked as corrupt are not told from others. Nothing is known here of how encrypted tablespaces keep their blocks; headers are taken to
// be in clear. Of a control file only header and length are read: Measured is all there is. Backup sets of RMAN are not recognised.
//
// The status flag for backup mode, the format bytes for blocks of 2, 4 and 32 KiB, block 0 of data files, and that a log has as many blocks as it
// uses, are the least certain of the facts below.
//
// # Where the format is from
//
// Comments name the source of each offset and number by its section in the notes that this package was written from: 5.1 block 0, 5.2 redo, 5.3 data
// files, 5.4 control files. Behind 5.2 are [OLR], the source of OpenLogReplicator (src/reader/Reader.cpp, src/common/Ctx.h), and that of oracdc
// (OraCdcRedoLog.java). Behind 5.3 are [BBED], published dumps of the server's block editor, "p kcvfh" of files of 10g, 11g and 12c. [CTL] is such a
// dump of block 1 of a control file of 11.2: type 0x15, format 0xC2 with 16 KiB, and the fields that it shares with data files where the dumps of
// those have them. The tests compare checksums with those that a dump shows before and after edits, and stamps with the times that are known for
// them; the synthetic files of the tests begin with the very bytes of two published headers.
package blockfile
