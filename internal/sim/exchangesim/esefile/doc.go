// Package esefile writes and reads the files of the Extensible Storage Engine as the simulated Exchange server has them: databases, logs, checkpoints. Headers, checksums and the chain of logs are genuine;
// what is in pages and logs is the model's own, one key to a page.
//
// It was written from the description of the formats alone, whose sections comments name (4.1 to 4.5), and shares no code with exchange/ese, which reads what it writes in the tests: a mistake in one of both shows.
//
// # FORMAT
//
// Integers are little-endian. All that is not named here is zero.
//
// A database has the genuine header (4.2) in its first two pages, type 1 at 667; a .stm has the same with attribute 1 and type 2, the signature of its database, and behind it pages of random bytes without checksums.
// Page n, counted from 1, is at (n+1) times the page size: 4096 bytes (2003), 8192 (2007), 32768 (2010 and later). Its header is genuine and of the new format: dbtime of its last change at 8, an object number, 1, at 24, flag 0x2000
// at 36, and in pages above 8 KiB the three block sums at 40 and its number at 64. Behind the header (40 bytes, 80 in pages above 8 KiB): "QSIM", length of the key and of the value (2 bytes each), key, value. One key has one page.
// The copy that the streaming API hands out has fullCur (184) with genLow set and genHigh 0, and the trailer (PATCHHDR) as its last page.
//
// A log has the genuine header (4.3) with the list of the attached databases at 671: dbid, flags 0, length of the path, dbtime, LGPOS of attachment and of consistency at 20 and 28, signature of the database at 36, path in UTF-8 at 64.
// Version 7.3704 (2003 to 2010): sectors of 512 bytes, 8 for the header; from byte 4096 on a stream of records. Version 8.4000.13 (2013 and later): segments of 4096 bytes with genuine headers and checksums, records from byte 40 of each, none
// crosses its end; behind the last segment with data is its shadow; the last segment of the file never has data; 653 has the sums of the log before. A file has 65536 bytes unless the test wants another size.
//
// A record: length of all of it (4 bytes), type (1), dbid (1), zero (2), number of the page (4), dbtime (8), nanoseconds since 1970 as a signed number (8), length of key and value (2 bytes each), key, value, CRC-32 (IEEE) of all before (4).
// A length of 0 ends the stream, or the segment. Type 1 sets a key on its page. Type 2 says that a database was attached: dbtime is the counter that it then had, the page is 0, the key its name, the value its path; type 3 that it was detached. Recovery applies a record of type 1 when its dbtime is
// above that of the page, makes the file longer where it must, and at a record of type 2 compares the counter: one that differs is a database of another past (-551).
//
// A checkpoint file has two genuine copies of 4096 bytes. It says where the first record is that may not be in the databases.
//
// Stamps are to the second and in the zone of the server up to Exchange 2010, in UTC with milliseconds since.
package esefile
