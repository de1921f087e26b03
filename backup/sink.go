package backup

import (
	"context"
	"io"
	"iter"
	"time"
)

// A Sink is an offsite target: a flat store of immutable objects named by slash-separated keys.
//
// Agent authors never touch one. Authors of targets implement it and run backuptest.TestSink. A Sink is used by
// many goroutines at once.
type Sink interface {
	// Put stores what r yields under key, replacing what was there.
	//
	// It is whole or absent: when Put returns an error, or r does, or ctx ends, nothing new may be visible at key. When it
	// returns nil the object is durable and the next Get and List see it. r may also be an io.Seeker standing at its
	// start; a Sink that repeats a failed transfer may rewind it. Put does not close r.
	Put(ctx context.Context, key string, r io.Reader) error
	// Get opens the object at key. An absent object is an error that wraps fs.ErrNotExist. The caller closes the
	// reader; a transfer that breaks off surfaces as an error from Read, never as an early io.EOF.
	Get(ctx context.Context, key string) (io.ReadCloser, error)
	// List yields the objects whose key begins with prefix, in no promised order. An error is the last pair.
	List(ctx context.Context, prefix string) iter.Seq2[Object, error]
	// Delete removes the object at key. Removing what is absent is not an error.
	Delete(ctx context.Context, key string) error
}

// Object is one row of Sink.List.
type Object struct {
	Key      string
	Size     int64     // bytes as stored
	Modified time.Time // by the target's clock; zero where the target does not say
}

// PutIfAbsenter is a Sink that can create an object atomically.
//
// The lease and the manifest depend on it: of several callers racing for one key exactly one gets nil, the
// others an error that wraps fs.ErrExist, and the winner's bytes are the ones that stay. A Sink that cannot promise this must not implement it; the
// pipeline then falls back to looking before it writes, which two machines on one job can outrun.
type PutIfAbsenter interface {
	PutIfAbsent(ctx context.Context, key string, r io.Reader) error
}

// A Sealer is a Sink decorator that stores another form of what it is given: compressed, encrypted.
//
// As a Sink it works by itself: Put(key, r) is Seal followed by Under().Put. The pipeline takes it apart instead: it seals each part in
// memory, hashes the object exactly as it will lie at the target, and hands those bytes to the sink under all
// sealers, which may repeat the transfer without sealing again. That digest lets anyone prove a backup without a key.
// Headers and leases are written under the sealers, in plain text.
//
// Seal and Unseal must work on objects of any size in bounded memory, and be usable by many goroutines at once.
type Sealer interface {
	Sink
	// Seal returns the stored key and the stored form of an object. It reads plain lazily; an error of plain
	// comes out of the returned reader.
	Seal(key string, plain io.Reader) (storedKey string, stored io.Reader, err error)
	// Unseal undoes Seal. Damage in stored comes out as an error that wraps ErrCorrupt, a missing or wrong key as one that wraps ErrKey.
	Unseal(stored io.Reader) (plain io.ReadCloser, err error)
	// Suffix is what Seal appends to every key, such as ".zst".
	Suffix() string
	// Under is the sink below, which takes stored keys and stored bytes.
	Under() Sink
}
