// Package tapesim writes backup files as SQL Server does: Microsoft Tape Format with the server's own blocks, for tests that have no genuine file,
// at once (File.Bytes) or step by step (Writer).
//
// It knows: media headers and stripes (TAPE, RAID), file marks of any size, several sets in a file (SSET, VOLB, ESET), full, differential and log
// backups, both descriptions of a set (MSCI, MSLS), pages and log (MSDA, MSTL) with and without the checksums of WITH CHECKSUM, passwords, and streams
// marked encrypted or compressed. The order, the offsets and the paddings are those of genuine files of SQL Server 2008 R2, and the names those of
// Microsoft Tape Format 1.00a. It does not know the container of compressed backups, and pages are whatever bytes it is given.
package tapesim
