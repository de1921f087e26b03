// Package mtf reads the files that SQL Server's BACKUP writes (.bak, .trn), without a server: what backups a file holds, whether it is whole, and, for
// backups taken WITH CHECKSUM, whether each byte of data is the one that was written.
//
// # Words
//
// The files are Microsoft Tape Format with blocks of SQL Server's own. A media set is all files of a BACKUP statement; its files are media families, here
// called stripes, over which the data is spread. A set is one backup in it; with NOINIT several sets follow each other in a file, told apart by their
// position. A set has a type: full, differential or log. An LSN is a place in the transaction log of a database; LSNs and GUIDs say which sets fit
// each other, and appear as RESTORE HEADERONLY shows them.
//
// # One walk
//
// A file is a list of blocks, each a header and streams up to the stream SPAD:
//
//	TAPE SFMB { SSET VOLB MSCI [MSDA...] MSTL... MSLS SFMB ESET ESET SFMB }...
//
// TAPE is the media header. SFMB is a file mark. SSET begins a set, VOLB names the machine. MSCI and MSLS describe the set twice: database, LSNs, files. MSDA
// holds pages, MSTL log. Scan walks it and seeks over the data. Verify reads every byte of a stream once, in 512 KiB of memory, and compares the data
// with its checksums. Both return what they understood along with an error, so that a damaged file can still be named. Group puts stripes together
// and tells which is missing.
//
// # What is guaranteed
//
// Without an error, all blocks and streams follow each other, in order, to the exact end of the file, and all their headers have their checksum: a file cut
// short anywhere is found, and so are blocks that stand in another place than the one they were written for. The two descriptions of a set agree. When
// Media.Depth is Summed, no bit of pages or log in any set differs from what the server wrote, as far as its checksum tells: one changed bit is always
// found, and so is any run of up to 32 changed bits in a sector.
//
// Nothing is allocated by a length that a file names before the bytes are there, and no string longer than 2048 bytes is believed. Memory grows with the
// number of sets and database files only.
//
// # What is not
//
// A file cut exactly behind one of its sets is a whole file with fewer sets: compare the number of sets, or the size, with what was backed up. What follows
// the first 52 bytes of a header (names, dates, the GUID of the set), and padding, has no checksum. Data without WITH CHECKSUM has none either: Depth is then Walked at most. Pages are not looked into:
// their own checksums are the server's to judge, which it does while it writes a backup WITH CHECKSUM.
//
// Compressed and encrypted backups are in a container of another format, MSSQLBAK. They are recognised, as Media.Container, and nothing else is said of
// them: they need a server. A password is no encryption; what has one is read all the same. Backups on tape that go on in a further volume, and
// files of other programs in the same tape format, are refused.
//
// A media header is not the place of recovery models and of the state of a database: ask RESTORE HEADERONLY for those.
//
// # Where the format is from
//
// Comments name the sources of each offset and number: "MTF 1.00a" is the specification of Microsoft Tape Format of that version. "Observed" was decoded from 108
// genuine files of SQL Server 2005 to 2016, where it holds without exception; a smaller number is given where fewer files show it. The tests
// here run against 26 of them, of 2008 R2 and 2012, and against synthetic files. "Inferred" is a
// conclusion that no file at hand contradicts. Numbers such as 7.9 are the sections of the notes on these files that this package was written from:
// 7.1 kinds of files, 7.2 block header, 7.3 stream header, 7.4 order, 7.5 TAPE, 7.6 SSET, 7.7 VOLB, 7.8 dates, 7.9 descriptions, 7.10 data, 7.11 checksums, 7.12 container.
package mtf
