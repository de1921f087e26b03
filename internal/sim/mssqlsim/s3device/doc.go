// Package s3device lets a simulated SQL Server back up to and restore from s3:// URLs, as SQL Server 2022 does: it is the client side of BACKUP .. TO URL, and speaks S3 over https to
// whatever endpoint the URL names. What it writes there is what package mssqlsim writes to files.
//
// # What it does as documented
//
// URLs are s3://host:port/bucket/key, always https; the endpoint's certificate must be trusted, by the pool that stands for the server's certificate store. Requests are signed with version
// 4 for the region us-east-1. A backup is one multipart upload for each URL, its parts MAXTRANSFERSIZE large, 5 to 20 MiB, 10 MiB unless told, at most 10 000. Nothing is added to an object
// that is there. When a backup fails or is cancelled, the parts that were sent are not aborted. What the system answers: 50 for a wrong bucket or credential, 5 for a clock that is off, 12175
// for a certificate that nobody trusts.
//
// # What is inferred
//
// Which calls the server makes, and in which order, is not documented. Here: HEAD and CreateMultipartUpload before the first byte; parts side by side, each even one begun before the odd
// one in front of it, so that an endpoint meets them out of order; then CompleteMultipartUpload. A restore asks for the size by HEAD, reads the headers by ranged GETs from byte 0, and
// then reads again from byte 0. Texts and numbers of system errors other than those above are made up.
//
// # What is not here
//
// URLs with the bucket in front of the host, other regions, retries as the server has them (these are the SDK's), Azure.
package s3device
