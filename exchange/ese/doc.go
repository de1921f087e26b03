// Package ese reads databases, transaction logs and checkpoints of the Extensible Storage Engine, in which Exchange keeps mailboxes and Active Directory its objects. It tells without a server and without Windows
// what state a database is in, which logs it needs, whether each page is the one that was written, and whether logs follow one another: what eseutil /mh, /ml, /mk and /k tell on a server.
//
// # Words
//
// A database is pages of one size, 2 to 32 KiB. The first two pages of the file are two copies of its header; page 1 stands behind them. A log belongs to a series, which has a signature, and has a generation
// in it. A log since Exchange 2013 is segments of 4 KiB. The checkpoint says where recovery begins. A database in clean shutdown needs no log. One in dirty shutdown needs those of its required range, or it cannot be used; those up to the last committed one, or changes are lost.
// A copy by the streaming API ends with a page of its own, the trailer, which names the logs that the copy needs.
//
// # One reading
//
// Match, MatchLog and MatchCheckpoint tell what a file begins like. VerifyDatabase, VerifyLog and VerifyCheckpoint read it once, from a stream, and return what it says of itself along with an error, so that a damaged
// file can still be named. ReadDatabaseHeader and ReadLogHeader read no more than the header, for those who want to know the state of a database of any size at once. CheckChain compares the logs that were read: it names the one that is missing, of another series, out of order, or under another's name.
// Explain tells of a database and its logs whether they are enough for a recovery, whether anything would be lost, and how far the logs lead. WhyKept tells of the logs on a server's disk what keeps them there,
// and why the server would refuse a backup of logs.
// Nothing is written: a page with one wrong bit is reported, with the bit, and not repaired.
//
// # What is guaranteed
//
// With the depth Summed: both copies of the header are whole, unless the header says that there is one only; the file is made of whole pages; every page has the right checksum for its place in the file, but
// for pages that are all zero, which were never used. So one changed bit anywhere is found, and a page in another place than its own is found, but see below. Which bit it was is told for pages with the new checksum, which Exchange has written since 2003 SP1. It cannot be told for headers and old pages, whose checksum is an XOR of words, and for the lower four bytes of the checksum itself in pages of up to 8 KiB: the page may then be another one as well.
// A copy by the streaming API that has no trailer, or that of another copy, is damaged.
//
// A log with the depth Summed has a whole header and its length, and every segment has the right checksum for its place, but for those that are all zero. One changed bit is found, and told where as for pages of 4 KiB.
// A chain without a break has one signature, every generation from the first to the last, and each log names the time at which the one before was created. Where a log is Linked, it also names all checksums in the one before.
// Both copies in a checkpoint file are whole.
//
// 512 KiB of memory are enough for a file of any size. Nothing is allocated by a length that a file names, and of what is wrong 20 are told and all are counted.
//
// # What is not
//
// A header does not say how long the file is: one that was cut short between two pages is found only if the caller knows its size. A page that is all zero, as in a hole that a broken copy left, cannot be told
// from one that was never used: Database.Unused counts both. The old checksum is an XOR: two words that change in the same bits, or change places, keep it. Pages of up to 8 KiB with the new one can be changed in several bits so that they look like another page,
// or like one with one wrong bit; either is damage, and told as the likeliest. What is in the pages is not looked at: trees, tables and messages may be wrong in pages that are whole.
//
// Streaming files (.stm) have no checksums in their pages: Measured is all there is for them. That the two copies of a header differ while both are whole is a note only: in a snapshot it can be so.
//
// Records in logs are not looked at. In a log up to Exchange 2010 the header is all that is checked, and the length: Measured says so. Segments that are zero behind the data of a log, or that an older generation left, count as unused:
// a log that lost its last segments so is found by the link from the next one only. CheckChain does not know where a chain should begin or end. Explain does, from the header of the database; it goes by headers, and that a recovery succeeds is proven by running one.
// WhyKept knows what stands in headers: not that a backup runs, nor what a second copy of the database on another server still waits for.
//
// # Where the format is from
//
// Comments name sections of the notes that this package was written from: 4.2 headers, 4.3 logs and checkpoints, 4.4 the XOR, 4.5 pages. Behind them are [ESE], the source of the engine that Microsoft has published (microsoft/Extensible-Storage-Engine,
// dev/ese/src/inc/daedef.hxx, backup.cxx, checksum.cxx, fileu.cxx, log.hxx, logread.cxx, logredo.cxx), and [EDB], the description of the format in the project libyal/libesedb. The tests compare state, required logs, and the number of good, unused and bad pages with what is
// known of seven genuine databases with pages of 4, 8, 16 and 32 KiB, and one page with its published checksum; they compare five genuine logs in a row and two checkpoints with what is known of these. Pages of 2 KiB, old pages, trailers, streaming files, logs up to Exchange 2010, marks of backups, and databases along with their logs were tried against synthetic files only: no genuine one was at hand,
// and none that Exchange wrote: these come from other programs that use the same engine.
package ese
