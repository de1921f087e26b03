// Package sink holds the targets backups are stored in and the layers between a target and the pipeline.
//
// A target is a directory (OpenDir) or any bucket gocloud.dev has a driver for (Open, New). A layer is a decorator: it takes a
// backup.Sink and is one. The order that works:
//
//	Compress(Encrypt(Retry(Throttle(target))))
//
// Compress stands above Encrypt because ciphertext does not compress. Both stand above Retry so that a repeated transfer is not sealed
// again: the pipeline takes the sealers off, seals each part once in memory and gives the result to the sink below them, again and again if need be.
// Retry stands above Throttle so that what is sent again keeps to the rate too. ReadOnly stands directly above the target. Retry, Throttle and
// ReadOnly above a sealer would hide it from the pipeline, which then could not prove a backup without a key. Seal builds that stack:
//
//	target, err := sink.Open(ctx, "s3://backups?region=eu-west-1", &sink.Options{Tune: s3.Tune})
//	keys, err := sink.Recipients("age1...")
//	safe := sink.Seal(target, keys, nil) // give this to the pipeline
//
// # Which programs link which cloud
//
// This package links no cloud's SDK. file:// and mem:// always work; for the others a program imports the driver, and for S3 also
// the package sink/s3, which closes a gap that only the SDK can close:
//
//	import (
//		_ "gocloud.dev/blob/s3blob"
//		"github.com/quiesce-go/quiesce/sink/s3"
//	)
//
// # What is guaranteed
//
// Every target here passes backuptest.TestSink. Put is whole or absent: when the reader dies, the context ends or the
// process is killed, there is nothing new at the key. A Dir has fsynced file and directory when Put returns. A short
// transfer is an error, never an early end. Errors wrap fs.ErrNotExist, fs.ErrExist and fs.ErrPermission whatever the driver
// calls them, and Retryable tells which are worth another try.
//
// Atomic creation (backup.PutIfAbsenter) is there on directories, memory, S3, Google Cloud Storage and Azure. It is not there over gocloud's
// fileblob, where several writers can win. A layer has it exactly when what it stands on has it, except for the sealers: leases and
// manifests are written under them.
//
// # What is not
//
// A sink does not know versions, object lock or storage classes; set these up on the bucket, or in Options.Tune. S3-compatible servers that
// ignore If-None-Match (old ones do) break atomic creation without a word: run backuptest.CheckSink against a new kind of server
// once. fileblob is not durable: nothing there is fsynced.
package sink
