// Package nsf reads the header of databases of Lotus Notes and HCL Domino: files that end in .nsf, .ntf and .box. It tells what a file is, of which database and log, and whether it is as long as it says,
// without a server and without Notes.
//
// No Domino server was at hand. What stands here was tried on eight genuine databases of releases 5 to 10 and later (on-disk structures 41, 43, 52 and 53).
//
// # Words
//
// The ODS is the version of the on-disk structure. The replica id is the same in all replicas of a database. The DBIID names one life of a database in a transaction log, the LogID the series of that log:
// a backup can be rolled forward only while both stay. A superblock is a root of the file's structure; there are two, both behind the header, and each begins with 0E 00.
//
// # One reading
//
// Match tells whether a file begins like a database. Verify reads a file once, to its end. A Checker does the same for bytes that pass through, beside a checksum for instance. Both return what the header
// says along with an error, so that a damaged file can still be named.
//
// # What is guaranteed
//
// With the depth Measured: the file begins as a database of an ODS that is known here, its header has the size that goes with it, both superblocks stand where the header says and inside the file,
// the file is not shorter than the header says, and its length is a multiple of 256 bytes. So a file cut short below the size that its header gives is always found. A few KiB of memory are enough for a file of any size.
//
// # What is not
//
// Nothing here proves that a database is consistent. A header has no checksum, and what lies behind the superblocks' first two bytes is not looked at: the format is not published. A copy of a live database
// without its change information, or with another's, passes. A file that is longer than its header says is told in Notes only, since one genuine database is. An ODS that is not known here is no damage: the depth
// is Recognised then, and what does not fit is a note. Extents of the transaction log (.TXN) and its control file have no published format either, and are not read at all.
//
// DBIID, its date, and the log number are where [LIBNSF] has them; they are zero in every genuine file seen. The bit that marks a backup that was not yet recovered is not known.
//
// # Where the format is from
//
// [LIBNSF] is the documentation of the Notes Storage Facility format in the project libyal/libnsfdb; its table makes the first block 178 bytes long, where genuine files have 174, so that all that follows lies four bytes
// earlier than it adds up to. Sizes of headers, positions of superblocks and the LogID were read from genuine files.
package nsf
