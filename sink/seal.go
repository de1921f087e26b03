package sink

import "github.com/quiesce-go/quiesce/backup"

// SealOptions tunes the layers Seal builds. The zero value is good for most.
type SealOptions struct {
	Compress CompressOptions
	Retry    RetryPolicy
	// Throttle, when set, bounds the rates; see Throttle. Several sinks may share one Limiter.
	Throttle *Limiter
	// Plain stores without encryption, and allows Keys to be empty. Whoever can read the target can then read the backups.
	Plain bool
}

// Seal is the usual stack: Compress(Encrypt(Retry(Throttle(under)))). A nil opts means all defaults.
//
// Encryption is left out only when opts.Plain says so; empty keys alone make the first write fail with backup.ErrKey.
func Seal(under backup.Sink, keys Keys, opts *SealOptions) *Sealer {
	if opts == nil {
		opts = &SealOptions{}
	}
	s := under
	if opts.Throttle != nil {
		s = Throttle(s, opts.Throttle)
	}
	s = Retry(s, opts.Retry)
	if !opts.Plain {
		s = Encrypt(s, keys)
	}
	return Compress(s, &opts.Compress)
}
