package backup

import (
	"encoding/hex"
	"fmt"
)

// Digest is a SHA-256. In text it is lower-case hex.
type Digest [32]byte

// String returns the digest in hex.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, d[:]), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) != hex.EncodedLen(len(d)) {
		return fmt.Errorf("digest %.80q: want %d hex digits", b, hex.EncodedLen(len(d)))
	}
	_, err := hex.Decode(d[:], b)
	return err
}
