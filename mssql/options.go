package mssql

import (
	"errors"
	"fmt"
	"time"
)

// Options adjusts a Source. The zero value backs up every database but tempdb, two at a time, WITH CHECKSUM, and compressed where the edition can.
type Options struct {
	// Instance is the name the server goes by in manifests and messages. Default: the host of the DSN, with its instance or port.
	Instance string
	// Include limits the backup to databases whose name one of these patterns matches; none means all. In a pattern, * stands for any text and ? for
	// one character; case is ignored. A pattern without wildcards must find its database.
	Include []string
	// Exclude leaves out what one of these patterns matches; it wins over Include.
	Exclude []string
	// Databases is how many are backed up at a time, 1 to 64. Default 2.
	Databases int
	// Stripes is over how many files a backup is spread, 1 to 64. Several are written at once, which is faster where one disk or thread is the limit. Default 1.
	Stripes int
	// Compression says whether the server compresses. Default CompressionAuto.
	Compression Compression
	// NoChecksum leaves out WITH CHECKSUM, by which the server checks each page as it reads it and lets anybody check the file later.
	NoChecksum bool
	// MaxTransferSize is the server's unit of reading and writing in bytes: a multiple of 64 KiB up to 4 MiB. Default: the server's choice; 128 KiB for a compressed
	// backup of a database with transparent encryption on 2016 to 2019, which would not compress otherwise.
	MaxTransferSize int
	// BufferCount is how many such buffers the server takes; it allocates BufferCount times MaxTransferSize, or times the endpoint's TransferSize for streams. Default: the server's choice.
	BufferCount int
	// BlockSize is the physical block size in bytes, a power of two from 512 to 65536. Default: the server's choice, which fits the disk.
	BlockSize int
	// CopyOnly takes fulls and logs that change nothing in the database's chain. For one run, use the request option copy_only.
	CopyOnly bool
	// Encryption makes the server encrypt the backups. Nil does not; a job may encrypt at its target whatever is set here.
	Encryption *Encryption
	// KnownCertificates are the thumbprints (hex) of certificates and keys whose export is kept somewhere safe. A run warns of every other certificate that a restore
	// would need.
	KnownCertificates []string
	// VerifyOnly says when RESTORE VERIFYONLY reads back what was written, before it is kept. Default VerifyAuto. It cannot be done of what was streamed; a
	// warning says so for VerifyAlways.
	VerifyOnly VerifyMode
	// SkipSimple leaves databases that cannot have log backups (SIMPLE recovery model, master) out of log runs. By default they get a
	// differential, or a full where that is not possible, so that the schedule of the logs holds for them too.
	SkipSimple bool
	// Endpoint lets a job without a stage back up and restore, by streaming; see EndpointOptions. Nil, the default, does not. MaxTransferSize is then for files only.
	Endpoint *EndpointOptions
	// AnyReplica backs up databases of availability groups without asking whether this replica is the preferred one.
	AnyReplica bool
	// BusyAttempts is how often a backup is tried when another one of the same database runs, and BusyWait the pause between two. Defaults 5 and 1 minute.
	BusyAttempts int
	BusyWait     time.Duration
}

// Compression says whether the server compresses backups.
type Compression string

const (
	// CompressionAuto compresses where the edition and version can.
	CompressionAuto Compression = "auto"
	// CompressionOn compresses, or fails where the server cannot.
	CompressionOn Compression = "on"
	// CompressionOff does not: a target that compresses or finds duplicates does better with plain files.
	CompressionOff Compression = "off"
)

// VerifyMode says when RESTORE VERIFYONLY runs.
type VerifyMode string

const (
	// VerifyAuto verifies what nobody can check without a server: backups that are compressed or encrypted, or taken without checksums.
	VerifyAuto VerifyMode = "auto"
	// VerifyAlways verifies every backup.
	VerifyAlways VerifyMode = "always"
	// VerifyNever verifies none.
	VerifyNever VerifyMode = "never"
)

// Encryption names how the server encrypts backups. Without the certificate or key in master of the server that restores, they are lost.
type Encryption struct {
	// Algorithm is AES_128, AES_192, AES_256 or TRIPLE_DES_3KEY. Default AES_256.
	Algorithm string
	// Certificate or AsymmetricKey, one of them, is the name of the encryptor in master.
	Certificate   string
	AsymmetricKey string
}

const (
	maxStripes     = 64 // devices of one statement
	maxParallel    = 64
	transferUnit   = 64 << 10
	maxTransfer    = 4 << 20
	minBlock       = 512
	maxBlock       = 64 << 10
	maxBufferCount = 1 << 16
)

// validate reports everything that is wrong at once.
func (o Options) validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(o.Databases < 0 || o.Databases > maxParallel, "databases %d: want 1 to %d at a time", o.Databases, maxParallel)
	bad(o.Stripes < 0 || o.Stripes > maxStripes, "stripes %d: want 1 to %d", o.Stripes, maxStripes)
	bad(o.MaxTransferSize < 0 || o.MaxTransferSize > maxTransfer || o.MaxTransferSize%transferUnit != 0,
		"max transfer size %d: want a multiple of %d up to %d", o.MaxTransferSize, transferUnit, maxTransfer)
	bad(o.BufferCount < 0 || o.BufferCount > maxBufferCount, "buffer count %d: want 1 to %d", o.BufferCount, maxBufferCount)
	bad(o.BlockSize != 0 && (o.BlockSize < minBlock || o.BlockSize > maxBlock || o.BlockSize&(o.BlockSize-1) != 0),
		"block size %d: want a power of two from %d to %d", o.BlockSize, minBlock, maxBlock)
	bad(o.BusyAttempts < 0 || o.BusyWait < 0, "busy attempts and wait: want no negative number")
	if o.Endpoint != nil {
		errs = append(errs, o.Endpoint.validate())
	}
	switch o.Compression {
	case "", CompressionAuto, CompressionOn, CompressionOff:
	default:
		bad(true, "compression %q: want auto, on or off", o.Compression)
	}
	switch o.VerifyOnly {
	case "", VerifyAuto, VerifyAlways, VerifyNever:
	default:
		bad(true, "verify only %q: want auto, always or never", o.VerifyOnly)
	}
	if e := o.Encryption; e != nil {
		bad((e.Certificate == "") == (e.AsymmetricKey == ""), "encryption: want a certificate or an asymmetric key, and not both")
		switch e.Algorithm {
		case "", "AES_128", "AES_192", "AES_256", "TRIPLE_DES_3KEY":
		default:
			bad(true, "encryption algorithm %q: want AES_128, AES_192, AES_256 or TRIPLE_DES_3KEY", e.Algorithm)
		}
	}
	return errors.Join(errs...)
}

func (o Options) withDefaults() Options {
	if o.Databases == 0 {
		o.Databases = 2
	}
	if o.Stripes == 0 {
		o.Stripes = 1
	}
	if o.Compression == "" {
		o.Compression = CompressionAuto
	}
	if o.VerifyOnly == "" {
		o.VerifyOnly = VerifyAuto
	}
	if o.BusyAttempts == 0 {
		o.BusyAttempts = 5
	}
	if o.BusyWait == 0 {
		o.BusyWait = time.Minute
	}
	if e := o.Encryption; e != nil {
		c := *e
		if c.Algorithm == "" {
			c.Algorithm = "AES_256"
		}
		o.Encryption = &c
	}
	return o
}
