// Package s3endpoint is a small https server that speaks as much S3 as SQL Server 2022 and later need to back up to it and to restore from it, without
// a temporary file: BACKUP ... TO URL goes straight into an io.Writer, RESTORE ... FROM URL comes straight from a reader.
//
// # A backup
//
// Receive registers a key with a writer and a commit. SQL Server begins a multipart upload, sends parts, several at once and in any order, and
// completes it. Each part is read into memory whole and checked against what was signed; parts go to the writer one after another in the
// order of their numbers. Then commit is called, and only when it returned nil the server is told that its backup is safe. A failure of the
// writer or of commit fails the upload and with it the BACKUP statement: before a log is truncated, its backup is committed.
//
// The result of the BACKUP statement decides whether there is a backup, Upload.Wait whether we have it; both must agree. SQL Server leaves the uploads of
// failed backups behind, so Close every Upload.
//
// # A restore
//
// Offer registers a key with a size and a function that opens a reader at an offset. HEAD, ranges of GET and listings are answered. One who
// reads from front to back is served by one reader.
//
// # Setting it up
//
// Make a certificate for the name by which the server reaches this machine (NewCertificate), once, and keep certificate and key. SQL Server must trust it:
//
//   - On Linux copy the certificate (PEM) to /var/opt/mssql/security/ca-certificates, readable for the user mssql, and restart the service, which
//     reads at most 50 files there, when it starts.
//   - On Windows import it into "Trusted Root Certification Authorities" of the local machine (not of a user): Import-Certificate -FilePath
//     endpoint.crt -CertStoreLocation Cert:\LocalMachine\Root.
//
// A certificate of an authority that both trust works as well. Then start the endpoint and create its credential on the server:
//
//	CREATE CREDENTIAL [Credential.Name] WITH IDENTITY = 'S3 Access Key', SECRET = 'Credential.Secret'
//
// The keys are made anew for each endpoint unless the configuration names some, so a credential need not outlive the run: drop it afterwards. Of several
// credentials SQL Server takes the one whose name fits the URL best.
//
// When it does not work: operating system error 12175 on the server is a certificate it does not trust (the endpoint's log then has a TLS error), error 5 a
// clock that differs by more than 15 minutes, error 50 a wrong bucket or credential. The endpoint logs each request it refuses, with the reason.
//
// # Limits
//
// SQL Server's: parts of MinPart to MaxPart bytes (MAXTRANSFERSIZE, default 10 MiB; other values want COMPRESSION), MaxParts parts per URL, hence
// 100,000 MiB per URL by default and 200,000 MiB at most, 64 URLs per backup, URLs of MaxURL characters, no Express editions, no
// appending. The endpoint's: numbers of parts go from 1 without a gap, an object that comes whole is no larger than a part, a key is written
// once.
//
// # What is guaranteed
//
// Only registered keys can be written or read, only with the secret, only over TLS 1.2 or later. The writer sees whole parts, in order, each byte once, and
// nothing of a part whose length, SHA-256, chunk signatures or Content-MD5 (as far as the client sent them) are not right. A part that is sent
// again is compared with what came first: the same content is accepted, other content refused, and a connection that hangs is given up for a new
// one with the same part. The client is told that an upload is complete only after commit returned nil, and never before.
//
// An upload holds at most Config.Window bytes and one part in memory. Parts for which there is no room are not read until there is, so a
// slow writer slows the client down; the part whose turn it is always has room. A client that sends in ascending order, as many at once as it
// likes, therefore always gets on. One that fills the window with later parts and all its connections with more of them is told SlowDown after
// Config.Patience, which frees a connection for the part that is missing.
//
// After Done, neither writer nor commit are called; after Endpoint.Close nothing runs.
//
// # What is not
//
// Microsoft does not publish which calls of S3 its connector makes, in which order, how long it waits for an answer and which errors it repeats. What is
// served here was derived from the documented interface and permissions, and tried with two independent clients, not with SQL Server. Should it rewrite
// the first part at the end, as it does with Azure block blobs, the rewritten part is refused and the backup fails: nothing can be written into a stream twice.
// Commit keeps CompleteMultipartUpload waiting without a byte of an answer, because the whitespace that S3 may send meanwhile fixes the status
// at 200 before the outcome is known; a commit must therefore be quick.
//
// Trailing checksums and those in X-Amz-Checksum headers are not compared, presigned URLs and versions are not known. A call that is not offered is answered
// with NotImplemented and logged. A committed object can be listed and its size asked, but not read.
//
// # Why its own server
//
// What there is to do here is to put parts in order without keeping them, and to hold the client back meanwhile; no library does that. The nearest one, rclone's
// gofakes3, lets parts stream to a backend of one's own and verifies signatures. But its keys and its clock are variables of a package, so that endpoints
// in one process are not apart; signatures of chunks are skipped; a backend has no means to give up a connection that hangs; and the many calls it
// offers beyond these would have to be refused one by one. The original gofakes3 does not verify signatures. Other servers are programs with storage
// of their own.
package s3endpoint
