package sink

import (
	"errors"
	"fmt"
	"io"

	"filippo.io/age"

	"github.com/quiesce-go/quiesce/backup"
)

// Encrypt stores objects encrypted by age, with the suffix ".age"; `age -d -i identity` opens them.
//
// Writing needs recipients only, so a protected machine can be left without the power to read its old backups. Reading needs one
// identity that matches one of the recipients at the time of writing. Without it the error wraps backup.ErrKey; anything altered on the
// way wraps backup.ErrCorrupt. (Damage in the wrapped key itself, in the first few hundred bytes, looks the same as a wrong identity.)
// Memory is two blocks of 64 KiB for each object in flight.
func Encrypt(under backup.Sink, keys Keys) *Sealer {
	return &Sealer{under: under, suffix: ".age", seal: keys.seal, unseal: keys.unseal}
}

func (k Keys) seal(plain io.Reader) (io.Reader, error) {
	if len(k.Recipients) == 0 {
		return nil, &backup.Error{Op: "encrypt", Err: fmt.Errorf("%w: no recipient is configured", backup.ErrKey),
			Advice: "give the recipient (age1...) that belongs to the identity in the safe"}
	}
	stored, err := age.EncryptReader(plain, k.Recipients...)
	if err != nil {
		return nil, &backup.Error{Op: "encrypt", Err: fmt.Errorf("%w: %w", backup.ErrKey, err)}
	}
	return stored, nil
}

func (k Keys) unseal(stored io.Reader) (io.ReadCloser, error) {
	if len(k.Identities) == 0 {
		return nil, &backup.Error{Op: "decrypt", Err: fmt.Errorf("%w: no identity is configured", backup.ErrKey),
			Advice: "reading needs the identity (AGE-SECRET-KEY-...) whose recipient it was written to: name its file"}
	}
	r := &openReader{trap: errorTrap{r: stored}}
	plain, err := age.Decrypt(&r.trap, k.Identities...)
	if err != nil {
		return nil, r.explain(err)
	}
	r.plain = plain
	return r, nil
}

// openReader is the plain form of one encrypted object.
type openReader struct {
	plain io.Reader
	trap  errorTrap
}

func (r *openReader) Read(p []byte) (int, error) {
	n, err := r.plain.Read(p)
	if err != nil {
		err = r.explain(err)
	}
	return n, err
}

// Close implements io.Closer. There is nothing to give back.
func (r *openReader) Close() error { return nil }

// explain tells apart a transfer that broke off, a wrong key and damage.
func (r *openReader) explain(err error) error {
	var noMatch *age.NoIdentityMatchError
	switch {
	case r.trap.err != nil:
		return r.trap.err
	case err == io.EOF:
		return err
	case errors.As(err, &noMatch):
		return &backup.Error{Op: "decrypt", Err: fmt.Errorf("%w: %w", backup.ErrKey, err),
			Advice: "it was written to other recipients: use the identity that belongs to the time of the backup"}
	}
	return fmt.Errorf("decrypt: %w: %w", backup.ErrCorrupt, err)
}
