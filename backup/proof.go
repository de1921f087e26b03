package backup

import "fmt"

// Proof is how far a backup has been checked. Proofs are ordered; each includes those before it.
type Proof int

const (
	// ProofSealed: the manifest is durable and the target accepted every part.
	ProofSealed Proof = iota
	// ProofBytes: every part was read back and hashed.
	ProofBytes
	// ProofFormat: the agent understood the content of every artifact.
	ProofFormat
	// ProofRestored: a rehearsal brought it up.
	ProofRestored
)

var proofNames = [...]string{"sealed", "bytes", "format", "restored"}

// String returns the level's name.
func (p Proof) String() string {
	if p < 0 || int(p) >= len(proofNames) {
		return fmt.Sprintf("proof(%d)", int(p))
	}
	return proofNames[p]
}

// ParseProof turns a level's name into a Proof.
func ParseProof(s string) (Proof, error) {
	for i, n := range proofNames {
		if n == s {
			return Proof(i), nil
		}
	}
	return 0, fmt.Errorf("proof %q: want sealed, bytes, format or restored", s)
}

// MarshalText implements encoding.TextMarshaler.
func (p Proof) MarshalText() ([]byte, error) { return []byte(p.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *Proof) UnmarshalText(b []byte) (err error) {
	*p, err = ParseProof(string(b))
	return err
}
